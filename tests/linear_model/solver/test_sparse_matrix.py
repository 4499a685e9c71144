"""Centred CSR matrices: Gram matrices of sums of columns, counts, categories."""

import numpy as np
import pytest
import scipy.sparse as sp

from polarstep.linear_model.solver import sparse_matrix
from polarstep.linear_model.solver.sparse_matrix import (
    SparseMatrix,
    category_ranges,
    category_starts,
)
from weighted_samples import SPARSE, samples_of


@pytest.mark.parametrize("kind", SPARSE)
@pytest.mark.parametrize(
    "place", [[0, 1, 2, 3, 4, 5], [1, 0, 0, 2, -1, 1], [0, 0, -1, 0, 0, 0]], ids=str
)
def test_gram(kind, place):
    samples, Z = samples_of(kind)
    h = np.random.default_rng(2).exponential(size=samples.n)
    place = np.array(place, np.int32)
    k = int(place.max()) + 1
    A = np.zeros((6, k))
    A[place >= 0, place[place >= 0]] = 1
    one = np.column_stack([Z @ A, np.ones(samples.n)])
    found = samples.gram(h, place, k)
    np.testing.assert_allclose(found, one.T @ (h[:, None] * one), rtol=1e-9, atol=1e-9)


def test_effective_rows_are_numbers_of_entries():
    samples, _ = samples_of("csr")
    np.testing.assert_array_equal(samples.effective_rows(), samples.X.getnnz(axis=0))


def test_a_matrix_that_would_become_too_large_is_not_made_dense(monkeypatch):
    samples, Z = samples_of("csr")
    np.testing.assert_allclose(samples.matrix.centred_rows(), Z)
    monkeypatch.setattr(sparse_matrix, "_LARGEST_DENSE", 10)
    assert samples.matrix.centred_rows() is None


def test_rare_columns_are_those_with_the_fewest_entries():
    dense = np.zeros((100, 4))
    dense[:, 0] = dense[:98, 1][0] = 1.0
    dense[:, 2] = 2.0
    dense[[3, 5], 3] = [7.0, 8.0]
    rare = SparseMatrix(sp.csr_array(dense), np.zeros(4)).rare_columns()
    assert 3 in rare.columns
    assert {0, 2}.isdisjoint(rare.columns)
    at = slice(*rare.starts[np.flatnonzero(rare.columns == 3)[0] :][:2])
    np.testing.assert_array_equal(rare.rows[at], [3, 5])
    np.testing.assert_array_equal(rare.values[at], [7.0, 8.0])


def test_categories_are_told_from_other_sparse_data():
    rng = np.random.default_rng(0)
    codes = np.column_stack([rng.integers(0, 3, 200), 3 + rng.integers(0, 5, 200)])
    codes[:5, 1] = np.arange(3, 8)
    codes[:3, 0] = np.arange(3)
    X = sp.csr_matrix((np.ones(400), codes.ravel(), np.arange(201) * 2), shape=(200, 8))
    np.testing.assert_array_equal(category_starts(category_ranges(X)), [0, 3])
    mixed = sp.csr_matrix((rng.random((200, 8)) < 0.4).astype(float))
    np.testing.assert_array_equal(category_starts(category_ranges(mixed)), [0])
