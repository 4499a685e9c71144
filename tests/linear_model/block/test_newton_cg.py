"""Newton directions by conjugate gradients, against dense Hessians."""

import numpy as np
import pytest

from block_problems import D, K, make_rows, softmax_hessian, softmax_minimum
from polarstep.linear_model.block import convergence, descent
from polarstep.linear_model.block.families import Margins, Softmax
from polarstep.linear_model.block.metrics import first_metrics
from polarstep.linear_model.block.models import Models
from polarstep.linear_model.block.newton_cg import accuracies, newton_directions
from polarstep.linear_model.block.problem import BlockProblem
from polarstep.losses import LOSSES
from polarstep.result import Status


def _problem(kind="C"):
    rows, models = make_rows(kind, splits=2), Models.of([0.1, 1e-3, 0.01], [0, 1, 0])
    return BlockProblem(rows, Softmax(K), models, True)


@pytest.mark.parametrize("kind", ["C", "csr"])
def test_hessian_products_equal_those_of_the_dense_hessian(kind):
    problem, both = _problem(kind), np.array([2, 1])
    rng = np.random.default_rng(0)
    theta, v = rng.standard_normal((2, 2, K, D + 1)) * 0.3
    state = problem.curvature_state(theta, both)
    got = problem.hessian_products(state, v, both)
    models = problem.models.take(both)
    for b in range(2):
        H = softmax_hessian(problem.rows, models, theta, True, b)
        np.testing.assert_allclose(got[b].ravel(), H @ v[b].ravel(), rtol=1e-9)


def test_directions_are_close_to_newtons():
    problem, which = _problem(), np.arange(3)
    theta = np.zeros((3, K, D + 1))
    _, g = problem.evaluate(theta, which)
    metric = first_metrics(problem, theta)
    p = newton_directions(
        problem, theta, g, which, lambda at, r: metric.take(which[at]).solve(r), np.full(3, 0.1)
    )
    for b in range(3):
        H = softmax_hessian(problem.rows, problem.models, theta, True, b)
        newton = -np.linalg.lstsq(H, g[b].ravel(), rcond=1e-12)[0]
        error = p[b].ravel() - newton
        assert error @ H @ error <= 0.02 * (newton @ H @ newton)


def test_directions_are_as_accurate_as_the_next_point_needs():
    got = accuracies(np.array([10.0, 1e-2, 1e-8, 1e-7, 0.0]), 1e-8)
    np.testing.assert_allclose(got, [0.3, 0.1, 0.3, np.sqrt(0.02), 0.3])


def test_a_loss_without_curvature_gets_a_gradient_step():
    rows, family = make_rows(), Margins(LOSSES["sigmoid"])
    problem = BlockProblem(rows, family, Models.of([0.0], 0, 1), True)
    theta = np.zeros((1, 1, D + 1))
    theta[0, 0, -1] = -3.0  # most curvatures are negative
    _, g = problem.evaluate(theta, np.arange(1))
    p = newton_directions(problem, theta, g, np.arange(1), lambda at, r: r, np.ones(1))
    assert float((p * g).sum()) < 0


def test_slow_models_go_over_to_newton_directions(monkeypatch):
    monkeypatch.setattr(convergence, "_SLOW", 0.0)
    problem = _problem()
    state = descent.State(problem, np.zeros((3, K, D + 1)))
    metric = first_metrics(problem, state.theta)
    descent.descend_block(problem, state, metric, 1e-12, 50, newton="slow")
    assert state.status == [Status.converged] * 3
    assert problem.passes > 2 * state.n_iter.max()  # several products for each step
    for b in range(3):
        expected = softmax_minimum(problem.rows, problem.models, True, b)
        np.testing.assert_allclose(state.theta[b], expected, atol=1e-4)
