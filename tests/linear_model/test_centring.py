"""The centre of the columns, and columns of a sparse X that are shifted."""

import numpy as np
import pytest
import scipy.sparse as sp

from polarstep.linear_model.centring import (
    approximate_centre,
    centre_columns,
    shift_far_columns,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("convert", [np.asarray, np.asfortranarray, sp.csr_array])
@pytest.mark.parametrize("shape", [(40, 3), (5_000, 3), (30, 2_000), (25_000, 1_100)])
def test_the_centre_is_close_to_the_mean_of_every_column(convert, shape):
    X = RNG.standard_normal(shape, np.float32) + RNG.uniform(-5, 5, shape[1]).astype(np.float32)
    centre = approximate_centre(convert(X))
    assert centre.shape == (shape[1],)
    assert centre.dtype == np.float64
    # The error of a mean over m rows is about 1/sqrt(m); with few rows all of them are used.
    tolerance = 1e-5 if shape[0] < 500 else 0.25
    np.testing.assert_allclose(centre, X.mean(axis=0, dtype=float), atol=tolerance)


def test_the_centre_of_a_constant_column_is_exact():
    X = np.full((1_000, 2), 7.3)
    np.testing.assert_array_equal(approximate_centre(X), [7.3, 7.3])


@pytest.mark.parametrize("convert", [np.asarray, np.asfortranarray, sp.csr_array])
@pytest.mark.parametrize("unit", [1.0, 1e308, 1e-310])
def test_a_weight_counts_like_repetitions(convert, unit):
    X, weight = RNG.standard_normal((40, 3)), RNG.integers(1, 4, 40)
    repeated = approximate_centre(convert(np.repeat(X, weight, axis=0)))
    found = approximate_centre(convert(X), unit * (weight / 3.0))
    np.testing.assert_allclose(found, repeated, rtol=1e-10)
    many = RNG.standard_normal((5_000, 3)) + 7.0
    np.testing.assert_allclose(approximate_centre(convert(many), np.ones(5_000)), 7.0, atol=0.25)


def test_values_that_are_not_finite_are_left_to_the_first_pass():
    centre = approximate_centre(np.array([[np.inf, 1.0], [1.0, 1.0]]))
    assert not np.isfinite(centre[0])
    assert centre[1] == 1.0


def columns():
    """A far full column, a near one, and a far one with zeros."""
    X = RNG.standard_normal((500, 3))
    X[:, 0] += 1e8
    X[:, 2] += 1e8
    X[::2, 2] = 0.0
    return X


def test_only_far_full_columns_of_a_sparse_matrix_are_shifted():
    X = columns()
    centre = X.mean(axis=0)
    shifted, rest = shift_far_columns(sp.csr_array(X), centre)
    np.testing.assert_allclose(shifted.toarray() - rest, X - centre, atol=1e-7)
    assert np.flatnonzero(rest == 0).tolist() == [0]
    assert np.abs(shifted[:, [0]].toarray()).max() < 10
    assert shifted.nnz == sp.csr_array(X).nnz


def test_other_matrices_are_returned_as_they_are():
    X, near = columns(), RNG.standard_normal((50, 3))
    cases = [(X, X), (sp.csr_array(near), near), (sp.csr_array((50, 3)), np.zeros((50, 3)))]
    for matrix, values in cases:
        centre = values.mean(axis=0)
        found, rest = shift_far_columns(matrix, centre)
        assert found is matrix
        assert rest is centre


def test_a_column_that_is_full_in_the_first_rows_only_is_not_shifted():
    X = sp.csr_array(columns()[:, [0]])
    X.data[-1] = 0.0
    X.eliminate_zeros()
    found, _ = shift_far_columns(X, X.mean(axis=0))
    assert found is X


@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array])
def test_shifted_columns_and_what_remains_add_up_to_the_centre(convert):
    X = columns()
    shifted, remaining, centre = centre_columns(convert(X), intercept=True)
    np.testing.assert_array_equal(centre, approximate_centre(convert(X)))
    dense = shifted.toarray() if sp.issparse(shifted) else shifted
    np.testing.assert_allclose(dense - remaining, X - centre, atol=1e-7)


def test_nothing_is_subtracted_without_an_intercept():
    X = columns()
    shifted, remaining, centre = centre_columns(X, intercept=False)
    assert shifted is X
    assert not remaining.any()
    assert not centre.any()
