"""The choice of the metrics of a block."""

import numpy as np
import pytest

from block_problems import D, K, dense_rows, make_rows, softmax_minimum
from polarstep.linear_model.block.descent import State, descend_block
from polarstep.linear_model.block.families import Margins, Softmax
from polarstep.linear_model.block.metrics import (
    BlockRenewal,
    Choice,
    first_metrics,
    make_metrics,
)
from polarstep.linear_model.block.models import Models
from polarstep.linear_model.block.preconditioner import FullMetric, Preconditioner
from polarstep.linear_model.block.problem import BlockProblem
from polarstep.losses import LOSSES
from polarstep.result import Status


@pytest.mark.parametrize("kind", ["C", "csr"])
def test_the_metric_of_a_margin_loss_is_its_hessian(kind):
    rows, models, loss = (
        make_rows(kind, splits=2),
        Models.of([0.1, 0.2], [0, 1], [0, 1]),
        LOSSES["softplus"],
    )
    problem = BlockProblem(rows, Margins(loss), models, True)
    theta = np.random.default_rng(0).standard_normal((2, 1, D + 1)) * 0.2
    metrics = make_metrics(
        problem, rows, theta, np.arange(2), Choice(False, rows.n), np.random.default_rng(0)
    )
    Z = dense_rows(rows, True)
    for b in range(2):
        h = loss.d2phi(Z @ theta[b, 0]) * rows.weights[b]
        H = Z.T @ (h[:, None] * Z) + np.diag([models.alpha[b]] * D + [0.0])
        g = np.arange(1.0, D + 2)
        np.testing.assert_allclose(metrics[b].solve(g[None])[0], np.linalg.solve(H, g), rtol=1e-6)


def test_rows_drawn_by_curvature_give_an_unbiased_metric():
    rows, models = make_rows(n=4_000), Models.of([0.0])
    problem = BlockProblem(rows, Margins(LOSSES["softplus"]), models, True)
    theta = np.zeros((1, 1, D + 1))
    theta[0, 0, 0] = 5.0  # most rows are far from the boundary
    g = np.ones((1, D + 1))
    exact = make_metrics(
        problem, rows, theta, np.arange(1), Choice(False, 4_000), np.random.default_rng(0)
    )[0]
    drawn = [
        make_metrics(
            problem, rows, theta, np.arange(1), Choice(False, 1_000), np.random.default_rng(i)
        )[0]
        for i in range(20)
    ]
    mean = np.mean([metric.solve(g) for metric in drawn], axis=0)
    np.testing.assert_allclose(mean, exact.solve(g), rtol=0.2)


def test_the_first_metrics_are_exact_at_equal_probabilities():
    rows, models = make_rows(), Models.of([0.1, 0.1, 0.5])
    problem = BlockProblem(rows, Softmax(K), models, True)
    metric = first_metrics(problem, np.zeros((3, K, D + 1)))
    assert metric.metrics[0] is metric.metrics[1]
    Z, s, h = dense_rows(rows, True), rows.weights[0], (1 - 1 / K) / K
    H = h * Z.T @ (s[:, None] * Z) + np.diag([0.5] * D + [0.0])
    g = np.random.default_rng(0).standard_normal((K, D + 1))
    np.testing.assert_allclose(metric.metrics[2].solve(g), np.linalg.solve(H, g.T).T, rtol=1e-7)


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
