"""The options of gains and angles."""

import math

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from polarstep.optim import Angle, Covariance, Diagnostics, Gains, LengthDirection  # noqa: E402
from polarstep.optim.polar import polar_factor  # noqa: E402
from polarstep.optim.spheres import MATRIX, ROWS  # noqa: E402

SHAPES = [(2, 5, 3), (3, 3, 5), (1, 4, 4)]


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3)
    )


def step(model, optimizer, x):
    optimizer.zero_grad()
    (model(x) - 1).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("sphere", [ROWS, MATRIX], ids=["rows", "matrix"])
@pytest.mark.parametrize("shape", SHAPES)
def test_updates_are_scaled_to_the_angle_that_is_measured(sphere, shape):
    generator = torch.Generator().manual_seed(0)
    update = torch.randn(shape, generator=generator, dtype=torch.float64)
    _, m, n = shape
    each = Angle("each").scale(update, sphere, 2.0)
    torch.testing.assert_close(sphere.norm(each), torch.full_like(sphere.norm(each), 2.0))
    assert torch.equal(Angle("auto").scale(update, sphere, 2.0), each)
    exact = polar_factor(update, iteration="exact")
    radius = 2.0 if sphere is MATRIX else 1.0
    for rms in (
        Angle("rms").scale(update, sphere, radius),
        Angle("rms").scale(exact, sphere, radius, polar=(m, n)),
        Angle("auto").scale(exact, sphere, radius, polar=(m, n)),
    ):
        mean = sphere.norm(rms).square().mean(-2).sqrt()
        torch.testing.assert_close(mean, torch.full_like(mean, radius))
    assert Angle("off").scale(update, sphere, 2.0) is update


@pytest.mark.parametrize("retraction", ["normalize", "none"])
@pytest.mark.parametrize("metric", ["covariance", "euclidean", "frobenius"])
def test_no_direction_turns_by_more_than_the_largest_angle(metric, retraction):
    model = network()
    optimizer = LengthDirection(
        model, 3.0, metric=metric, retraction=retraction, angle=Angle(largest=0.1)
    )
    watch = Diagnostics(optimizer)
    x = torch.randn(20, 6)
    for _ in range(5):
        step(model, optimizer, x)
        for row in watch.read().values():
            assert 0 < row["angle_max"] <= math.asin(0.1) + 1e-6


def test_a_schedule_of_the_angle_does_not_change_the_lengths_steps():
    model = network()
    optimizer = LengthDirection(
        model, 0.05, metric=Covariance(refresh_every=100), angle=Angle(schedule=lambda t: 0.0)
    )
    x = torch.randn(24, 6)
    step(model, optimizer, x)
    state = optimizer.state[model[2].weight]
    V, g = state["direction"].clone(), state["length"].clone()
    step(model, optimizer, x)
    torch.testing.assert_close(state["direction"], V)
    assert (state["length"] - g).abs().min() > 1e-3


def test_the_schedule_is_given_the_number_of_steps_taken():
    seen = []
    model = network()
    angle = Angle(schedule=lambda t: seen.append(t) or 1.0)
    optimizer = LengthDirection(model, 0.05, metric="frobenius", angle=angle)
    for _ in range(3):
        step(model, optimizer, torch.randn(20, 6))
    assert sorted(set(seen)) == [0, 1, 2]


def test_slopes_are_those_of_rows_or_of_the_matrix():
    G, U = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    torch.testing.assert_close(Gains("row").slopes(G, U), (G * U).sum(-1, keepdim=True))
    torch.testing.assert_close(Gains("both").slopes(G, U), (G * U).sum(-1, keepdim=True))
    whole = (G * U).sum((-2, -1), keepdim=True)
    torch.testing.assert_close(Gains("matrix").slopes(G, U), whole)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gains("rows"), "Gains: `axes` must be one of 'both', 'matrix', 'row'"),
        (lambda: Gains(positive=1), "`positive` must be True or False"),
        (lambda: Gains(decay=-1.0), "`decay` must be a finite number >= 0"),
        (lambda: Angle("all"), "Angle: `measure` must be one of 'auto', 'each', 'off', 'rms'"),
        (lambda: Angle(largest=0.0), "`largest` must be a finite number > 0"),
        (lambda: Angle(schedule=0.5), "`schedule` must be a function or None; got a float"),
    ],
)
def test_bad_values_are_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
