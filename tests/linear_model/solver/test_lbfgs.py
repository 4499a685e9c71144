"""L-BFGS: its inverse Hessian, its estimates, its steps and how it ends."""

import numpy as np
import pytest

from polarstep.linear_model.solver.columns import GramColumns
from polarstep.linear_model.solver.lbfgs import (
    Convergence,
    InverseHessian,
    descend,
    search_length,
    take_step,
)
from polarstep.linear_model.solver.metric import HessianMetric
from polarstep.linear_model.solver.penalty import DiagonalPenalty
from polarstep.losses import LOSSES
from polarstep.result import Status
from weighted_samples import centred, gaussian, problem_of


def identity(d):
    """The identity as a metric without an intercept."""
    penalty = DiagonalPenalty(np.zeros(d))
    return HessianMetric(np.eye(d + 1), GramColumns.every(d), penalty, intercept=False)


def test_two_loops_give_the_dense_bfgs_update():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((5, 5))
    A, inverse, H = root @ root.T, InverseHessian(identity(5)), np.eye(5)
    for _ in range(4):
        step = rng.standard_normal(5)
        change = A @ step
        inverse.add(step, change, True)
        V = np.eye(5) - np.outer(change, step) / (step @ change)
        H = V.T @ H @ V + np.outer(step, step) / (step @ change)
    g = rng.standard_normal(5)
    np.testing.assert_allclose(inverse.times(g), H @ g, rtol=1e-9)


def test_pairs_without_curvature_are_left_out():
    inverse = InverseHessian(identity(3))
    inverse.add(np.ones(3), -np.ones(3), True)
    assert not inverse.pairs


def test_two_rejected_unit_steps_shorten_the_steps_and_accepted_ones_lengthen_them():
    inverse, step = InverseHessian(identity(3)), np.ones(3)
    inverse.add(step, 4.0 * step, False)
    assert inverse.scale == 1.0
    inverse.add(step, 4.0 * step, False)
    assert inverse.scale == pytest.approx(0.25)
    for expected in (0.5, 1.0, 1.0):
        inverse.add(step, step, True)
        assert inverse.scale == pytest.approx(expected)
    inverse.add(step, 1e9 * step, False)
    inverse.add(step, 1e9 * step, False)
    assert inverse.scale == pytest.approx(0.1)


def test_the_contraction_is_the_mean_of_the_last_three_steps():
    convergence = Convergence()
    for step in range(6):
        convergence.add(0.1**step)
    assert convergence.contraction == pytest.approx(0.1)
    root = np.sqrt(0.1)
    assert convergence.gap == pytest.approx(1.5e-5 * (1 + root) / (1 - root))
    convergence.compare(decrease=3.0, decrement=1.0)
    convergence.add(1e-6)
    assert convergence.gap == pytest.approx(3 * 1.5e-6 * (1 + root) / (1 - root))


@pytest.mark.parametrize("decrements", [[1.0], [1.0, 1e-12], [1.0, 10.0], [0.0, 0.0]])
def test_the_estimate_is_cautious_after_few_steps(decrements):
    convergence = Convergence()
    for decrement in decrements:
        convergence.add(decrement)
    assert convergence.gap >= 4.5 * decrements[-1]  # that of a contraction of 1/4 at least
    assert 1e-4 <= convergence.contraction <= 0.95


@pytest.mark.parametrize("loss", ["softplus", "smooth_hinge", "squared"])
def test_steps_satisfy_the_wolfe_conditions(loss):
    problem = problem_of(centred(*gaussian(300, 4), LOSSES[loss]), 1e-3)
    point = problem.evaluate(np.zeros(5))
    for scale in (1.0, 30.0, 300.0):
        p = -scale * point.gradient
        next_point, t = take_step(problem, point, p)
        slope = point.gradient @ p
        assert next_point.fun < point.fun
        assert abs(next_point.gradient @ p) <= 0.9 * abs(slope)
        np.testing.assert_allclose(next_point.theta, point.theta + t * p)


@pytest.mark.parametrize("scale", [1e-6, 1e-2, 100.0])
def test_a_searched_length_has_a_small_slope(scale):
    problem = problem_of(centred(*gaussian(300, 4)), 1e-3)
    point = problem.evaluate(np.zeros(5))
    p = -scale * point.gradient
    slope = float(point.gradient @ p)
    t = search_length(problem, point, p, slope)
    assert 0 < t < 1 if scale > 1 else t > 1
    assert abs(problem.evaluate(point.theta + t * p).gradient @ p) <= 0.1 * abs(slope)
    assert search_length(problem, point, -p, -slope) == 0.0  # uphill


def test_how_a_descent_ends():
    problem = problem_of(centred(*gaussian(300, 4)), 1e-3)
    start = problem.evaluate(np.zeros(5))
    metric, seen = problem.metric(start), []
    point, status = descend(
        problem, start, metric, 1e-8, 100, observe=lambda point, _: seen.append(point.fun)
    )
    assert status is Status.converged
    assert seen[-1] == point.fun
    assert (np.diff(seen) < 0).all()
    assert np.linalg.norm(point.gradient) < 1e-4
    assert descend(problem, start, metric, 1e-8, 1)[1] is Status.max_iter
    assert descend(problem, start, metric, 0.0, 1000)[1] is Status.rounding


def test_a_renewed_metric_takes_the_place_of_the_old_one():
    problem = problem_of(centred(*gaussian(300, 4)), 1e-3)
    start = problem.evaluate(np.zeros(5))
    poor = problem.metric(start).times(50.0)  # steps that are far too short
    slow, fast = [], []
    descend(problem, start, poor, 1e-6, 200, observe=lambda *_: slow.append(1))
    descend(
        problem, start, poor, 1e-6, 200,
        observe=lambda *_: fast.append(1), renew_metric=lambda point, _: problem.metric(point),
    )  # fmt: skip
    assert len(fast) < len(slow)
    assert len(fast) <= 8
