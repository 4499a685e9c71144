"""The cap on the length: its optimum, starts beyond it, and the projection onto it."""

import numpy as np
import pytest
from scipy import optimize

import polarstep as ps
from polarstep import Status
from polarstep.methods.cap import project_to_ball
from problems import METHODS

RNG = np.random.default_rng(1)
Y = np.where(RNG.random(400) < 0.5, 1.0, -1.0)
X = (RNG.standard_normal((400, 4)) + 0.5 * Y[:, None]) * [1.0, 0.5, 2.0, 1.0] + 3.0

CAPPED = {
    "softplus": lambda cap: ps.Halfspace(X, Y, max_length=cap),
    "sigmoid": lambda cap: ps.Halfspace(X, Y, "sigmoid", max_length=cap),
    "penalised": lambda cap: ps.Halfspace(X, Y, "normal_cdf", 0.001, max_length=cap),
    "least squares": lambda cap: ps.LeastSquares(X, Y, max_length=cap),
    "population": lambda cap: ps.GaussianHalfspace(
        [0.5, 0.1, 0.2], np.diag([1.0, 0.5, 2.0]), "sigmoid", max_length=cap
    ),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", CAPPED)
@pytest.mark.parametrize("cap", [0.05, 0.6])
def test_the_capped_optimum_is_the_constrained_one(case, cap, method):
    objective = CAPPED[case](cap)
    result = ps.minimize(objective, method, max_iter=20_000, tol=1e-7, **small_sphere(method, cap))
    assert result.status is Status.length_capped
    assert result.success
    assert result.length == pytest.approx(cap, rel=1e-9)
    assert (result.trace.length <= cap * (1 + 1e-12)).all()
    # Karush-Kuhn-Tucker: grad f = -multiplier S wt with a multiplier > 0.
    moments, gradient = objective.moments, objective.gradient(result.x)
    multiplier = -(result.x @ gradient) / cap**2
    assert multiplier > 0
    assert moments.dual_norm(gradient + multiplier * moments.S @ result.x) <= 1.01e-7
    ball = {
        "type": "ineq",
        "fun": lambda w: 1 - w @ moments.S @ w / cap**2,
        "jac": lambda w: -2 * moments.S @ w / cap**2,
    }
    best = optimize.minimize(
        objective.value,
        -0.9 * cap * moments.u / moments.norm(moments.u),
        jac=objective.gradient,
        method="SLSQP",
        constraints=ball,
        options={"ftol": 1e-15, "maxiter": 500},
    )
    assert result.fun == pytest.approx(best.fun, abs=1e-9)
    np.testing.assert_allclose(result.x, best.x, atol=1e-4 * cap)


def small_sphere(method, cap):
    """On a small sphere the direction of wn and bn moves by cap^2 a step: scale it up."""
    return {"step_size": 0.3 / cap**2} if method in ("wn", "bn") and cap < 0.1 else {}


@pytest.mark.parametrize("method", METHODS)
def test_a_cap_that_is_not_reached_changes_nothing(method):
    free, capped = (
        ps.minimize(ps.Halfspace(X, Y, "softplus", 0.2, cap), method, max_iter=50, tol=0.0)
        for cap in (np.inf, 5.0)
    )
    assert free.length < 2
    np.testing.assert_array_equal(free.trace.fun, capped.trace.fun)


@pytest.mark.parametrize("method", METHODS)
def test_a_start_beyond_the_cap_is_brought_back(method):
    objective = ps.Halfspace(X, Y, max_length=0.3)
    options = {} if method in ("gd", "agd") else {"length": -7.0}
    result = ps.minimize(objective, method, 50.0 * np.ones(4), max_iter=5, tol=0.0, **options)
    assert result.trace.length[0] == pytest.approx(0.3)
    assert (result.trace.length <= 0.3 * (1 + 1e-12)).all()


@pytest.mark.parametrize("seed", range(20))
def test_projection_onto_the_cap(seed):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((3, 3))
    moments = ps.Moments(np.zeros(3), A @ A.T)
    wt = rng.standard_normal(3)
    radius = moments.norm(wt) * rng.uniform(0.1, 1.5)
    projected = project_to_ball(moments, wt, radius)
    if moments.norm(wt) <= radius:
        np.testing.assert_array_equal(projected, wt)
        return
    assert moments.norm(projected) == pytest.approx(radius, rel=1e-12)
    normal = moments.S @ projected
    away = wt - projected
    assert away @ normal == pytest.approx(np.linalg.norm(away) * np.linalg.norm(normal), rel=1e-8)


@pytest.mark.parametrize("seed", range(50))
def test_projection_of_a_point_outside_by_rounding(seed):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((30, 30))
    moments = ps.Moments(np.zeros(30), A @ A.T)
    wt = rng.standard_normal(30)
    radius = np.nextafter(moments.norm(wt), 0)
    np.testing.assert_allclose(project_to_ball(moments, wt, radius), wt, rtol=1e-9, atol=1e-12)
