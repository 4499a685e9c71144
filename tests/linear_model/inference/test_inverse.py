"""Inverses of information matrices of any scale and rank, with penalties."""

import numpy as np
import pytest

from polarstep.linear_model.inference.inverse import invert

RNG = np.random.default_rng(0)
A = RNG.standard_normal((30, 4))
J = A.T @ A


def sandwich(inverse, B):
    root = inverse.sandwich_root(B)
    return root @ root.T


def test_regular_matrices_of_any_scale():
    scale = np.array([1e-8, 1.0, 1e3, 1e8])
    found = invert(J * np.outer(scale, scale))
    exact = np.linalg.inv(J)
    np.testing.assert_allclose(found.matrix * np.outer(scale, scale), exact, rtol=1e-9, atol=1e-12)
    assert found.null.shape == (4, 0)
    assert found.condition < 10
    np.testing.assert_allclose(found.on_rows(), found.matrix)
    B = np.diag([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(sandwich(invert(J), B), exact @ B @ exact, rtol=1e-9, atol=1e-14)
    g, h = RNG.standard_normal((2, 4))
    step, square = invert(J).solve(g, h)
    np.testing.assert_allclose(step, exact @ (g - h))
    assert square == pytest.approx((g - h) @ exact @ (g - h))
    assert invert(J).trace(J) == pytest.approx(4)


def test_singular_matrices():
    B = np.column_stack([A, A[:, 0] - 2 * A[:, 1], np.zeros(30)])
    H = B.T @ B
    found = invert(H)
    assert found.null.shape == (6, 2)
    np.testing.assert_allclose(H @ found.null, 0, atol=1e-10)
    np.testing.assert_allclose(H @ found.matrix @ H, H, atol=1e-9)
    np.testing.assert_array_equal(found.matrix, found.matrix.T)
    np.testing.assert_allclose(found.root() @ found.root().T, found.matrix, atol=1e-12)
    assert found.trace(H) == pytest.approx(4)


def test_nearly_singular_matrices_are_inverted():
    B = np.column_stack([A, A[:, 0] + 1e-5 * RNG.standard_normal(30)])
    found = invert(B.T @ B)
    assert found.null.shape == (5, 0)
    assert found.condition > 1e9
    assert invert(np.zeros((2, 2))).null.shape == (2, 2)
    assert invert(J).null.size == 0


@pytest.mark.parametrize("ridge", [1e8, 1.0, 1e-6, 1e-11])
@pytest.mark.parametrize("factor", [1.0, 1e3])
def test_a_small_penalty_on_dependent_columns(ridge, factor):
    """The spread of the two copies' weights is that of the single column's, shared out."""
    B = np.column_stack([A, factor * A[:, 0]])
    H, P = B.T @ B, ridge * np.eye(5)
    found = invert(H, P)
    share = np.array([1.0, factor]) / (1 + factor**2)
    whole = np.column_stack([A[:, 0] * np.sqrt(1 + factor**2), A[:, 1:]])  # one column for two
    K = whole.T @ whole
    bread = np.linalg.inv(K + ridge * np.eye(4))
    expected = bread @ K @ bread
    V = sandwich(found, H)
    weights = share * np.sqrt(1 + factor**2)
    np.testing.assert_allclose(V[[0, 4], [0, 4]], weights**2 * expected[0, 0], rtol=1e-7)
    np.testing.assert_allclose(V[[1, 2, 3], [1, 2, 3]], np.diag(expected)[1:], rtol=1e-7)
    assert found.trace(H) == pytest.approx(np.trace(bread @ K))
    z = B[0]
    leverage = np.append(z[0] * np.sqrt(1 + factor**2), z[1:4])
    assert z @ found.on_rows() @ z == pytest.approx(leverage @ bread @ leverage, rel=1e-6)


def test_penalties_of_very_different_sizes():
    """A column that the penalty holds keeps its small spread beside dependent columns."""
    B = np.column_stack([A, A[:, 0]])
    P = np.diag([1e-10, 1e-10, 1e9, 1e-10, 1e-10])
    V = sandwich(invert(B.T @ B, P), B.T @ B)
    rest = A[:, [0, 1, 3]]
    residual = A[:, 2] - rest @ np.linalg.lstsq(rest, A[:, 2], rcond=None)[0]
    assert V[2, 2] == pytest.approx(residual @ residual / 1e18, rel=1e-6)


def test_directions_without_information_or_penalty():
    found = invert(np.diag([1.0, 0.0, 0.0]), np.diag([0.0, 1e-9, 0.0]))
    np.testing.assert_allclose(np.diag(found.matrix), [1.0, 1e9, 0.0])
    assert np.flatnonzero(found.null).tolist() == [2]
    step, _ = found.solve(np.array([1.0, 5.0, 0.0]), np.zeros(3))
    np.testing.assert_allclose(step, [1.0, 0.0, 0.0])  # the slope along it is a rounding error
