"""L-BFGS on a block of quadratic and of softmax models."""

import numpy as np

from block_problems import D, K, make_rows, softmax_minimum
from polarstep.linear_model.block.descent import State, descend_block
from polarstep.linear_model.block.families import Margins, Softmax
from polarstep.linear_model.block.metrics import first_metrics
from polarstep.linear_model.block.models import Models
from polarstep.linear_model.block.problem import BlockProblem
from polarstep.linear_model.block.renewal import BlockRenewal
from polarstep.linear_model.block.rows import BlockRows
from polarstep.losses import LOSSES
from polarstep.result import Status


def _state(problem, k):
    return State(problem, np.zeros((len(problem.models), k, D + 1)))


def test_every_model_reaches_its_minimum_and_says_so():
    rows, models = make_rows(splits=3), Models.of([1e-3, 1e-2, 1.0, 1e-2], [0, 1, 2, 0])
    problem = BlockProblem(rows, Softmax(K), models, True)
    state = _state(problem, K)
    descend_block(problem, state, first_metrics(problem, state.theta), 1e-12, 200)
    assert state.status == [Status.converged] * 4
    for b in range(4):
        np.testing.assert_allclose(
            state.theta[b], softmax_minimum(rows, models, True, b), atol=1e-4
        )


def test_a_quadratic_is_solved_in_two_steps_by_its_hessian():
    problem = BlockProblem(make_rows(), Margins(LOSSES["squared"]), Models.of([0.1, 1.0]), True)
    state = _state(problem, 1)
    descend_block(problem, state, first_metrics(problem, state.theta), 1e-10, 50)
    assert (state.n_iter <= 2).all()
    assert np.abs(state.gradient).max() < 1e-6


def test_max_iter_is_reported_and_counted():
    problem = BlockProblem(make_rows(), Softmax(K), Models.of([1e-4, 1e6]), True)
    state = _state(problem, K)
    descend_block(problem, state, first_metrics(problem, state.theta), 1e-13, 2)
    assert state.status[0] is Status.max_iter
    assert state.n_iter[0] == 2


def test_steps_are_searched_where_the_metric_is_far_too_large_or_small():
    rows, models = make_rows(), Models.of([1e-2, 1e-2])
    problem = BlockProblem(rows, Softmax(K), models, True)
    for factor in (0.1, 10.0):
        state = _state(problem, K)
        metric = first_metrics(problem, state.theta)
        for part in [metric.metrics[0].metric]:
            part.scale = part.scale * factor
        descend_block(problem, state, metric, 1e-9, 300)
        assert state.status == [Status.converged] * 2
        np.testing.assert_allclose(state.theta[0], softmax_minimum(rows, models, True), atol=1e-3)


def test_convergence_is_not_believed_in_a_metric_from_where_f_was_much_larger():
    rows = make_rows()
    codes = np.arange(rows.n) * K // rows.n
    X = np.random.default_rng(0).standard_normal((rows.n, D)) * 0.1
    X[:, 0] += codes
    separated = BlockRows.from_arrays(X, codes, rows.weights, X.mean(axis=0))
    problem = BlockProblem(separated, Softmax(K), Models.of([1e-7]), True)
    state = _state(problem, K)
    repaired = []

    class Recording(BlockRenewal):
        def __call__(self, state, active, convergence):
            return None

        def repair(self, state, which):
            repaired.append(float(state.fun[0]))
            return super().repair(state, which)

    renew = Recording(problem, None, 1e-8, np.random.default_rng(0))
    start = float(state.fun[0])
    descend_block(problem, state, first_metrics(problem, state.theta), 1e-6, 300, renew=renew)
    assert state.status == [Status.converged]
    assert state.fun[0] < 0.1 * start
    assert repaired
