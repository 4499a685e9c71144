"""Steps of one stack of matrices: zeros, extreme gradients, growing vectors, decay of lengths."""

import math

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from optim_training import DIRECTIONS, METRICS, network, run  # noqa: E402
from polarstep.optim import (  # noqa: E402
    SGD,
    Adam,
    AdamW,
    Covariance,
    Diagnostics,
    Gains,
    LengthDirection,
)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_zero_gradients_change_nothing(metric, direction):
    model = network()
    optimizer = LengthDirection(model, 0.05, metric=metric, direction=direction)
    before = [p.detach().clone() for p in model.parameters()]
    for _ in range(3):
        for p in model.parameters():
            p.grad = torch.zeros_like(p)
        optimizer.step()
    for p, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(p.detach(), old, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("where", ["row", "all"])
def test_rows_of_zeros_start_downhill(metric, direction, where):
    model = network()
    with torch.no_grad():
        (model[2].weight[3] if where == "row" else model[2].weight).zero_()
        model[2].bias.zero_()
    optimizer = LengthDirection(
        model, 0.05, metric=metric, direction=direction, others=AdamW(lr=0.0)
    )
    losses = run(model, optimizer, torch.randn(20, 6), steps=20)
    row = model[2].weight[3]
    assert losses[-1] < losses[0]
    assert row.norm() > 0.01


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_gradients_of_any_scale(scale, direction):
    model = nn.Linear(4, 3, bias=False)
    optimizer = LengthDirection(
        model, 0.05, metric="euclidean", direction=direction, length="fixed"
    )
    before = model.weight.detach().clone()
    model.weight.grad = torch.randn(3, 4) * scale
    optimizer.step()
    if direction != "adam":  # Adam squares the gradient, which may underflow or overflow
        turned = torch.cosine_similarity(before, model.weight.detach()).acos()
        assert (turned > 0.01).all()
    assert model.weight.isfinite().all()


def test_angles_shrink_as_vectors_grow():
    model = network()
    optimizer = LengthDirection(model, 0.5, metric=Covariance(refresh_every=2), retraction="none")
    watch = Diagnostics(optimizer)
    x, seen = torch.randn(20, 6), []
    for _ in range(12):
        run(model, optimizer, x, steps=1)
        seen.append(watch.read()["2.weight"]["angle_mean"])
    assert seen[0] == pytest.approx(math.atan(0.5), rel=0.5)  # the vectors start with norm one
    assert seen[-1] < 0.5 * seen[0]


def test_the_decay_of_lengths_is_decoupled():
    """Without gradients lengths shrink by their learning rate times the decay; directions stay."""
    layer = nn.Linear(3, 2, bias=False, dtype=torch.float64)
    before = layer.weight.detach().clone()
    optimizer = LengthDirection(
        layer,
        0.1,
        metric="euclidean",
        direction="sgd",
        length=Adam(lr=0.2),
        gains=Gains(decay=0.5),
    )
    for _ in range(3):
        layer.weight.grad = torch.zeros_like(layer.weight)
        optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), before * (1 - 0.2 * 0.5) ** 3)


def test_positive_gains_stay_positive():
    model = network()
    optimizer = LengthDirection(
        model, 0.05, metric="euclidean", length=SGD(lr=100.0), gains=Gains(positive=True)
    )
    x = torch.randn(20, 6)
    run(model, optimizer, x, steps=3)
    assert (optimizer.lengths("2.weight") >= 0).all()
    free = network()
    signed = LengthDirection(free, 0.05, metric="euclidean", length=SGD(lr=100.0))
    run(free, signed, x, steps=3)
    assert (signed.lengths("2.weight") < 0).any()
