"""`solve_block` against independent minima."""

import numpy as np
import pytest
import scipy.sparse as sp

from block_problems import D, K, make_rows, softmax_minimum
from polarstep.linear_model.block.families import Margins, Softmax
from polarstep.linear_model.block.models import Models
from polarstep.linear_model.block.problem import BlockProblem, NotFinite
from polarstep.linear_model.block.rows import BlockRows
from polarstep.linear_model.block.solve import is_wide, solve_block
from polarstep.losses import LOSSES
from polarstep.result import Status


def _solve(rows, family, models, *, tol=1e-12, intercept=True, max_iter=200, **options):
    options.setdefault("callback", lambda row: None)  # small problems as well go the general way
    return solve_block(
        rows, family, models, intercept=intercept, tol=tol, max_iter=max_iter,
        rng=np.random.default_rng(0), **options,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["C", "csr", "float32"])
@pytest.mark.parametrize("intercept", [True, False])
def test_softmax_minima_equal_newtons(kind, intercept):
    rows, models = make_rows(kind, splits=2), Models.of([1e-4, 1e-2, 1.0], [0, 1, 0])
    result = _solve(rows, Softmax(K), models, intercept=intercept)
    assert result.status == [Status.converged] * 3
    assert (result.gap <= 1e-12).all()
    for b in range(3):
        expected = softmax_minimum(rows, models, intercept, b)
        np.testing.assert_allclose(result.theta[b], expected, rtol=1e-4, atol=1e-5)


def test_a_large_problem_goes_through_a_subsample():
    rows, models = make_rows(n=100_000, splits=2), Models.of([1e-5, 1e-5], [0, 1])
    result = _solve(rows, Softmax(K), models, tol=1e-10)
    assert result.status == [Status.converged] * 2
    assert result.passes < 12
    np.testing.assert_allclose(result.theta[1], softmax_minimum(rows, models, True, 1), atol=1e-4)


def test_two_classes_of_softmax_are_logistic_regression_of_half_the_weights():
    rows = make_rows(n_classes=2)
    soft = _solve(rows, Softmax(2), Models.of([2e-2]))
    plain = _solve(rows, Margins(LOSSES["softplus"]), Models.of([1e-2], 0, 1))
    np.testing.assert_allclose(soft.theta[0, 1] - soft.theta[0, 0], plain.theta[0, 0], rtol=1e-4)


def test_interrupting_keeps_the_models_that_had_ended():
    def stop(row):
        if row.iteration == 4:
            raise KeyboardInterrupt

    result = _solve(make_rows(), Softmax(K), Models.of([1e-6, 1e3]), callback=stop)
    assert result.status == [Status.interrupted, Status.converged]
    assert len(result.rows) == 5


def test_an_interruption_before_the_first_iterate_is_passed_on():
    class Interrupting(BlockRows):
        def evaluate(self, *arguments):
            raise KeyboardInterrupt

    rows = make_rows()
    with pytest.raises(KeyboardInterrupt):
        _solve(Interrupting(rows.matrix, rows.codes, rows.weights), Softmax(K), Models.of([1.0]))


def test_a_start_at_the_minimum_ends_at_once():
    rows, models = make_rows(), Models.of([1e-2])
    start = _solve(rows, Softmax(K), models, tol=1e-14).theta
    again = _solve(rows, Softmax(K), models, tol=1e-8, start=start)
    assert again.n_iter.tolist() == [0]


def test_infinity_in_the_data_is_noticed():
    rows = make_rows()
    rows.matrix.X[3, 1] = np.inf
    with pytest.raises(NotFinite):
        _solve(rows, Softmax(K), Models.of([1.0]))


def test_weights_beyond_two_sum_to_zero_over_the_classes():
    result = _solve(make_rows(), Softmax(K), Models.of([1e-3]))
    np.testing.assert_allclose(result.theta.sum(axis=1), 0.0, atol=1e-12)
    assert result.theta.shape == (1, K, D + 1)


def test_a_small_problem_without_a_callback_has_the_same_minimum():
    rows, models = make_rows(splits=2), Models.of([1e-3, 1e-1], [0, 1])
    general = _solve(rows, Softmax(K), models)
    small = _solve(rows, Softmax(K), models, callback=None)
    assert small.n_iter.max() < general.n_iter.max()
    np.testing.assert_allclose(small.theta, general.theta, atol=1e-4)


@pytest.mark.parametrize("kind", ["C", "csr", "float32"])
def test_wide_data_are_solved_in_the_space_of_their_rows(kind):
    rows, models = make_rows(kind, n=40, d=100, splits=2), Models.of([1e-2, 1.0], [0, 1])
    result = _solve(rows, Softmax(K), models)
    assert result.status == [Status.converged] * 2
    assert result.theta.shape == (2, K, 101)
    assert result.rows[-1].x.size == 2 * K * 41
    for b in range(2):
        expected = softmax_minimum(rows, models, True, b)
        np.testing.assert_allclose(result.theta[b], expected, rtol=1e-4, atol=1e-6)
    again = _solve(rows, Softmax(K), models, tol=1e-9, start=result.theta)
    assert again.n_iter.max() <= 1


def test_wide_sparse_data_take_newton_directions_from_the_start(monkeypatch):
    rng = np.random.default_rng(0)
    X = sp.csr_array(sp.random(60, 1_500, 0.02, "csr", None, rng))
    codes = np.arange(60) % K
    rows = BlockRows.from_arrays(
        X, codes, np.full((1, 60), 1 / 60), np.asarray(X.mean(axis=0)).ravel()
    )
    models = Models.of([1e-3, 1e-1])
    in_row_space = _solve(rows, Softmax(K), models)
    monkeypatch.setattr(BlockRows, "in_row_space", lambda self: None)
    assert is_wide(BlockProblem(rows, Softmax(K), models, True))
    result = _solve(rows, Softmax(K), models)
    assert result.status == [Status.converged] * 2
    np.testing.assert_allclose(result.theta, in_row_space.theta, atol=1e-5)
