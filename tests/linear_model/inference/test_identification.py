"""Inverses of matrices of any scale and rank, and the coefficients that data determine."""

import numpy as np
import pytest

from polarstep.linear_model.inference.identification import determined, invert
from polarstep.linear_model.inference.standard_rows import Standard

RNG = np.random.default_rng(0)
A = RNG.standard_normal((30, 4))


def test_regular_matrices_of_any_scale():
    scale = np.array([1e-8, 1.0, 1e3, 1e8])
    found = invert(A.T @ A * np.outer(scale, scale))
    np.testing.assert_allclose(
        found.matrix * np.outer(scale, scale), np.linalg.inv(A.T @ A), rtol=1e-9, atol=1e-12
    )
    assert found.null.shape == (4, 0)
    assert found.condition < 10


def test_singular_matrices():
    B = np.column_stack([A, A[:, 0] - 2 * A[:, 1], np.zeros(30)])
    H = B.T @ B
    found = invert(H)
    assert found.null.shape == (6, 2)
    np.testing.assert_allclose(H @ found.null, 0, atol=1e-10)
    np.testing.assert_allclose(H @ found.matrix @ H, H, atol=1e-9)
    np.testing.assert_array_equal(found.matrix, found.matrix.T)


def test_nearly_singular_matrices_are_inverted():
    H = A.T @ A
    B = np.column_stack([A, A[:, 0] + 1e-5 * RNG.standard_normal(30)])
    found = invert(B.T @ B)
    assert found.null.shape == (5, 0)
    assert found.condition > 1e9
    assert invert(np.zeros((2, 2))).null.shape == (2, 2)
    assert invert(H).null.size == 0


@pytest.mark.parametrize("centre", [0.0, 5.0])
def test_which_coefficients_are_determined(centre):
    """The intercept is not determined if a constant column is not zero."""
    x = RNG.standard_normal((40, 2))
    columns = np.column_stack([x, x[:, 0] * 3, np.zeros(40)])
    Z = np.column_stack([columns, np.ones(40)])
    inverse = invert(Z.T @ Z)
    standard = Standard(np.array([1.0, 2.0, 3.0, centre]), np.ones(4), True)
    mask = determined(inverse.null, inverse.scale, standard)
    assert mask.tolist() == [[False, True, False, False, centre == 0.0]]


def test_everything_is_determined_without_null_directions():
    standard = Standard(np.zeros(3), np.ones(3), True)
    assert determined(np.zeros((8, 0)), np.ones(8), standard).all()
