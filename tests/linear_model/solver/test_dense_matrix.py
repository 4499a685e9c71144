"""Centred dense matrices: Gram matrices in double and single precision, effective rows."""

import numpy as np
import pytest

from polarstep.linear_model.solver.dense_matrix import DenseMatrix, even_moments
from weighted_samples import DENSE, samples_of


@pytest.mark.parametrize("kind", DENSE)
def test_gram(kind):
    samples, Z = samples_of(kind)
    h = np.random.default_rng(2).exponential(size=samples.n)
    one = np.column_stack([Z, np.ones(samples.n)])
    found = samples.gram(h, np.arange(6, dtype=np.int32), 6)
    np.testing.assert_allclose(found, one.T @ (h[:, None] * one), rtol=1e-9, atol=1e-9)
    place = np.array([0, -1, 1, 2, -1, 3], np.int32)  # two columns are left out
    one = np.column_stack([Z[:, place >= 0], np.ones(samples.n)])
    found = samples.gram(h, place, 4)
    np.testing.assert_allclose(found, one.T @ (h[:, None] * one), rtol=1e-9, atol=1e-9)


def test_the_gram_matrix_of_many_columns_is_single_precision_in_the_units_of_each():
    rng = np.random.default_rng(0)
    units = 10.0 ** rng.uniform(-6, 6, 300)
    X = rng.standard_normal((400, 300)) * units
    matrix = DenseMatrix(X, np.zeros(300))
    found = matrix.gram(np.full(400, 1 / 400), np.arange(300, dtype=np.int32), 300)
    scaled = found[:-1, :-1] / np.outer(units, units)
    np.testing.assert_allclose(scaled, (X / units).T @ (X / units) / 400, atol=1e-5)
    assert not matrix.gram(np.zeros(400), np.arange(300, dtype=np.int32), 300).any()


def test_a_rare_column_rests_on_few_rows():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.choice([-1.0, 1.0], 5000), np.zeros(5000), np.zeros(5000)])
    X[::7, 1] = 1.0  # in 715 rows, 143 of which are among the thousand that are looked at
    rows = DenseMatrix(X, np.zeros(3)).effective_rows()
    np.testing.assert_allclose(rows, [5000, 715, 0], rtol=1e-12)


def test_even_moments():
    Z = np.random.default_rng(0).standard_normal((7, 2))
    np.testing.assert_allclose(even_moments(Z), [[7, 7], (Z**2).sum(axis=0), (Z**4).sum(axis=0)])


def test_centred_rows():
    samples, Z = samples_of("F")
    np.testing.assert_allclose(samples.matrix.centred_rows(), Z)
