"""The metrics of the models, against dense Hessians."""

import numpy as np
import pytest

from block_problems import D, K, dense_rows, make_rows, softmax_hessian
from polarstep.linear_model.block.families import Softmax
from polarstep.linear_model.block.models import Models
from polarstep.linear_model.block.preconditioner import (
    FullMetric,
    Preconditioner,
    ScaledMetric,
    SoftmaxHessian,
)
from polarstep.linear_model.solver.columns import GramColumns
from polarstep.linear_model.solver.metric import HessianMetric
from polarstep.linear_model.solver.penalty import DiagonalPenalty


@pytest.mark.parametrize("intercept", [True, False])
def test_the_full_metric_solves_with_the_hessian(intercept):
    rows, models = make_rows(), Models.of([0.1])
    theta = Softmax(K).project(np.random.default_rng(1).standard_normal((1, K, D + intercept)))
    Z = dense_rows(rows, intercept)
    p = Softmax(K).probabilities(theta @ Z.T)[0]
    metric = FullMetric(SoftmaxHessian(Z, p, rows.weights[0]), np.full(D, 0.1))
    g = Softmax(K).project(np.random.default_rng(2).standard_normal((1, K, D + intercept)))
    step = Preconditioner([metric], Softmax(K)).solve(g)
    H = softmax_hessian(rows, models, theta, intercept)
    back = (H @ step.ravel()).reshape(g.shape)
    np.testing.assert_allclose(Softmax(K).project(back), g, rtol=1e-7, atol=1e-9)


def test_the_full_metric_does_not_depend_on_units():
    rows = make_rows()
    Z, p = dense_rows(rows, True), np.full((K, rows.n), 1 / K)
    unit = np.append(10.0 ** np.arange(-3, -3 + 2 * D, 2), 1.0)
    ridge = np.full(D, 1e-2)
    g = np.random.default_rng(0).standard_normal((K, D + 1))
    plain = FullMetric(SoftmaxHessian(Z, p, rows.weights[0]), ridge).solve(g)
    scaled = FullMetric(SoftmaxHessian(Z * unit, p, rows.weights[0]), ridge * unit[:D] ** 2).solve(
        g * unit
    )
    np.testing.assert_allclose(scaled * unit, plain, rtol=1e-8)


def test_single_precision_is_close_to_double_precision():
    rng = np.random.default_rng(0)
    Z, k = rng.standard_normal((500, 60)), 5
    p = rng.dirichlet(np.ones(k), 500).T
    g = Softmax(k).project(rng.standard_normal((1, k, 60)))[0]
    large = FullMetric(SoftmaxHessian(Z, p, np.full(500, 1 / 500)), np.full(60, 0.1))
    H = np.zeros((k, 60, k, 60))
    for c in range(k):
        for e in range(k):
            H[c, :, e] = Z.T @ ((p[c] * (c == e) - p[c] * p[e])[:, None] * Z) / 500
            H[c, :, e] += 0.1 * np.eye(60) * (c == e)
    back = (H.reshape(300, 300) @ large.solve(g).ravel()).reshape(k, 60)
    np.testing.assert_allclose(Softmax(k).project(back[None])[0], g, atol=1e-4)


@pytest.mark.parametrize("kind", ["C", "csr"])
@pytest.mark.parametrize("intercept", [True, False])
def test_multiples_of_one_metric_are_solved_for_together(kind, intercept):
    rows = make_rows(kind)
    place = np.array([0, 1, 2, 2], np.int32) if kind == "csr" else np.arange(D, dtype=np.int32)
    columns = GramColumns(place, int(place.max()) + 1, 2 if kind == "csr" else D)
    s = rows.weights[0]
    diagonal = rows.matrix.squares(s) if kind == "csr" else None
    G = rows.matrix.gram(s, columns.place, columns.size)
    one = HessianMetric(G, columns, DiagonalPenalty(np.full(D, 0.1)), intercept, diagonal)
    g = np.random.default_rng(0).standard_normal((K, D + intercept))
    got = ScaledMetric(one, np.array([1.0, 2.0, 5.0])).solve(g)
    for row, f, x in zip(g, (1.0, 2.0, 5.0), got, strict=True):
        np.testing.assert_allclose(x, one.solve(row) / f, rtol=1e-10)
