"""LengthDirection on a linear model of one unit gives the iterates of `polarstep.minimize`."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402
from torch.nn.functional import softplus  # noqa: E402

import polarstep as ps  # noqa: E402
from polarstep.optim import SGD, Covariance, LengthDirection  # noqa: E402

STEPS = 40
GRADIENT_STEPS = {  # plain gradient steps on v and g, W = g v/||v||
    "direction": SGD(),
    "angle": "off",
    "retraction": "none",
}
# The metric S itself, of the whole batch at every step.
BATCH_NORM = Covariance(damping=0.0, refresh_every=1, rows=0, precondition=False)


def least_squares(X, y):
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    return lambda model: (y - model(X)[:, 0]).square().mean()


def halfspace(X, y):
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    return lambda model: softplus(-y * model(X)[:, 0]).mean()


KINDS = {
    "least squares": (lambda X, y: ps.LeastSquares(X, y), least_squares),
    "halfspace": (lambda X, y: ps.Halfspace(X, y), halfspace),
}


@pytest.fixture(params=KINDS)
def problem(request):
    """Return an objective, the same loss of a model, and w0 with ||w0||_S = 1."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((60, 5)) * [3.0, 2.0, 1.0, 1.0, 0.5]
    X = X @ np.linalg.qr(rng.standard_normal((5, 5)))[0]
    X -= X.mean(axis=0)
    y = np.where(X @ rng.standard_normal(5) + 2 * rng.standard_normal(60) > 0, 1.0, -1.0)
    objective, loss = (make(X, y) for make in KINDS[request.param])
    w0 = rng.standard_normal(5)
    return objective, loss, w0 / objective.moments.norm(w0)


def iterates(objective, method, w0, **options):
    seen = []
    ps.minimize(
        objective,
        method,
        w0,
        max_iter=STEPS,
        tol=0,
        callback=lambda row: seen.append(row.x),
        **options,
    )
    return np.array(seen)


def linear(weight):
    model = nn.Linear(len(weight), 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(weight))
    return model


def walk(model, loss, optimizer):
    seen = [model.weight.detach().numpy()[0].copy()]
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss(model).backward()
        optimizer.step()
        seen.append(model.weight.detach().numpy()[0].copy())
    return np.array(seen)


def test_the_covariance_metric_with_gradient_steps_is_batch_normalization(problem):
    objective, loss, w0 = problem
    expected = iterates(objective, "bn", w0, step_size=0.2, length_step_size=0.1)
    model = linear(w0)
    optimizer = LengthDirection(model, 0.2, metric=BATCH_NORM, length=SGD(lr=0.1), **GRADIENT_STEPS)
    found = walk(model, loss, optimizer)
    assert np.abs(found[-1] - found[0]).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_the_euclidean_metric_with_gradient_steps_is_weight_normalization(problem):
    objective, loss, w0 = problem
    start = 1.7 * w0
    length = float(np.linalg.norm(start))
    expected = iterates(objective, "wn", start, step_size=0.05, length_step_size=0.1, length=length)
    model = linear(start)
    optimizer = LengthDirection(
        model, 0.05, metric="euclidean", length=SGD(lr=0.1), **GRADIENT_STEPS
    )
    found = walk(model, loss, optimizer)
    assert np.abs(found[-1] - found[0]).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_the_theorems_step_and_a_length_search_are_gdnp(problem):
    """Retraction changes nothing, because the theorem's step does not depend on the norm."""
    objective, loss, w0 = problem
    moments = objective.moments
    expected = iterates(objective, "gdnp", w0)
    model = linear(w0)
    options = GRADIENT_STEPS | {"retraction": "normalize", "length": "fixed"}
    optimizer = LengthDirection(model, 1.0, metric=BATCH_NORM, **options)

    def slope(g, direction):
        weight = torch.from_numpy(g * direction)[None].requires_grad_()
        value = loss(lambda x: x @ weight.T)
        return float(torch.autograd.grad(value, weight)[0].numpy()[0] @ direction)

    found = [w0]
    for step in range(STEPS):
        optimizer.zero_grad()
        loss(model).backward()
        W = model.weight.detach().numpy()[0]
        # s = -||w||_S^3/(L g h) with h = c1 u^T w, at the direction w of S-norm one
        g = float(optimizer.lengths("weight")) if step else 1.0
        c1, _c2 = objective.coefficients(W)
        optimizer.param_groups[0]["lr"] = -1 / (moments.L * g * c1 * (moments.u @ (W / g)))
        optimizer.step()
        direction = model.weight.detach().numpy()[0] / g
        assert moments.norm(direction) == pytest.approx(1, abs=1e-12)
        side = -np.sign(slope(0.0, direction))
        root = brentq(slope, 0, 64 * side, args=(direction,), xtol=1e-14, rtol=1e-14)
        optimizer.set_lengths("weight", root)
        found.append(model.weight.detach().numpy()[0].copy())
    np.testing.assert_allclose(np.array(found), expected, rtol=0, atol=1e-10)


def test_steps_in_whitened_coordinates_solve_least_squares():
    """For whitened inputs the condition number of least squares is one."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 4)) * [10, 1, 0.1, 1]
    X -= X.mean(axis=0)
    y = X @ rng.standard_normal(4)
    solution = np.linalg.lstsq(X, y, rcond=None)[0]
    model = linear(np.linalg.lstsq(X, y + rng.standard_normal(50), rcond=None)[0])
    loss = least_squares(X, y)
    options = GRADIENT_STEPS | {"retraction": "normalize"}
    metric = replace(BATCH_NORM, precondition=True)
    g = np.sqrt(np.mean((X @ model.weight.detach().numpy()[0]) ** 2))
    optimizer = LengthDirection(model, 0.5 / g**2, metric=metric, length=SGD(lr=0.5), **options)
    error = [np.abs(W - solution).max() for W in walk(model, loss, optimizer)]
    assert error[0] > 0.1
    assert error[STEPS] < 1e-10
