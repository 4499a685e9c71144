"""The loop: results, passes, and a real situation for every status."""

import numpy as np
import pytest
from scipy import optimize

import polarstep as ps
from polarstep import Status
from polarstep.steps import project_to_ball
from problems import METHODS

RNG = np.random.default_rng(1)
Y = np.where(RNG.random(400) < 0.5, 1.0, -1.0)
X = (RNG.standard_normal((400, 4)) + 0.5 * Y[:, None]) * [1.0, 0.5, 2.0, 1.0] + 3.0


class CountingMatrix(np.ndarray):
    """An array that counts the products it takes part in."""

    products = 0

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if ufunc is np.matmul:
            CountingMatrix.products += 1
        plain = [i.view(np.ndarray) if isinstance(i, CountingMatrix) else i for i in inputs]
        return getattr(ufunc, method)(*plain, **kwargs)


@pytest.mark.parametrize("method", METHODS)
def test_results_are_consistent(method):
    w0 = RNG.standard_normal(4)
    before = w0.copy()
    result = ps.minimize(ps.Halfspace(X, Y), method, w0, max_iter=30, tol=0.0)
    trace = result.trace
    np.testing.assert_array_equal(w0, before)
    np.testing.assert_allclose(result.x, result.length * result.direction, rtol=1e-12)
    assert trace.fun[-1] < trace.fun[0]
    assert {len(column) for column in trace.as_dict().values()} == {31}
    assert result.n_iter == 30
    assert result.n_passes == 62
    np.testing.assert_array_equal(trace.passes, 2 * np.arange(31) + 2)
    objective = ps.Halfspace(X, Y)
    assert result.fun == pytest.approx(objective.value(result.x), rel=1e-12)
    gradient = objective.moments.dual_norm(objective.gradient(result.x))
    assert result.grad_norm == pytest.approx(gradient, rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bisection_steps", [None, 40])
def test_passes_are_the_products_that_were_made(method, bisection_steps):
    objective = ps.Halfspace(X, Y)
    objective.design.X = np.ascontiguousarray(X).view(CountingMatrix)
    options = {"bisection_steps": bisection_steps} if method == "gdnp" else {}
    CountingMatrix.products = 0
    result = ps.minimize(objective, method, max_iter=12, tol=0.0, **options)
    assert CountingMatrix.products == result.n_passes == 26


def test_converged_and_max_iter():
    objective = ps.Halfspace(X, Y, length_penalty=0.1)
    assert ps.minimize(objective, "gdnp", max_iter=2000).status is Status.converged
    short = ps.minimize(objective, "gdnp", max_iter=1)
    assert short.status is Status.max_iter
    assert not short.success


def test_diverged_keeps_the_last_finite_iterate():
    result = ps.minimize(ps.LeastSquares(X, Y), "gd", max_iter=5000, step_size=1e3)
    assert result.status is Status.diverged
    assert np.isfinite(result.x).all()
    assert "step_size" in result.message


def test_orthogonal_start_to_rounding():
    objective = ps.Halfspace(X, Y)
    u = objective.moments.u
    w = RNG.standard_normal(4)
    w -= u * (u @ w) / (u @ u)
    assert ps.minimize(objective, "gdnp", w).status is Status.orthogonal_start
    assert ps.minimize(objective, "gd", w).status is not Status.orthogonal_start


def test_no_length_root():
    u, S = np.array([0.5, 0.1]), np.eye(2)
    bounded = ps.GaussianHalfspace(u, S, "sigmoid")
    assert ps.minimize(bounded, "gdnp").status is Status.no_length_root
    separable = ps.Halfspace([[-2.0], [-1.0], [1.0], [2.0]], [0, 0, 1, 1])
    assert ps.minimize(separable, "gdnp").status is Status.no_length_root


@pytest.mark.parametrize("method", METHODS)
def test_the_capped_optimum_is_the_constrained_one(method):
    objective = ps.Halfspace(X, Y, max_length=0.7)
    result = ps.minimize(objective, method, max_iter=5000, tol=1e-7)
    assert result.status is Status.length_capped
    assert result.success
    assert result.length == pytest.approx(0.7, rel=1e-9)
    S = objective.moments.S
    ball = {"type": "ineq", "fun": lambda w: 0.49 - w @ S @ w, "jac": lambda w: -2 * S @ w}
    best = optimize.minimize(
        objective.value, 0 * result.x, jac=objective.gradient, method="SLSQP", constraints=ball,
        options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    np.testing.assert_allclose(result.x, best.x, atol=1e-5)


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


@pytest.mark.parametrize("signal", [StopIteration, KeyboardInterrupt])
def test_interruptions_keep_what_was_reached(signal):
    def callback(progress):
        if progress.iteration == 5:
            raise signal

    result = ps.minimize(ps.Halfspace(X, Y), "gdnp", callback=callback, tol=0.0)
    assert result.status is Status.interrupted
    assert result.n_iter == 5
    assert len(result.trace) == 6
