"""The canonical form of a data matrix, and blocks of its rows."""

import numpy as np
import pytest
import scipy.sparse as sp

from polarstep.data_matrix import canonical_matrix, is_usable_matrix, scaled, shifted, widened

X = np.where(np.random.default_rng(0).uniform(size=(12, 5)) < 0.5, 0.0, 1.5)


def unsorted(X, dtype=float):
    """A CSR matrix of X with its indices in descending order and every entry in two halves."""
    n, d = X.shape
    data = np.concatenate([X[:, ::-1] / 2, X / 2], axis=1).ravel().astype(dtype)
    columns = np.tile(np.concatenate([np.arange(d)[::-1], np.arange(d)]), n)
    return sp.csr_array((data, columns, 2 * d * np.arange(n + 1)), shape=(n, d))


@pytest.mark.parametrize(
    "raw",
    [
        X,
        np.asfortranarray(X, np.float32),
        sp.csr_array(X),
        sp.csr_matrix(X.astype(np.float32)),
    ],
    ids=["C", "F float32", "csr", "csr_matrix float32"],
)
def test_the_canonical_form_is_not_copied(raw):
    found = canonical_matrix(raw)
    assert np.shares_memory(*(A.data if sp.issparse(A) else A for A in (found, raw)))
    assert is_usable_matrix(raw)


@pytest.mark.parametrize(
    "raw",
    [
        X[::2, ::2],
        X.astype(np.int8),
        X.astype(np.float16),
        sp.csc_array(X),
        sp.coo_array(X.astype(np.float32)),
        unsorted(X),
        sp.csr_array(X.astype(bool)),
    ],
    ids=["strided", "int8", "float16", "csc", "coo float32", "duplicates", "bool csr"],
)
def test_other_forms_are_converted_once(raw):
    assert not is_usable_matrix(raw)
    found = canonical_matrix(raw)
    assert is_usable_matrix(found)
    assert found.dtype == (np.float32 if raw.dtype == np.float32 else np.float64)
    dense = [A.toarray() if sp.issparse(A) else A for A in (found, raw)]
    np.testing.assert_array_equal(*dense)
    assert is_usable_matrix(canonical_matrix(found))


def test_duplicates_of_small_integers_do_not_wrap_around():
    raw = unsorted(np.full((3, 2), 200.0), np.int8)
    np.testing.assert_array_equal(canonical_matrix(raw).toarray(), 200.0)


def test_wide_indices_are_narrowed():
    wide = sp.csr_array(X)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    assert is_usable_matrix(wide)
    found = canonical_matrix(wide)
    assert found.indices.dtype == found.indptr.dtype == np.int32
    assert np.shares_memory(found.data, wide.data)
    np.testing.assert_array_equal(found.toarray(), X)


@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_of_rows(convert, dtype):
    block = convert(X.astype(dtype))
    origin, factors = np.arange(5.0), np.arange(12.0)
    moved, times = shifted(block, origin), scaled(widened(block), factors)
    assert moved.dtype == times.dtype == np.float64
    if sp.issparse(block):
        np.testing.assert_array_equal(moved.toarray(), np.where(X == 0, 0.0, X - origin))
        np.testing.assert_array_equal(times.toarray(), X * factors[:, None])
    else:
        np.testing.assert_array_equal(moved, X - origin)
        np.testing.assert_array_equal(times, X * factors[:, None])
    assert (widened(block) is block) == (dtype == np.float64)
