"""Hooks on layers: when inputs are gathered, and when the hooks are removed."""

import copy
import gc
import io
import itertools

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from optim_training import METRICS, batches, loss_of, network, run, step, weights  # noqa: E402
from polarstep.optim import Adam, AdamW, Covariance, LengthDirection  # noqa: E402


def test_inputs_are_gathered_in_training_mode_with_gradients_only():
    model = network()
    optimizer = LengthDirection(model, 0.05)
    x, y = batches(2)
    rows = optimizer._watcher.inputs[model[0].weight].rows
    with torch.no_grad():
        model(x)
    model.eval()
    model(x)
    assert rows == 0
    model.train()
    model(x)
    model(y)
    assert rows == 48
    total = optimizer._watcher.inputs[model[0].weight].total
    torch.testing.assert_close(total[0], x.T @ x + y.T @ y)


def test_nothing_is_gathered_between_refreshes():
    model = network()
    optimizer = LengthDirection(model, 0.05, metric=Covariance(refresh_every=3))
    S = []
    for x in batches(7):
        step(model, optimizer, x)
        S.append(optimizer.state[model[0].weight]["covariance"].clone())
    changes = [not torch.equal(a, b) for a, b in itertools.pairwise(S)]
    assert changes == [False, False, True, False, False, True]


def test_accumulated_calls_count_as_one_batch():
    xs = batches(4)
    joint, parts = network(torch.float64), network(torch.float64)
    a = LengthDirection(joint, 0.05, metric=Covariance(rows=0))
    b = LengthDirection(parts, 0.05, metric=Covariance(rows=0))
    for _ in range(3):
        a.zero_grad()
        (4 * loss_of(joint, torch.cat(xs).double())).backward()
        a.step()
        step(parts, b, *[x.double() for x in xs])
    for p, q in zip(weights(joint), weights(parts), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-6)  # the loss is taken in float32


@pytest.mark.parametrize("metric", METRICS)
def test_tied_weights_take_one_step_and_gather_the_inputs_of_both_layers(metric):
    model = network()
    model[0] = nn.Linear(16, 16)
    model[2].weight = model[0].weight
    chosen = Covariance(rows=0) if metric == "covariance" else metric
    optimizer = LengthDirection(model, 0.05, metric=chosen)
    x = torch.randn(20, 16)
    hidden = torch.tanh(model[0](x)).detach()
    optimizer.zero_grad()
    for inputs in optimizer._watcher.inputs.values():
        inputs.clear()
    run(model, optimizer, x, steps=1)
    assert model[2].weight is model[0].weight
    if metric == "covariance":
        S = optimizer.state[model[0].weight]["covariance"][0]
        torch.testing.assert_close(S, (x.T @ x + hidden.T @ hidden) / 40)


def test_lengths_start_at_the_first_step_with_inputs_and_gradients():
    model = network()
    optimizer = LengthDirection(
        model, 0.0, length=Adam(lr=0.0), others=AdamW(lr=0.0), start_length=1.0
    )
    before = model[2].weight.detach().clone()
    optimizer.lengths("2.weight")  # this initializes the state
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    torch.testing.assert_close(model[2].weight.detach(), before)
    x = torch.randn(50, 6)
    run(model, optimizer, x, steps=1)
    sizes = (model[:2](x) @ model[2].weight.T).square().mean(0).sqrt()
    assert (sizes - 1).abs().max() < 0.6  # damping and other inputs make a difference
    assert optimizer.lengths("2.weight").eq(1.0).all()


def test_a_warning_says_once_that_no_inputs_were_seen():
    model = network()
    optimizer = LengthDirection(model, 0.05)
    model.eval()  # hooks are active in training mode only
    with pytest.warns(UserWarning, match="no layer's inputs were seen") as caught:
        run(model, optimizer, torch.randn(20, 6), steps=3)
    assert len(caught) == 1
    model.train()
    run(model, optimizer, torch.randn(20, 6), steps=1)
    assert optimizer.state[model[2].weight]["covariance_weight"] > 0


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_copies_of_the_model_have_hooks_that_do_nothing(way):
    model = network()
    optimizer = LengthDirection(model, 0.05)
    if way == "deepcopy":
        other = copy.deepcopy(model)
    else:
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        other = torch.load(file, weights_only=False)
    loss_of(other, batches(1)[0]).backward()
    loss_of(other.train(), batches(1)[0])
    assert all(inputs.rows == 0 for inputs in optimizer._watcher.inputs.values())
    loss_of(model, batches(1)[0]).backward()
    assert all(inputs.rows == 24 for inputs in optimizer._watcher.inputs.values())


def test_hooks_are_removed_with_the_optimizer():
    model = network()
    optimizer = LengthDirection(model, 0.05)
    assert len(model[0]._forward_pre_hooks) == 1
    step(model, optimizer, batches(1)[0])
    del optimizer
    assert len(model[0]._forward_pre_hooks) == 0


def test_hooks_are_removed_if_the_optimizer_is_refused():
    model = network()
    with pytest.raises(ValueError, match="retraction"):
        LengthDirection(
            [{"params": [model[0].weight]}, {"params": [model[2].weight], "retraction": "no"}],
            model=model,
        )
    gc.collect()
    assert not model[0]._forward_pre_hooks
