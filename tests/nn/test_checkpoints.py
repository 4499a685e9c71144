"""Checkpoints: a training resumes to the same bits, and refuses the file of another one."""

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from polarstep.nn import checkpoints, mlp, train  # noqa: E402
from polarstep.nn.descent import Descent  # noqa: E402
from small_networks import BATCHES, NORMALIZATIONS, X, Y, network, run, same_state  # noqa: E402


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
    # The third time, all records but the last one are read from the checkpoint.
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
    # Both the interrupted model and a new one can continue.
    at = torch.load(path, weights_only=True)["t"]
    assert at in (4, 5)
    kept = path.read_bytes()
    for continued in (model, network("batch")):
        path.write_bytes(kept)
        records = run(continued, checkpoint=path, **options)
        assert records == expected
        assert next(r.index for r in records if r.fresh) == at
        assert same_state(continued, whole)


def test_a_training_can_be_resumed_with_more_steps(tmp_path):
    path = tmp_path / "run.pt"
    expected = run(network(), steps=20)
    run(network(), steps=8, checkpoint=path)
    assert run(network(), steps=20, checkpoint=path) == expected
    with pytest.raises(ValueError, match="`steps` must be at least 20, the step of the checkpoint"):
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


def test_a_failed_write_keeps_the_previous_checkpoint(tmp_path, monkeypatch):
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
    "other data": ({"data": (3 * X, Y)}, "the loss at step 7 is .* instead of .*data, the network"),
    "other loss": ({"loss_fn": lambda o, t: 2 * cross_entropy(o, t)}, "the loss at step 7 is"),
}


@pytest.mark.parametrize(("options", "says"), OTHERS.values(), ids=OTHERS)
def test_a_checkpoint_of_other_settings_is_refused(tmp_path, options, says):
    path = tmp_path / "run.pt"
    run(network(), batch_size=16, checkpoint=path, stop_after=7)
    kept, model = path.read_bytes(), network()
    with pytest.raises(ValueError, match=f"to this training run; got '.*run.pt', where {says}"):
        run(model, **{"batch_size": 16, "checkpoint": path, **options})
    assert path.read_bytes() == kept
    assert same_state(model, network())


NETWORKS = {
    "seed": (network(seed=1), "neither the initial nor the saved weights are"),
    "activation": (
        mlp([6, 5, 4, 3], "tanh", seed=0),
        "nor the saved weights are|the loss at step 7",
    ),
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
        ValueError, match=r"must be a complete checkpoint .*run\.pt', which is damaged"
    ):
        run(network(), checkpoint=path)
