"""The choice of the metrics of a block."""

import numpy as np
import pytest

from block_problems import D, K, dense_rows, make_rows, softmax_hessian
from polarstep.linear_model.block.families import Margins, Softmax
from polarstep.linear_model.block.metrics import (
    Choice,
    diagonal_metrics,
    first_metrics,
    make_metrics,
)
from polarstep.linear_model.block.models import Models
from polarstep.linear_model.block.problem import BlockProblem
from polarstep.losses import LOSSES


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


@pytest.mark.parametrize(
    "family", [Softmax(K), Margins(LOSSES["softplus"])], ids=["softmax", "margins"]
)
def test_splits_share_a_metric_if_their_points_are_close(family):
    rows = make_rows(splits=2)
    models = Models.of([0.5, 0.1, 0.1, 0.1], [0, 1, 0, 1])
    problem = BlockProblem(rows, family, models, True)
    k = family.n_outputs
    theta = np.random.default_rng(0).standard_normal((4, k, D + 1)) * 0.3
    theta[2] = theta[1] + 1e-4
    choice, rng = Choice(k > 1, rows.n, shared=True), np.random.default_rng(0)
    metrics = make_metrics(problem, rows, theta, np.arange(4), choice, rng)
    assert metrics[1] is metrics[2]
    g = np.random.default_rng(1).standard_normal((k, D + 1))
    for b in (0, 1, 3):
        own = make_metrics(problem, rows, theta[[b]], np.array([b]), choice, rng)[0]
        np.testing.assert_array_equal(metrics[b].solve(g), own.solve(g))


@pytest.mark.parametrize("kind", ["C", "csr"])
def test_diagonal_metrics_are_roots_of_the_diagonal_of_the_hessian(kind):
    rows, models = make_rows(kind), Models.of([0.1, 0.5])
    problem = BlockProblem(rows, Softmax(K), models, True)
    theta = np.zeros((2, K, D + 1))
    metric = diagonal_metrics(problem, theta)
    for b in range(2):
        H = softmax_hessian(rows, models, theta, True, b)
        g = np.ones((K, D + 1))
        root = np.sqrt(H.diagonal()).reshape(K, D + 1)
        np.testing.assert_allclose(metric.metrics[b].solve(g), 1.0 / root, rtol=1e-9)


@pytest.mark.parametrize(
    "family", [Softmax(K), Margins(LOSSES["softplus"])], ids=["softmax", "margins"]
)
def test_points_that_are_close_share_second_moments_but_not_the_penalty(family, monkeypatch):
    rows, k = make_rows(), family.n_outputs
    problem = BlockProblem(rows, family, Models.of([1.0, 1e-3, 1e-9]), True)
    theta = np.zeros((3, k, D + 1))
    theta[:2] = np.random.default_rng(0).standard_normal((k, D + 1))
    theta[1] += 1e-6
    options = np.arange(3), Choice(k > 1, rows.n, shared=True), np.random.default_rng(0)
    grams = []
    read = type(rows).scores
    monkeypatch.setattr(type(rows), "scores", lambda *args: grams.append(len(args)) or read(*args))
    shared = make_metrics(problem, rows, theta, *options)
    assert len(grams) == 1 + 2  # the probes, and the curvatures of two of the three models
    g = np.random.default_rng(1).standard_normal((k, D + 1))
    for b in range(3):
        own = make_metrics(problem, rows, theta[[b]], np.array([b]), *options[1:])[0]
        np.testing.assert_allclose(shared[b].solve(g), own.solve(g), rtol=1e-4, atol=1e-5)
