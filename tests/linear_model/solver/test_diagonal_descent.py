"""L-BFGS in a diagonal metric: where it is used, the optimum, and when it gives way."""

import numpy as np
import pytest
import scipy.sparse as sp

import polarstep as ps
from polarstep import Status
from polarstep.linear_model.solver.diagonal_descent import (
    SinglePrecision,
    TooSlow,
    descend_in_diagonal_metric,
    start_in_diagonal_metric,
    suits_diagonal_metric,
)
from polarstep.linear_model.solver.lbfgs import Convergence, descend
from polarstep.linear_model.solver.metric import DiagonalMetric
from polarstep.linear_model.solver.row_space import RowSpace
from polarstep.losses import LOSSES
from weighted_samples import centred, gaussian, problem_of


def correlated(n, d, decades=3.0, seed=0):
    """Return Gaussian rows whose covariance has eigenvalues over some decades, and labels."""
    rng = np.random.default_rng(seed)
    Q, _ = np.linalg.qr(rng.standard_normal((d, d)))
    X = rng.standard_normal((n, d)) * 10 ** np.linspace(-decades / 2, 0, d) @ Q.T
    score = X @ rng.standard_normal(d)
    return X, np.where(2 * score / score.std() + rng.logistic(size=n) > 0, 1.0, -1.0)


def test_where_a_diagonal_metric_suits():
    X, y = gaussian(600, 300)
    assert suits_diagonal_metric(problem_of(centred(X, y), 1e-3))
    assert not suits_diagonal_metric(problem_of(centred(X, y)))  # no penalty
    assert not suits_diagonal_metric(problem_of(centred(X, y, LOSSES["sigmoid"]), 1e-3))
    assert not suits_diagonal_metric(problem_of(centred(sp.csr_array(X), y), 1e-3))
    assert not suits_diagonal_metric(problem_of(centred(X[:, :100], y), 1e-3))
    assert not suits_diagonal_metric(problem_of(centred(np.tile(X, (6, 1)), np.tile(y, 6)), 1e-3))
    inside = problem_of(centred(X, y), 1e-3)
    inside.coordinates = RowSpace(X[:100])
    assert not suits_diagonal_metric(inside)


def test_the_first_direction_shows_correlated_columns():
    assert start_in_diagonal_metric(problem_of(centred(*gaussian(900, 300)), 1e-3)) is not None
    assert start_in_diagonal_metric(problem_of(centred(*correlated(900, 300, 6.0)), 1e-3)) is None


@pytest.mark.parametrize("loss", ["softplus", "smooth_hinge"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("n", [300, 800])
@pytest.mark.parametrize("alpha", [1e-2, 1e-4])
def test_the_optimum_and_the_estimate(loss, intercept, n, alpha):
    """The units of the columns do not matter, and the estimate is not too low."""
    X, y = gaussian(n, 250)
    X *= 10.0 ** np.random.default_rng(1).uniform(-0.3, 0.3, 250)
    problem = problem_of(centred(X, y, LOSSES[loss]), alpha, intercept)
    found = start_in_diagonal_metric(problem)
    assert found is not None
    objective = ps.Halfspace(X, y, loss, l2_penalty=alpha, intercept=intercept)
    w0 = np.zeros(250 + intercept)  # a run from a given start uses Gram matrices
    best = ps.minimize(objective, "whitened", w0=w0, tol=1e-13, max_iter=500).fun
    for tol in (1e-3, 1e-6, 1e-9):
        seen = []
        point, status = descend_in_diagonal_metric(
            problem, *found, tol, 200, np.random.default_rng(0),
            lambda point, convergence, seen=seen: seen.append((point.fun, convergence.gap)),
        )  # fmt: skip
        assert status is Status.converged
        fun, gap = seen[-1]
        assert fun == point.fun
        assert fun - best <= min(1.1 * gap, tol * fun) + 1e-12 * best


def test_a_slow_rate_and_many_steps_end_it():
    problem = problem_of(centred(*gaussian(400, 250)), 1e-3)
    point = problem.evaluate(np.zeros(251))

    def steps(contraction, max_iter):
        rule, convergence, n = TooSlow(problem, 1e-8, max_iter), Convergence(8), 0
        while not rule(point, None, convergence) and n < 200:
            convergence.add(0.1 * contraction**n)
            n += 1
        return n

    assert steps(0.5, 1_000) == 200
    assert 30 < steps(0.94, 1_000) < 100  # it is more patient far from the minimum
    assert steps(0.5, 100) == 70  # most of the steps that are allowed


def test_a_gram_matrix_follows_where_columns_turn_out_to_be_correlated():
    problem = problem_of(centred(*correlated(900, 250, 6.0)), 1e-5)
    start = problem.evaluate(np.zeros(251))
    metric = DiagonalMetric(np.append(problem.samples.squares(problem.samples.weight), 1.0))
    seen = []
    point, status = descend_in_diagonal_metric(
        problem, start, metric, 1e-9, 100, np.random.default_rng(0),
        lambda point, _: seen.append(point),
    )  # fmt: skip
    assert status is Status.converged
    assert len(seen) < 40
    assert len({id(point) for point in seen}) == len(seen)  # no iterate is shown twice
    assert np.abs(point.gradient).max() < 1e-5


def test_conjugate_gradients_finish_a_run_that_nears_its_last_step():
    problem = problem_of(centred(*gaussian(300, 250)), 1e-5)
    point, status = descend_in_diagonal_metric(
        problem, *start_in_diagonal_metric(problem), 1e-9, 40, np.random.default_rng(0)
    )
    assert status is Status.converged
    assert np.abs(point.gradient).max() < 1e-6


def test_x_is_read_in_double_precision_close_to_the_minimum():
    problem = problem_of(centred(*gaussian(600, 300)), 1e-3)
    samples, kinds = problem.samples, []

    def observe(point, convergence):
        kinds.append(problem.samples.X.dtype)

    with SinglePrecision(problem, observe) as watch:
        assert problem.samples.X.dtype == np.float32
        point, metric = start_in_diagonal_metric(problem)
        descend(problem, point, metric, 1e-10, 200, observe=watch)
        assert problem.samples is samples
    assert kinds[0] == np.float32
    assert kinds[-1] == np.float64
    assert kinds == sorted(kinds, key=lambda kind: kind == np.float64)


def test_numbers_beyond_single_precision_are_read_in_double_precision():
    X, y = gaussian(600, 300)
    problem = problem_of(centred(X * 1e100, y), 1e-3)
    samples = problem.samples
    with np.errstate(over="ignore"), SinglePrecision(problem, None):
        assert problem.samples is samples


def test_an_interruption_restores_the_rows():
    problem = problem_of(centred(*gaussian(600, 300)), 1e-3)
    samples = problem.samples
    with pytest.raises(KeyboardInterrupt), SinglePrecision(problem, None):
        raise KeyboardInterrupt
    assert problem.samples is samples
