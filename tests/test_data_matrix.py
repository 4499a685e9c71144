"""The canonical form of a data matrix, and blocks of its rows."""

import datetime

import numpy as np
import pytest
import scipy.sparse as sp

import polarstep as ps
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


INDEX_TYPES = ["u1", "i2", "u4", "u8", ">i4", ">i8", ">u8"]


@pytest.mark.parametrize("indices", INDEX_TYPES)
@pytest.mark.parametrize("indptr", ["i4", "u8", ">i8"])
@pytest.mark.parametrize("data", ["<f8", ">f8", ">f4", ">i2"])
@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csr_array, sp.csc_array])
def test_indices_and_values_of_any_type_and_byte_order(kind, indices, indptr, data):
    raw = kind(np.round(X))
    raw.data, raw.indices = raw.data.astype(data), raw.indices.astype(indices)
    raw.indptr = raw.indptr.astype(indptr)
    assert not is_usable_matrix(raw)
    found = canonical_matrix(raw)
    assert is_usable_matrix(found)
    assert found.dtype == (np.float32 if data == ">f4" else np.float64)
    np.testing.assert_array_equal(found.toarray(), np.round(X))
    assert raw.indices.dtype == indices


@pytest.mark.parametrize("data", [">f8", ">f4", ">i4"])
def test_dense_values_of_any_byte_order(data):
    found = canonical_matrix(X.astype(data))
    assert found.dtype == (np.float32 if data == ">f4" else np.float64)
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, X.astype(data))


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


# ------------------------------------------------------------------ what is refused

ROWS = np.random.default_rng(0).standard_normal((20, 3))
LABELS = np.where(np.arange(20) % 2, 1.0, -1.0)


def spoiled(value, at=(4, 2), convert=np.asarray, dtype=float):
    bad = ROWS.astype(dtype)
    bad[at] = value
    return convert(bad)


def inputs(make):
    """Cases for whatever takes X and y: their errors speak for it."""
    far = np.array([[1e308], [-1e308]])
    number, vector = "`X` must be numeric", "`y` must be a vector of 20 real numbers; got"
    return {
        "nan": (make, (spoiled(np.nan), LABELS), "`X`.* nan at row 4, column 2. Remove"),
        "inf": (make, (spoiled(np.inf), LABELS), "`X`.* inf at row 4, column 2"),
        "-inf": (make, (spoiled(-np.inf, (0, 0)), LABELS), "`X`.* -inf at row 0, column 0"),
        "float32 nan": (make, (spoiled(np.nan, dtype=np.float32), LABELS), "`X`.* nan at row 4"),
        "F-order": (
            make,
            (spoiled(np.nan, (19, 1), np.asfortranarray), LABELS),
            "`X`.* row 19, column 1",
        ),
        "csr nan": (make, (spoiled(np.nan, convert=sp.csr_array), LABELS), "`X`.* row 4, column 2"),
        "csc inf": (make, (spoiled(np.inf, (7, 0), sp.csc_array), LABELS), "`X`.* row 7, column 0"),
        "sums overflow": (make, (far, [0, 1]), "`X` must have columns whose sums do not overflow"),
        "squares overflow": (make, (1e160 * ROWS, LABELS), "`X`.* do not overflow.* Rescale"),
        "sparse overflow": (make, (sp.csr_array(1e160 * ROWS), LABELS), "`X`.* do not overflow"),
        "one dimension": (
            make,
            (ROWS[:, 0], LABELS),
            r"`X`.* shape \(20,\). Reshape .*reshape\(-1, 1\)",
        ),
        "three": (make, (ROWS[None], LABELS), r"`X` must have two dimensions.* shape \(1, 20, 3\)"),
        "scalar": (make, (3.0, LABELS), "`X` must have two dimensions"),
        "nothing": (make, (None, LABELS), "`X` must have two dimensions"),
        "ragged": (make, ([[1.0], [2.0, 3.0]], [0, 1]), "`X` must be a matrix", TypeError),
        "no rows": (make, (ROWS[:0], LABELS[:0]), "`X` must have at least one row"),
        "no columns": (make, (ROWS[:, :0], LABELS), r"`X` must .*one column; got shape \(20, 0\)"),
        "empty sparse": (make, (sp.csr_array((20, 0)), LABELS), "`X` must have at least one row"),
        "words": (make, ([["a"], ["b"]], [0, 1]), "`X` must be real and numeric", TypeError),
        "objects": (make, (np.array([["a"], ["b"]], object), [0, 1]), number, TypeError),
        "complex": (
            make,
            (ROWS + 1j, LABELS),
            "`X` must be real and numeric.* complex128",
            TypeError,
        ),
        "sparse complex": (make, (sp.csr_array(ROWS + 1j), LABELS), "`X` must be real", TypeError),
        "dates": (make, (ROWS.astype("M8[s]"), LABELS), "`X` must be real and numeric", TypeError),
        "few labels": (
            make,
            (ROWS, LABELS[:-1]),
            r"`y` must be .*of 20 real numbers; got shape \(19,\)",
        ),
        "two columns of y": (make, (ROWS, np.stack([LABELS, LABELS], 1)), vector),
        "nan label": (make, (ROWS, [*LABELS[:3], np.nan, *LABELS[4:]]), "`y`.* nan at position 3"),
        "inf label": (make, (ROWS, [-np.inf, *LABELS[1:]]), "`y`.* -inf at position 0"),
        "no y": (make, (ROWS, None), "`y` must be a vector of 20"),
        "words for y": (
            make,
            (ROWS, np.where(LABELS > 0, "a", "b")),
            "`y`.* not numeric",
            TypeError,
        ),
        "digits for y": (
            make,
            (ROWS, np.where(LABELS > 0, "1", "0")),
            "`y`.* not numeric",
            TypeError,
        ),
        "dates for y": (
            make,
            (ROWS, [datetime.date(2000, 1, 1)] * 20),
            "`y`.* not numeric",
            TypeError,
        ),
        "complex y": (make, (ROWS, LABELS + 1j), "`y`.* not numeric", TypeError),
        "all zero": (make, (np.zeros((20, 3)), LABELS), "`X` must have a column that varies"),
        "sparse zero": (
            make,
            (sp.csr_array((20, 3)), LABELS),
            "`X` must have a column that varies",
        ),
        "constant": (make, (np.full((20, 3), 0.1), LABELS), "`X` must have a column that varies"),
        "sparse constant": (
            make,
            (sp.csr_array(np.full((20, 3), 0.1)), LABELS),
            "`X`.* that varies",
        ),
        "far constant": (make, (np.full((20, 2), 1e8 / 3), LABELS), "`X`.* varies; got 20 rows"),
    }


@pytest.mark.parametrize("make", [ps.Halfspace, ps.LeastSquares])
@pytest.mark.parametrize("case", inputs(None))
def test_bad_data_are_refused(make, case):
    _, arguments, words, *error = inputs(make)[case]
    who = "(Halfspace|Moments.from_data)" if make is ps.Halfspace else "Moments.from_data"
    with pytest.raises(error[0] if error else ValueError, match=f"(?s)^{who}: {words}") as caught:
        make(*arguments)
    assert type(caught.value) is (error[0] if error else ValueError)
