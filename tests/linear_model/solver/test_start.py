"""The start on the line S^-1 u: its length, its intercept, and the metric there."""

import numpy as np
import pytest

import polarstep as ps
from polarstep.linear_model.solver.problem import Plane
from polarstep.linear_model.solver.start import fit_length, newton_step, start_on_line
from polarstep.losses import LOSSES
from problems import BOUNDED
from weighted_samples import centred, gaussian, problem_of


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("intercept", [True, False])
def test_the_length_is_optimal_on_the_line(loss, intercept):
    X, y = gaussian(3000, 4)
    problem = problem_of(centred(X, y, LOSSES[loss]), 0.01, intercept)
    theta, _ = start_on_line(problem)
    here, zero = problem.evaluate(theta), problem.evaluate(np.zeros(len(theta)))
    assert here.fun < zero.fun
    assert abs(here.gradient @ theta) < 0.02 * np.abs(zero.gradient @ theta)
    S = np.cov(X.T, bias=True)
    if loss not in BOUNDED:  # with little penalty, S^-1 u is the direction
        free = problem_of(centred(X, y, LOSSES[loss]), 0.0, intercept)
        line = np.linalg.solve(S, X.T @ y - X.mean(axis=0) * y.sum())
        w = start_on_line(free)[0][:4]
        assert w @ line == pytest.approx(np.linalg.norm(w) * np.linalg.norm(line), rel=1e-3)


def test_on_gaussian_data_the_start_is_nearly_the_optimum():
    rng = np.random.default_rng(0)
    y = np.where(np.arange(40_000) % 2, 1.0, -1.0)
    X = rng.standard_normal((40_000, 5)) * [1, 2, 3, 4, 5] + 0.5 * y[:, None]
    problem = problem_of(centred(X, y))
    theta, _ = start_on_line(problem)
    best = ps.minimize(ps.Halfspace(X, y, intercept=True), "whitened", tol=1e-10).fun
    assert problem.evaluate(theta).fun <= best * (1 + 1e-3)


def test_the_metric_of_the_start_is_nearly_the_hessian():
    problem = problem_of(centred(*gaussian(20_000, 4)))
    theta, metric = start_on_line(problem)
    hessian = problem.metric(problem.evaluate(theta))
    g = np.random.default_rng(0).standard_normal(5)
    assert g @ metric.solve(g) == pytest.approx(g @ hessian.solve(g), rel=0.3)


def test_margins_are_those_of_the_start():
    problem = problem_of(centred(*gaussian(500, 4)), 0.1)
    zero = problem.evaluate(np.zeros(5))
    theta, margins = fit_length(problem, zero, -zero.gradient)
    np.testing.assert_allclose(margins, problem.evaluate(theta).margins, rtol=1e-10, atol=1e-12)
    _, by_t, by_h, *_ = Plane(problem, problem.evaluate(theta), -zero.gradient)(0.0)
    assert abs(by_t) < 1e-2
    assert abs(by_h) < 1e-2


@pytest.mark.parametrize("seed", range(5))
def test_the_newton_step_solves_with_the_hessian(seed):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((2, 2))
    H, g = root @ root.T, rng.standard_normal(2)
    step = newton_step(np.array([0.0, *g, H[0, 0], H[0, 1], H[1, 1]]), True)
    np.testing.assert_allclose(step, -np.linalg.solve(H, g), rtol=1e-8)
    length, nothing = newton_step(np.array([0.0, *g, H[0, 0], H[0, 1], H[1, 1]]), False)
    assert length == pytest.approx(-g[0] / H[0, 0])
    assert nothing == 0.0


def test_negative_curvature_still_gives_a_descent_direction():
    for H in ([[-1.0, 0.2], [0.2, 2.0]], [[-1.0, 0.0], [0.0, -2.0]]):
        (a, b), (_, c) = H
        step = newton_step(np.array([0.0, 0.5, -0.3, a, b, c]), True)
        assert np.dot(step, [0.5, -0.3]) < 0
    assert newton_step(np.array([0.0, 0.5, 0.0, -2.0, 0.0, 0.0]), False)[0] == -0.25
