"""When the models of a block get new metrics, and which ones."""

import numpy as np
import pytest

from block_problems import D, K, make_rows, softmax_minimum
from polarstep.linear_model.block.convergence import BlockConvergence
from polarstep.linear_model.block.descent import State, descend_block
from polarstep.linear_model.block.families import Margins, Softmax
from polarstep.linear_model.block.metrics import Choice, first_metrics
from polarstep.linear_model.block.models import Models
from polarstep.linear_model.block.preconditioner import FullMetric, Preconditioner
from polarstep.linear_model.block.problem import BlockProblem
from polarstep.linear_model.block.renewal import (
    BlockRenewal,
    expected_contraction,
    metric_bytes,
    metric_seconds,
)
from polarstep.linear_model.block.rows import BlockRows
from polarstep.linear_model.block.solve import solve_block
from polarstep.losses import LOSSES
from polarstep.result import Status


def folds(n=400, n_folds=4, alpha=(1e-3, 1e-1)):
    """Return a problem of some folds and two penalties."""
    rows = make_rows(n=n, splits=n_folds)
    split = np.repeat(np.arange(n_folds), len(alpha))
    return BlockProblem(rows, Softmax(K), Models.of(np.tile(alpha, n_folds), split), True)


def test_models_of_one_penalty_share_their_metrics():
    problem = folds()
    renew = BlockRenewal(problem, None, 1e-10, np.random.default_rng(0))
    np.testing.assert_array_equal(renew.sharing, 4)
    assert {option.shared for option in renew.options} == {True, False}
    alone = BlockProblem(problem.rows, problem.family, Models.of([1e-3, 1e-1]), True)
    renew = BlockRenewal(alone, None, 1e-10, np.random.default_rng(0))
    assert {option.shared for option in renew.options} == {False}


def test_a_shared_metric_costs_less_and_is_expected_to_contract_less():
    problem = folds()
    own, shared = Choice(True, 400), Choice(True, 400, shared=True)
    assert expected_contraction(problem, shared) > expected_contraction(problem, own)
    assert metric_bytes(problem, shared) == metric_bytes(problem, own) / 4
    assert metric_seconds(problem, shared) == metric_seconds(problem, own)


def test_a_shared_metric_is_offered_to_the_whole_group():
    problem = folds()
    renew = BlockRenewal(problem, None, 1e-10, np.random.default_rng(0))
    convergence = BlockConvergence(8)
    shared, own = Choice(False, 400, shared=True), Choice(False, 400)
    best = [shared, own, None, None, None, None, None, None]
    convergence.exact[2] = True
    renew._offer(best, np.arange(8), convergence)
    # Models 0, 2, 4 and 6 are a group; model 2 knows its Hessian.
    assert best == [shared, own, None, None, shared, None, shared, None]
    renew.choice[4] = own
    best = [shared, own, None, None, None, None, None, None]
    renew._offer(best, np.arange(8), convergence)
    assert best[4] is None


def test_folds_that_are_nearly_separable_converge():
    """Their optima are far apart, and so are their Hessians."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((347, 54))
    scores = X @ rng.standard_normal(54)
    codes = (scores + rng.logistic(size=347) > 0).astype(np.intp)
    weights = np.where(np.arange(347) % 4 == np.arange(4)[:, None], 0.0, 1.0)
    weights /= weights.sum(axis=1, keepdims=True)
    rows = BlockRows.from_arrays(X, codes, weights, X.mean(axis=0))
    models = Models.of(np.repeat([1e-6, 1e-4], 4), np.tile(np.arange(4), 2))
    result = solve_block(
        rows, Margins(LOSSES["softplus"]), models, intercept=True, tol=1e-8, max_iter=60,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert set(result.status) == {Status.converged}


@pytest.mark.parametrize(
    "family", [Softmax(K), Margins(LOSSES["softplus"])], ids=["softmax", "margins"]
)
def test_models_that_share_metrics_end_at_their_own_minima(family):
    """The folds overlap little, so that their Hessians differ."""
    rows = make_rows(n=60, splits=3)
    models = Models.of([1e-2] * 3, [0, 1, 2])
    problem = BlockProblem(rows, family, models, True)
    state = State(problem, np.zeros((3, family.n_outputs, D + 1)))
    renew = BlockRenewal(problem, None, 1e-12, np.random.default_rng(0))
    descend_block(problem, state, first_metrics(problem, state.theta), 1e-12, 200, renew=renew)
    assert state.status == [Status.converged] * 3
    for b in range(3):
        one = BlockProblem(rows, family, models.take(np.array([b])), True)
        alone = State(one, np.zeros((1, family.n_outputs, D + 1)))
        descend_block(one, alone, first_metrics(one, alone.theta), 1e-13, 500)
        assert state.fun[b] == pytest.approx(alone.fun[0], rel=1e-10)


def test_a_model_whose_metric_is_useless_is_repaired():
    rows, models = make_rows(), Models.of([1e-3, 1e-3])
    problem = BlockProblem(rows, Softmax(K), models, True)
    state = State(problem, np.zeros((2, K, D + 1)))
    metric = first_metrics(problem, state.theta)
    upwards = FullMetric.__new__(FullMetric)
    upwards.solve = lambda g: -g
    metric = Preconditioner([upwards, metric.metrics[1]], metric.family)
    renew = BlockRenewal(problem, None, 1e-10, np.random.default_rng(0))
    renew.options = renew.options[-1:]
    descend_block(problem, state, metric, 1e-10, 100, renew=renew)
    assert state.status == [Status.converged] * 2
    np.testing.assert_allclose(state.theta[0], softmax_minimum(rows, models, True), atol=1e-3)
