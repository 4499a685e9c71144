"""The loop of `train`: gradient descent by hand, mini-batches, and divergence."""

import math
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402
from torch.nn.functional import cross_entropy, mse_loss  # noqa: E402

from polarstep.nn import TrainingStatus, gradient_split, train  # noqa: E402
from small_networks import BATCHES, NORMALIZATIONS, X, Y, network, run, same_state  # noqa: E402


@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_full_batch_is_gradient_descent(normalization, momentum):
    model, hand = network(normalization), network(normalization)
    velocity = [torch.zeros_like(p) for p in hand.parameters()]
    for record in train(model, cross_entropy, (X, Y), lr=0.2, steps=6, momentum=momentum):
        # The model is at the iterate that the record describes.
        for one, two in zip(model.parameters(), hand.parameters(), strict=True):
            torch.testing.assert_close(one, two)
        hand.zero_grad()
        outputs = hand(X)
        loss = cross_entropy(outputs, Y)
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in hand.parameters()])
        assert record.loss == pytest.approx(loss.item(), rel=1e-5)
        assert record.gradient_norm == pytest.approx(gradient.norm().item(), rel=1e-4)
        split = (record.direction_gradient_norm, record.length_gradient_norm)
        assert split == pytest.approx(gradient_split(hand), rel=1e-4)
        assert record.accuracy == (outputs.argmax(1) == Y).double().mean().item()
        with torch.no_grad():
            for b, p in zip(velocity, hand.parameters(), strict=True):
                b.copy_(momentum * b + p.grad)
                p.sub_(0.2 * b)
    assert record.index == 6
    assert record.status is TrainingStatus.finished
    assert record.lr == 0


def test_records_of_full_batch():
    records = run(network(), steps=4)
    assert [r.index for r in records] == [0, 1, 2, 3, 4]
    assert [r.status for r in records] == [TrainingStatus.running] * 4 + [TrainingStatus.finished]
    assert all(r.fresh for r in records)
    assert all(a.loss > b.loss for a, b in pairwise(records))


def test_mini_batches_are_sgd_and_visit_all_samples_each_epoch():
    seen, model, hand = [], network(), network()
    inputs = torch.arange(50.0)[:, None] * torch.ones(6) / 50

    def loss_fn(outputs, targets):
        seen.append(targets)
        return mse_loss(outputs[:, 0], targets / 50)

    data = (inputs, torch.arange(50))
    options = {"batch_size": 16, "seed": 3, "momentum": 0.5, "lr": 0.1}
    records = run(model, loss_fn=loss_fn, data=data, steps=8, **options)
    assert [r.index for r in records] == list(range(8))
    assert [r.status for r in records] == [TrainingStatus.running] * 7 + [TrainingStatus.finished]
    assert [len(batch) for batch in seen] == [16, 16, 16, 2] * 2
    epochs = [torch.cat(seen[:4]), torch.cat(seen[4:])]
    assert not torch.equal(*epochs)
    for e, epoch in enumerate(epochs):
        assert sorted(epoch.tolist()) == list(range(50))
        assert epoch.tolist() == np.random.default_rng([3, e]).permutation(50).tolist()

    optimizer = torch.optim.SGD(hand.parameters(), lr=0.1, momentum=0.5)
    for batch in seen[:8]:
        optimizer.zero_grad()
        loss_fn(hand(inputs[batch]), batch).backward()
        optimizer.step()
    for one, two in zip(model.parameters(), hand.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_seeds_order_the_batches():
    losses = [[r.loss for r in run(network(), batch_size=16, seed=s)] for s in (0, 0, 1)]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def test_the_learning_rate_may_depend_on_the_step():
    records = run(network(), lr=lambda t: 0.1 / (t + 1), steps=3)
    assert [r.lr for r in records] == [0.1, 0.05, 0.1 / 3, 0.0]
    one, two = network(), network()
    run(one, lr=lambda t: [0.3, 0.0][t], steps=2)
    run(two, lr=0.3, steps=1)
    assert same_state(one, two)


def test_the_caller_may_evaluate_the_model_between_records():
    plain = run(network("batch"))
    model = network("batch")
    with torch.no_grad():
        seen = []
        for record in train(model, cross_entropy, (X, Y), lr=0.2, steps=12):
            seen.append(record)
            with torch.enable_grad():
                model.zero_grad(set_to_none=False)
                (100 * model(X).square().sum()).backward()
    assert seen == plain


def test_train_keeps_random_state_mode_and_gradients():
    model = network("batch").eval()
    before = torch.get_rng_state()
    run(model, batch_size=16)
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.training
    assert model.norm1.num_batches_tracked == 0
    assert all(p.grad is None for p in model.parameters())


def test_frozen_and_unused_parameters_stay():
    model = network()
    model.linear1.weight.requires_grad_(False)
    model.register_parameter("unused", nn.Parameter(torch.ones(2)))
    run(model)
    assert torch.equal(model.linear1.weight, network().linear1.weight)
    assert not torch.equal(model.linear2.weight, network().linear2.weight)
    assert torch.equal(model.unused, torch.ones(2))


def test_accuracy_is_for_class_labels():
    for targets in (torch.randn(50, 3), torch.ones(50, 3, dtype=torch.int64)):
        records = run(
            network(), loss_fn=lambda out, t: mse_loss(out, t.float()), data=(X, targets), steps=1
        )
        assert records[0].accuracy is None


# --- divergence --------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", BATCHES)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_divergence_ends_at_the_last_finite_iterate(normalization, batch_size):
    options = {
        "loss_fn": lambda out, t: (out - t[:, None]).square().mean(),
        "lr": 1e12,
        "batch_size": batch_size,
    }
    model = network(normalization)
    records = run(model, steps=40, **options)
    assert records[-1].status is TrainingStatus.diverged
    assert not (math.isfinite(records[-1].loss) and math.isfinite(records[-1].gradient_norm))
    assert all(r.status is TrainingStatus.running and math.isfinite(r.loss) for r in records[:-1])
    assert all(t.isfinite().all() for t in model.state_dict().values())

    again = network(normalization)
    for record in train(again, data=(X, Y), steps=40, **options):
        if record.index == len(records) - 2:
            break
    for one, two in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)


def test_divergence_at_the_start_changes_nothing():
    model = network("batch")
    model.linear3.bias.data[0] = math.inf
    before = {name: t.clone() for name, t in model.state_dict().items()}
    records = run(model)
    assert [r.status for r in records] == [TrainingStatus.diverged]
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
