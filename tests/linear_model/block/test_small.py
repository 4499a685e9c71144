"""The compiled Newton method for small softmax models."""

import numpy as np
import pytest

from block_problems import D, K, dense_rows, make_rows, softmax_hessian, softmax_minimum
from polarstep.linear_model.block.families import Margins, Softmax
from polarstep.linear_model.block.models import Models
from polarstep.linear_model.block.problem import BlockProblem
from polarstep.linear_model.block.rows import BlockRows
from polarstep.linear_model.block.small import is_small, solve_small
from polarstep.linear_model.block.solve import first_theta
from polarstep.linear_model.solver import kernels
from polarstep.losses import LOSSES
from polarstep.result import Status


def _problem(kind="C", alpha=(1e-4, 1.0), intercept=True, **options):
    models = Models.of(list(alpha), np.arange(len(alpha)) % options.get("splits", 1))
    return BlockProblem(make_rows(kind, **options), Softmax(K), models, intercept)


@pytest.mark.parametrize("kind", ["C", "csr", "float32"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("splits", [1, 2])
def test_minima_equal_newtons(kind, intercept, splits):
    problem = _problem(kind, intercept=intercept, splits=splits)
    result = solve_small(problem, first_theta(problem), 1e-12, 50)
    assert result.status == [Status.converged] * 2
    for b in range(2):
        expected = softmax_minimum(problem.rows, problem.models, intercept, b)
        np.testing.assert_allclose(result.theta[b], expected, rtol=1e-5, atol=1e-7)


def test_the_hessian_has_the_mean_block_added_where_no_probability_changes():
    problem = _problem()
    theta = np.random.default_rng(0).standard_normal((2, K, D + 1)) * 0.3
    Z, s = dense_rows(problem.rows, True), problem.rows.weights[0]
    p = Softmax(K).probabilities(theta[:1] @ Z.T)[0]
    h = np.zeros((K * (D + 1), K * (D + 1)))
    ridge = problem.ridge(np.array([0]))[0]
    kernels.softmax_hessian(np.ascontiguousarray(Z.T), p * s, p * (1 - p) * s, s, ridge, h)
    h = np.tril(h) + np.tril(h, -1).T
    expected = softmax_hessian(problem.rows, problem.models, theta, True)
    mean = sum((Z.T * (p[c] * (1 - p[c]) * s)) @ Z for c in range(K)) / K**2
    np.testing.assert_allclose(h, expected + np.tile(mean, (K, K)), rtol=1e-10, atol=1e-13)


def test_a_factorized_matrix_solves_and_an_indefinite_one_is_refused():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((6, 6))
    A = A @ A.T + np.eye(6)
    b, a = rng.standard_normal(6), A.copy()
    assert kernels.factorize(a, 0.5)
    x = b.copy()
    kernels.solve_factorized(a, x)
    np.testing.assert_allclose((A + 0.5 * np.eye(6)) @ x, b)
    assert not kernels.factorize(np.diag([1.0, -1.0]), 0.0)


def test_iterates_and_ends_are_reported():
    problem = _problem(alpha=(1e-4,))
    result = solve_small(problem, first_theta(problem), 1e-14, 2)
    assert result.status == [Status.max_iter]
    assert result.n_iter.tolist() == [2]
    assert [row.iteration for row in result.rows] == [0, 1, 2]
    values = [row.fun for row in result.rows]
    assert values == sorted(values, reverse=True)
    assert result.gap[0] > 1e-14


def test_a_tolerance_below_rounding_errors_is_reported():
    problem = _problem(alpha=(1e-3,))
    result = solve_small(problem, first_theta(problem), 1e-300, 60)
    assert result.status == [Status.rounding]


def test_collinear_columns_and_absent_rows_are_no_obstacle():
    rows = make_rows(splits=2)
    X = np.column_stack([rows.matrix.X, rows.matrix.X[:, 0], np.ones(rows.n)])
    wide = BlockRows.from_arrays(X, rows.codes, rows.weights, X.mean(axis=0))
    problem = BlockProblem(wide, Softmax(K), Models.of([0.0, 0.0], [0, 1]), True)
    result = solve_small(problem, first_theta(problem), 1e-10, 50)
    assert result.status == [Status.converged] * 2


def test_infinity_is_left_to_the_general_method():
    rows = make_rows()
    rows.matrix.X[2, 2] = np.inf
    problem = BlockProblem(rows, Softmax(K), Models.of([1.0]), True)
    with np.errstate(invalid="ignore"):
        assert solve_small(problem, first_theta(problem), 1e-8, 50) is None


def test_only_small_softmax_models_are_small():
    assert is_small(_problem())
    assert not is_small(_problem(n=200_000))
    assert not is_small(_problem(d=60))
    margins = Margins(LOSSES["softplus"])
    assert not is_small(BlockProblem(make_rows(), margins, Models.of([1.0]), True))
