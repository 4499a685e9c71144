"""Quadratic penalties: gradients, values along a line, and their part of a Gram matrix."""

import numpy as np
import pytest

from polarstep.linear_model.solver.columns import GramColumns
from polarstep.linear_model.solver.penalty import DensePenalty, DiagonalPenalty

RNG = np.random.default_rng(0)
ROOT = RNG.standard_normal((6, 6))
PENALTIES = {
    "diagonal": (DiagonalPenalty(np.arange(6.0)), np.diag(np.arange(6.0))),
    "dense": (DensePenalty(ROOT @ ROOT.T), ROOT @ ROOT.T),
}
COLUMNS = {
    "every": GramColumns.every(6),
    "single": GramColumns(np.array([-1, 0, -1, 1, 2, -1], np.int32), 3, 3),
    "sums": GramColumns(np.array([2, 0, -1, 1, 2, 2], np.int32), 3, 2),
}


@pytest.mark.parametrize("kind", PENALTIES)
def test_values_along_a_line(kind):
    penalty, A = PENALTIES[kind]
    w, v = RNG.standard_normal((2, 6))
    np.testing.assert_allclose(penalty.gradient(w), A @ w)
    np.testing.assert_allclose(penalty.diagonal, np.diag(A))
    value, slope, curvature = penalty.along_line(w, v)
    for t in (0.0, 0.7, -2.0):
        expected = 0.5 * (w + t * v) @ A @ (w + t * v)
        assert value + t * slope + 0.5 * t * t * curvature == pytest.approx(expected)


def test_a_penalty_is_zero_if_all_of_its_weights_are():
    assert DiagonalPenalty(np.zeros(3)).is_zero
    assert DensePenalty(np.zeros((3, 3))).is_zero
    assert not any(penalty.is_zero for penalty, _ in PENALTIES.values())


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("kind", PENALTIES)
def test_the_part_of_a_gram_matrix(kind, columns):
    penalty, A = PENALTIES[kind]
    columns = COLUMNS[columns]
    k = columns.size
    E = np.zeros((6, k))
    inside = columns.place >= 0
    E[inside, columns.place[inside]] = 1.0
    G = np.ones((k + 1, k + 1))
    penalty.add_to_gram(G, columns)
    np.testing.assert_allclose(G[:k, :k], 1.0 + E.T @ A @ E)
    assert (G[k] == 1).all()


@pytest.mark.parametrize("kind", PENALTIES)
def test_a_diagonal_can_be_added(kind):
    penalty, A = PENALTIES[kind]
    w = RNG.standard_normal(6)
    more = penalty.plus(np.full(6, 0.5))
    np.testing.assert_allclose(more.gradient(w), A @ w + 0.5 * w)
    np.testing.assert_allclose(penalty.gradient(w), A @ w)  # unchanged
    assert more.is_separable == penalty.is_separable


def test_only_equal_weights_are_a_ridge():
    assert DiagonalPenalty(np.full(3, 0.2)).ridge == 0.2
    assert DiagonalPenalty(np.array([0.2, 0.3])).ridge == 0.0
    assert DensePenalty(np.eye(3)).ridge == 0.0
