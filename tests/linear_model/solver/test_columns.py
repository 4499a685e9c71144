"""The columns of the Gram matrix: the map from the columns of X, and how they are chosen."""

import numpy as np
import pytest
import scipy.sparse as sp

from polarstep.linear_model.solver import columns as columns_module
from polarstep.linear_model.solver.columns import GramColumns, choose_gram_columns
from weighted_samples import centred, gaussian, sparse_categories

SUMS = GramColumns(np.array([2, 0, -1, 1, 2, 2], np.int32), 3, 2)


@pytest.mark.parametrize("columns", [SUMS, GramColumns.every(6)], ids=["sums", "every"])
def test_restrict_and_extend_are_transposes(columns):
    rng = np.random.default_rng(0)
    A = np.zeros((6, columns.size))
    inside = columns.place >= 0
    A[inside, columns.place[inside]] = 1.0
    v, x = rng.standard_normal(6), rng.standard_normal(columns.size)
    np.testing.assert_allclose(columns.restrict(v), A.T @ v)
    np.testing.assert_allclose(columns.extend(x), A @ x)
    Q = rng.standard_normal((6, 6))
    np.testing.assert_allclose(columns.restrict_matrix(Q), A.T @ Q @ A)


def test_single_columns_come_in_the_order_of_the_gram_matrix():
    np.testing.assert_array_equal(SUMS.of_single(np.arange(6.0)), [1.0, 3.0])
    v = np.arange(6.0)
    assert GramColumns.every(6).of_single(v) is v


def test_few_columns_are_all_taken():
    assert choose_gram_columns(centred(*gaussian(50, 6))).all_single


def test_of_a_dense_matrix_the_columns_of_largest_variance_are_taken(monkeypatch):
    monkeypatch.setattr(columns_module, "_MOST_DENSE", 3)
    X, y = gaussian(500, 6)
    columns = choose_gram_columns(centred(X * [1, 9, 2, 8, 3, 7], y))
    np.testing.assert_array_equal(columns.place, [-1, 0, -1, 1, -1, 2])
    assert columns.size == columns.n_single == 3


def test_of_a_sparse_matrix_frequent_columns_are_taken_and_the_others_added_up(monkeypatch):
    monkeypatch.setattr(columns_module, "_MOST_SPARSE", 10)
    X, y = sparse_categories(n=3000, levels=(3, 40, 150))
    columns = choose_gram_columns(centred(sp.csr_array(X), y))
    counts = X.getnnz(axis=0)
    single = np.flatnonzero((columns.place >= 0) & (columns.place < columns.n_single))
    assert len(single) == columns.n_single == 10
    assert counts[single].min() >= np.sort(counts)[-10]
    assert columns.size == 10 + 3  # a sum for each category
    for start, stop, sum_ in ((0, 3, 10), (3, 43, 11), (43, 193, 12)):
        rest = np.setdiff1d(np.arange(start, stop), single)
        assert (columns.place[rest] == sum_).all()
