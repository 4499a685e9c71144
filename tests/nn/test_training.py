"""Training: the steps, their records, and checkpoints."""

import math
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402
from torch.nn.functional import cross_entropy, mse_loss  # noqa: E402

from polarstep.nn import Status, checkpoints, gradient_split, mlp, train  # noqa: E402
from polarstep.nn.descent import Descent  # noqa: E402

X = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
Y = torch.randint(3, (50,), generator=torch.Generator().manual_seed(1))
NORMALIZATIONS = [None, "batch", "weight"]
BATCHES = [None, 16]


def network(normalization=None, seed=0, **options):
    return mlp([6, 5, 4, 3], normalization=normalization, seed=seed, **options)


def run(model, *, stop_after=None, loss_fn=cross_entropy, data=(X, Y), **options):
    """All records, or those up to a step at which the iterator is closed."""
    options = {"lr": 0.2, "steps": 12, **options}
    records = train(model, loss_fn, data, **options)
    seen = []
    for record in records:
        seen.append(record)
        if record.index == stop_after:
            records.close()
    return seen


def same_state(one, two):
    return all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    )


# --- the steps ---------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_full_batch_is_gradient_descent(normalization, momentum):
    model, hand = network(normalization), network(normalization)
    velocity = [torch.zeros_like(p) for p in hand.parameters()]
    for record in train(model, cross_entropy, (X, Y), lr=0.2, steps=6, momentum=momentum):
        # The model is at the iterate that the record is about.
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
    assert record.status is Status.finished
    assert record.lr == 0


def test_records_of_full_batch():
    records = run(network(), steps=4)
    assert [r.index for r in records] == [0, 1, 2, 3, 4]
    assert [r.status for r in records] == [Status.running] * 4 + [Status.finished]
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
    assert [r.status for r in records] == [Status.running] * 7 + [Status.finished]
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


def test_a_rate_per_step():
    records = run(network(), lr=lambda t: 0.1 / (t + 1), steps=3)
    assert [r.lr for r in records] == [0.1, 0.05, 0.1 / 3, 0.0]
    one, two = network(), network()
    run(one, lr=lambda t: [0.3, 0.0][t], steps=2)
    run(two, lr=0.3, steps=1)
    assert same_state(one, two)


def test_the_caller_may_look_at_the_model_in_between():
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


def test_what_train_leaves_alone():
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
    assert records[-1].status is Status.diverged
    assert not (math.isfinite(records[-1].loss) and math.isfinite(records[-1].gradient_norm))
    assert all(r.status is Status.running and math.isfinite(r.loss) for r in records[:-1])
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
    assert [r.status for r in records] == [Status.diverged]
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


# --- checkpoints -------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", BATCHES)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_resumes_to_the_same_bits(tmp_path, normalization, batch_size):
    options = {"batch_size": batch_size, "momentum": 0.7, "seed": 2}
    whole = network(normalization)
    expected = run(whole, **options)
    options |= {"checkpoint": tmp_path / "run.pt", "checkpoint_every": 5}
    first = run(network(normalization), stop_after=7, **options)
    model = network(normalization)
    records = run(model, **options)
    assert first == expected[:8]
    assert records == expected
    assert [r.fresh for r in records] == [r.index >= 7 for r in records]
    assert same_state(model, whole)
    # Once more: all is read from the checkpoint, but for the last record.
    again = network(normalization)
    records = run(again, **options)
    assert records == expected
    assert sum(r.fresh for r in records) == 1
    assert same_state(again, whole)
    assert list(tmp_path.iterdir()) == [tmp_path / "run.pt"]


@pytest.mark.parametrize("batch_size", BATCHES)
def test_a_killed_training_resumes_from_the_last_checkpoint(tmp_path, batch_size):
    options = {"batch_size": batch_size, "checkpoint": tmp_path / "run.pt", "checkpoint_every": 3}
    expected = run(network("batch"), batch_size=batch_size)
    records = train(network("batch"), cross_entropy, (X, Y), lr=0.2, steps=12, **options)
    for _ in range(6):
        next(records)
    kept = (tmp_path / "run.pt").read_bytes()
    records.close()
    (tmp_path / "run.pt").write_bytes(kept)
    resumed = run(network("batch"), **options)
    assert resumed == expected
    assert next(r.index for r in resumed if r.fresh) == 3


@pytest.mark.parametrize("where", ["forward", "update", "evaluate", "caller"])
@pytest.mark.parametrize("batch_size", BATCHES)
def test_ctrl_c_saves_and_resumes_to_the_same_bits(tmp_path, monkeypatch, where, batch_size):
    options = {"batch_size": batch_size, "momentum": 0.5}
    whole = network("batch")
    expected = run(whole, **options)
    model, path = network("batch"), tmp_path / "run.pt"
    calls = []

    def interrupt(name):
        calls.append(name)
        if calls.count(where) == 6:
            raise KeyboardInterrupt

    def loss_fn(outputs, targets):
        interrupt("forward")
        return cross_entropy(outputs, targets)

    def update(self, gradients, lr):
        next(iter(self.parameters.values())).data.mul_(2.0)
        interrupt("update")
        next(iter(self.parameters.values())).data.mul_(0.5)
        original(self, gradients, lr)

    def interrupted():
        records = train(
            model,
            loss_fn,
            (X, Y),
            lr=0.2,
            steps=12,
            checkpoint=path,
            evaluate=lambda model, t: interrupt("evaluate"),
            **options,
        )
        for _ in records:
            interrupt("caller")

    original = Descent._update
    if where == "update":
        monkeypatch.setattr(Descent, "_update", update)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    monkeypatch.undo()
    # The stopped model itself can go on, and so can a new one.
    at = torch.load(path, weights_only=True)["t"]
    assert at in (4, 5)
    kept = path.read_bytes()
    for going_on in (model, network("batch")):
        path.write_bytes(kept)
        records = run(going_on, checkpoint=path, **options)
        assert records == expected
        assert next(r.index for r in records if r.fresh) == at
        assert same_state(going_on, whole)


def test_more_steps_than_before(tmp_path):
    path = tmp_path / "run.pt"
    expected = run(network(), steps=20)
    run(network(), steps=8, checkpoint=path)
    assert run(network(), steps=20, checkpoint=path) == expected
    with pytest.raises(ValueError, match="`steps` must be at least 20, where the checkpoint"):
        run(network(), steps=8, checkpoint=path)


def test_evaluations_are_kept(tmp_path):

    def evaluate(model, t):
        return None if t % 2 else {"norm": [model.linear1.bias.norm().item()]}

    options = {"checkpoint": tmp_path / "run.pt", "evaluate": evaluate}
    first = run(network(), stop_after=5, **options)
    options["evaluate"] = lambda model, t: t
    records = run(network(), **options)
    assert [r.evaluation for r in records] == [*(r.evaluation for r in first[:5]), *range(5, 13)]
    assert first[1].evaluation is None
    assert first[4].evaluation["norm"][0] > 0
    with pytest.raises(TypeError, match=r"`evaluate` must return .*; got a Tensor\. Call \.item"):
        run(network(), evaluate=lambda model, t: [torch.ones(1)])


def test_a_failed_write_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    run(network(), checkpoint=path)
    kept = path.read_bytes()

    def half(content, file):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="disk full"):
        checkpoints.write(path, {})
    assert path.read_bytes() == kept
    assert list(tmp_path.iterdir()) == [path]


OTHERS = {
    "momentum": ({"momentum": 0.5}, "`momentum` is 0.0 instead of 0.5"),
    "batch_size": ({"batch_size": 10}, "`batch_size` is 16 instead of 10"),
    "seed": ({"seed": 1}, "`seed` is 0 instead of 1"),
    "lr": ({"lr": 0.3}, "`lr` is 0.2 instead of 0.3 at step 0"),
    "fewer samples": ({"data": (X[:40], Y[:40])}, r"`data` is \[.*50.*\] instead of \[.*40.*\]"),
    "other data": ({"data": (3 * X, Y)}, "the loss at step 7 is .* instead of .*other data"),
    "other loss": ({"loss_fn": lambda o, t: 2 * cross_entropy(o, t)}, "the loss at step 7 is"),
}


@pytest.mark.parametrize(("options", "says"), OTHERS.values(), ids=OTHERS)
def test_a_checkpoint_of_other_settings_is_refused(tmp_path, options, says):
    path = tmp_path / "run.pt"
    run(network(), batch_size=16, checkpoint=path, stop_after=7)
    kept, model = path.read_bytes(), network()
    with pytest.raises(ValueError, match=f"belong to this training; got '.*run.pt', where {says}"):
        run(model, **{"batch_size": 16, "checkpoint": path, **options})
    assert path.read_bytes() == kept
    assert same_state(model, network())


NETWORKS = {
    "seed": (network(seed=1), "the weights are not those of the model"),
    "activation": (mlp([6, 5, 4, 3], "tanh", seed=0), "the weights are not|the loss at step 7"),
    "sizes": (mlp([6, 5, 5, 3], seed=0), r"linear2.weight is float32 \(4, 5\) instead of .*\(5, 5"),
    "norm": (network("batch"), "norm1.weight is missing instead of float32"),
    "depth": (mlp([6, 3], seed=0), r"linear1.weight is float32 \(5, 6\) instead of"),
    "dtype": (network().double(), "linear1.weight is float32 .* instead of float64"),
}


@pytest.mark.parametrize(("model", "says"), NETWORKS.values(), ids=NETWORKS)
def test_a_checkpoint_of_another_network_is_refused(tmp_path, model, says):
    path = tmp_path / "run.pt"
    run(network(), checkpoint=path, stop_after=7)
    data = (X.to(next(model.parameters()).dtype), Y)
    settings = {"checkpoint": path, "data": data}
    with pytest.raises(ValueError, match=says):
        run(model, **settings)


def test_the_same_weights_with_another_activation_are_refused(tmp_path):
    path, model = tmp_path / "run.pt", network()
    run(network(), checkpoint=path, stop_after=7)
    model.activation1 = nn.Tanh()
    with pytest.raises(ValueError, match="the loss at step 7 is"):
        run(model, checkpoint=path)


@pytest.mark.parametrize("damage", ["cut", "cut short", "empty", "text", "other"])
def test_a_damaged_checkpoint_is_refused(tmp_path, damage):
    path = tmp_path / "run.pt"
    run(network(), checkpoint=path)
    whole = path.read_bytes()
    damaged = {
        "cut": whole[:-100],
        "cut short": whole[:50],
        "empty": b"",
        "text": b"loss,step\n1,2\n",
        "other": whole,
    }
    path.write_bytes(damaged[damage])
    if damage == "other":
        torch.save(network().state_dict(), path)
    with pytest.raises(
        ValueError, match=r"must be a whole checkpoint .*run\.pt', which is damaged"
    ):
        run(network(), checkpoint=path)


# --- arguments ---------------------------------------------------------------------------------

HOLE = X.clone()
HOLE[3, 1] = math.nan

WRONG = {
    "model": ({"model": 3}, TypeError, "`model` must be a torch Module; got a int"),
    "no parameters": ({"model": nn.ReLU()}, ValueError, "`model` must have parameters"),
    "loss_fn": ({"loss_fn": "mse"}, TypeError, "`loss_fn` must be a function; got a str"),
    "evaluate": ({"evaluate": 1}, TypeError, "`evaluate` must be a function; got a int"),
    "data": ({"data": X}, TypeError, "`data` must be a pair of tensors"),
    "arrays": ({"data": (X.numpy(), Y)}, TypeError, "`data` must .*; got a ndarray in it"),
    "lengths": ({"data": (X, Y[1:])}, ValueError, r"got shapes \(50, 6\) and \(49,\)"),
    "nan": ({"data": (HOLE, Y)}, ValueError, r"finite numbers only; got nan at inputs\[3, 1\]"),
    "lr": ({"lr": 0.0}, ValueError, "`lr` must be a finite number > 0"),
    "lr(t)": ({"lr": lambda t: -1.0}, ValueError, r"`lr\(0\)` must be a finite number >= 0"),
    "steps": ({"steps": 0}, ValueError, "`steps` must be a whole number >= 1"),
    "batch_size": ({"batch_size": 51}, ValueError, "be at most the number of samples, 50; got 51"),
    "momentum": ({"momentum": 1.0}, ValueError, "`momentum` must be a number < 1; got 1.0"),
    "seed": ({"seed": None}, TypeError, "`seed` must be a whole number"),
    "every": ({"checkpoint_every": 0}, ValueError, "`checkpoint_every` must be a whole number"),
    "no folder": ({"checkpoint": "no/run.pt"}, ValueError, "be a file in a folder that exists"),
    "no path": ({"checkpoint": 3}, TypeError, "`checkpoint` must be a path or None; got 3"),
    "one left": (
        {"model": network("batch"), "batch_size": 7},
        ValueError,
        "leave no batch of one sample for batch normalization; got 7 for 50 samples, with norm1",
    ),
    "loss shape": (
        {"loss_fn": lambda out, t: out},
        ValueError,
        r"`loss_fn` must return a differentiable tensor with one element; got shape \(50, 3\)",
    ),
    "loss type": ({"loss_fn": lambda out, t: 1.0}, ValueError, "with one element; got a float"),
}


@pytest.mark.parametrize(("options", "error", "says"), WRONG.values(), ids=WRONG)
def test_arguments_that_do_not_fit(options, error, says):
    options = {"model": network(), **options}
    with pytest.raises(error, match=f"train: .*{says}"):
        run(options.pop("model"), **options)


def test_arguments_are_checked_before_the_first_record_is_asked_for():
    with pytest.raises(ValueError, match="`lr` must"):
        train(network(), cross_entropy, (X, Y), lr=-1, steps=3)
