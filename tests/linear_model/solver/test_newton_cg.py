"""Truncated Newton's method: the optimum, its estimate of the suboptimality, and its place."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

import polarstep as ps
from polarstep import Status
from polarstep.linear_model.solver.lbfgs import Convergence
from polarstep.linear_model.solver.newton_cg import (
    PoorMetric,
    can_use_newton_cg,
    descend_by_newton_cg,
    has_few_rows,
)
from polarstep.linear_model.solver.penalty import DiagonalPenalty
from polarstep.linear_model.solver.problem import Problem
from polarstep.losses import LOSSES
from weighted_samples import centred, problem_of


def words(n=400, d=1_500, seed=0, per_row=25):
    """Return a text-like CSR matrix of words with Zipf frequencies, and labels of a model."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(5.0, d + 5)
    columns = rng.choice(d, (n, per_row), p=share / share.sum())
    entries = rng.exponential(size=columns.size), columns.ravel(), per_row * np.arange(n + 1)
    X = sp.csr_array(entries, (n, d))
    X.sum_duplicates()
    score = X @ rng.standard_normal(d)
    return X, np.where(score + rng.logistic(size=n) > 0, 1.0, -1.0)


@pytest.mark.parametrize("loss", ["softplus", "smooth_hinge", "squared"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("alpha", [1e-2, 1e-4])
def test_the_optimum_is_that_of_the_dense_method_and_the_estimate_is_not_too_low(
    loss, intercept, alpha
):
    X, y = words()
    dense = ps.Halfspace(X.toarray(), y, loss, l2_penalty=alpha, intercept=intercept)
    best = ps.minimize(dense, "whitened", tol=1e-13, max_iter=500).fun
    sparse = ps.Halfspace(X, y, loss, l2_penalty=alpha, intercept=intercept)
    for tol in (1e-4, 1e-8, 1e-11):
        result = ps.minimize(sparse, "whitened", tol=tol)
        assert result.success
        excess = result.fun / best - 1
        assert excess <= min(tol, result.gap) + 1e-12
        assert (np.diff(result.trace.fun) <= 1e-12).all()
        assert (np.diff(result.trace.passes) >= 1).all()


def test_the_weights_of_rows_and_of_penalties_count():
    X, y = words(n=200, d=1_100)
    samples = centred(X, y)
    samples.weight[:] = np.random.default_rng(0).exponential(size=200)
    samples.weight /= samples.weight.sum()
    alpha = np.geomspace(1e-3, 1e-1, samples.d)
    problem = Problem(samples, DiagonalPenalty(alpha), True)
    point = problem.evaluate(np.zeros(samples.d + 1))
    point, status = descend_by_newton_cg(problem, point, 1e-12, 50)
    assert status is Status.converged
    assert np.abs(problem.evaluate(point.theta).gradient).max() < 1e-7


def test_max_iter_and_callbacks_end_the_iteration():
    X, y = words()
    problem = problem_of(centred(X, y), 1e-4)
    start = problem.evaluate(np.zeros(problem.samples.d + 1))
    seen = []
    point, status = descend_by_newton_cg(
        problem, start, 1e-10, 2, observe=lambda point, _: seen.append(point.fun)
    )
    assert status is Status.max_iter
    assert len(seen) == 3
    assert seen[-1] == point.fun


def test_where_the_method_can_be_used():
    X, y = words()
    problem = problem_of(centred(X, y), 1e-3)
    assert can_use_newton_cg(problem)
    assert has_few_rows(problem)
    assert not has_few_rows(problem_of(centred(sp.vstack([X] * 10, format="csr"), np.tile(y, 10))))
    assert not can_use_newton_cg(problem_of(centred(X, y)))  # no penalty
    assert not can_use_newton_cg(problem_of(centred(X, y, LOSSES["sigmoid"]), 1e-3))
    assert not can_use_newton_cg(problem_of(centred(X[:, :50], y), 1e-3))  # a full Gram matrix
    assert not can_use_newton_cg(problem_of(centred(X.toarray(), y), 1e-3))


def test_a_metric_is_poor_if_many_unit_steps_are_rejected():
    def outcomes(rejected):
        rule = PoorMetric()
        steps = [SimpleNamespace(rejected_unit_steps=int(k)) for k in [0, *rejected]]
        return [rule(None, step, Convergence()) for step in steps]

    assert outcomes([1, 1, 1]) == [False, False, False, True]
    assert not any(outcomes([0, 0, 1] * 10))
    assert any(outcomes([1, 0] * 3))
    assert outcomes([0] * 60)[-2:] == [False, True]  # or if it takes many steps


def test_lbfgs_hands_over_if_its_metric_is_poor():
    """Two columns in three are sums of others, which a metric of two levels misses."""
    rng = np.random.default_rng(0)
    base, y = words(n=3_000, d=400, per_row=12)
    mix = sp.csr_array(sp.random(400, 800, 0.02, "csr", None, rng))
    X = sp.csr_array(sp.hstack([base, base @ mix]))
    sparse, dense = (ps.Halfspace(Z, y, l2_penalty=1e-5, intercept=True) for Z in (X, X.toarray()))
    seen = []
    result = ps.minimize(sparse, "whitened", tol=1e-9, callback=seen.append)
    assert result.success
    assert result.fun / ps.minimize(dense, "whitened", tol=1e-12).fun - 1 <= 1e-9
    passes = np.diff(result.trace.passes)
    assert (passes[:40] < 4).all()  # steps of L-BFGS
    assert passes[-1] > 10  # a step of Newton's method, with products
    assert [row.iteration for row in seen] == list(range(result.n_iter + 1))
    short = ps.minimize(sparse, "whitened", tol=1e-9, max_iter=61)
    assert (short.status, short.n_iter) == (Status.max_iter, 61)
