"""Diagnostics of LengthDirection: angles, drift, lengths and conditions."""

import math

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from polarstep.optim import Covariance, Diagnostics, LengthDirection  # noqa: E402


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 2))


def step(model, optimizer, x):
    optimizer.zero_grad()
    (model(x) - 1).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("metric", ["covariance", "euclidean", "frobenius"])
@pytest.mark.parametrize("direction", ["adam", "sgd"])
def test_lr_is_the_tangent_of_the_angle(metric, direction):
    """The first step of SGD is tangent. The step of Adam is not quite, and turns by less."""
    model = network()
    optimizer = LengthDirection(model, 0.02, metric=metric, direction=direction)
    watch = Diagnostics(optimizer)
    assert "angle_mean" not in watch.read()["0.weight"]
    step(model, optimizer, torch.randn(20, 4))
    for row in watch.read().values():
        assert row["angle_max"] <= math.atan(0.02) * (1 + 1e-3)
        if direction == "sgd":
            assert row["angle_mean"] == pytest.approx(math.atan(0.02), rel=1e-3)


def test_drift_is_that_of_the_weights():
    model = network()
    optimizer = LengthDirection(model, 0.05)
    watch = Diagnostics(optimizer)
    weights = [model[2].weight.detach().clone()]
    for _ in range(3):
        step(model, optimizer, torch.randn(20, 4))
        row = watch.read()["2.weight"]
        weights.append(model[2].weight.detach().clone())
        for before, suffix in ((weights[0], ""), (weights[-2], "_since")):
            turned = torch.cosine_similarity(before, weights[-1]).double().acos().mean()
            grown = (weights[-1].norm(dim=1) / before.norm(dim=1)).log().mean()
            assert row[f"turned{suffix}"] == pytest.approx(turned.item(), rel=1e-2)
            assert row[f"grown{suffix}"] == pytest.approx(grown.item(), rel=1e-3, abs=1e-6)
    assert row["turned"] > row["turned_since"] > 0


def test_lengths_are_the_root_mean_squares_of_pre_activations():
    model = network()
    optimizer = LengthDirection(
        model, 0.0, metric=Covariance(damping=0.0, refresh_every=1, rows=0), length="fixed"
    )
    watch = Diagnostics(optimizer)
    x = torch.randn(50, 4)
    expected = (x @ model[0].weight.detach().T).square().mean(0).sqrt()
    step(model, optimizer, x)
    row = watch.read()["0.weight"]
    for name in ("min", "mean", "max"):
        assert row[f"length_{name}"] == pytest.approx(getattr(expected, name)().item(), rel=1e-4)


def test_the_condition_is_that_of_the_damped_covariance():
    model = network()
    optimizer = LengthDirection(model, 0.02, metric=Covariance(damping=0.3, rows=0))
    watch = Diagnostics(optimizer)
    x = torch.randn(50, 4) * torch.tensor([1.0, 2.0, 3.0, 10.0])
    step(model, optimizer, x)
    S = x.T @ x / 50
    S += 0.3 * S.trace() / 4 * torch.eye(4)
    assert watch.read()["0.weight"]["condition"] == pytest.approx(
        torch.linalg.cond(S).item(), rel=1e-3
    )


def test_scalars_go_to_a_writer():
    seen = {}

    class Writer:
        def add_scalar(self, tag, value, step):
            seen[tag, step] = value

    model = network()
    optimizer = LengthDirection(model, 0.02)
    watch = Diagnostics(optimizer)
    step(model, optimizer, torch.randn(20, 4))
    watch.write(Writer(), 7)
    assert math.isfinite(sum(seen.values()))
    assert ("length_direction/2.weight/angle_mean", 7) in seen
    assert len(seen) == 2 * 10


def test_zero_weights_and_late_groups_are_seen():
    model = network()
    with torch.no_grad():
        model[2].weight.zero_()
    optimizer = LengthDirection([model[0].weight], 0.02, metric="euclidean")
    watch = Diagnostics(optimizer)
    optimizer.add_param_group({"params": [model[2].weight]})
    rows = watch.read()
    assert "turned" not in rows["1"]
    step(model, optimizer, torch.randn(20, 4))
    assert set(watch.read()) == {"0", "1"}


def test_other_optimizers_are_refused():
    with pytest.raises(TypeError, match="`optimizer` must be a LengthDirection; got a SGD"):
        Diagnostics(torch.optim.SGD(network().parameters()))
