"""The canonical form of data matrices: conversion, checks and blocks of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from .validation import complaint, type_of


def read_matrix(X: Any, who: str) -> Any:
    """Return the X that a user passed in canonical form, or raise an error that says what is wrong.

    NaN and infinity are not checked here.
    """
    if not sp.issparse(X):
        X = _as_array(X, who)
    if X.ndim != 2:
        advice = "Reshape a single feature with X.reshape(-1, 1)."
        must = "have two dimensions (n, d)"
        raise ValueError(complaint(who, "X", must, f"shape {X.shape}", advice))
    if 0 in X.shape:
        must = "have at least one row and one column"
        raise ValueError(complaint(who, "X", must, f"shape {X.shape}"))
    if X.dtype.kind not in "fiub":
        raise TypeError(complaint(who, "X", "be real and numeric", f"dtype {X.dtype}"))
    return canonical_matrix(X)


def _as_array(X: Any, who: str) -> np.ndarray:
    try:
        X = np.asarray(X)
    except (TypeError, ValueError) as error:
        got = f"{type_of(X)} ({error})"
        raise TypeError(complaint(who, "X", "be a matrix", got)) from None
    if X.dtype.kind != "O":
        return X
    try:
        return X.astype(np.float64)
    except (TypeError, ValueError):
        got = "values that are not numbers"
        advice = "Encode categories first, for instance with sklearn's OneHotEncoder."
        raise TypeError(complaint(who, "X", "be numeric", got, advice)) from None


def canonical_matrix(X: Any) -> Any:
    """Return a numeric matrix in the canonical form, in which this package keeps data.

    Parameters
    ----------
    X : ndarray or sparse matrix, shape (n, d)
        Real numbers.

    Returns
    -------
    ndarray or CSR matrix, shape (n, d)
        float32 stays float32; any other dtype becomes float64. A dense array is C- or
        F-contiguous. A CSR matrix has sorted indices without duplicates; they are int32 if their
        values fit, so that a pass reads less memory. The byte order is the machine's. An `X` of
        this form is not copied.
    """
    single = X.dtype.kind == "f" and X.dtype.itemsize == 4
    X = with_native_types(X).astype(np.float32 if single else np.float64, copy=False)
    if not sp.issparse(X):
        return X if _is_contiguous(X) else np.ascontiguousarray(X)
    X = X.tocsr()
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    if X.indices.dtype != np.int32 and max(X.nnz, X.shape[1]) < 2**31:
        parts = (X.data, X.indices.astype(np.int32), X.indptr.astype(np.int32))
        X = sp.csr_array(parts, shape=X.shape)
    return X


def with_native_types(X: Any) -> Any:
    """Return a sparse X with values in the machine's byte order and int32 or int64 indices.

    Anything else is returned unchanged. SciPy's own matrices are of this form, but arrays with
    unsigned indices, or in another byte order, can be assigned to their attributes, for instance
    from a file that is mapped into memory. Many operations of SciPy fail with these.
    """
    if not sp.issparse(X):
        return X
    if hasattr(X, "indptr") and not _has_native_indices(X):
        X = type(X)((X.data, X.indices, X.indptr), shape=X.shape)
    return X if X.dtype.isnative else X.astype(X.dtype.newbyteorder("="))


def _has_native_indices(X: Any) -> bool:
    return X.indices.dtype in (np.int32, np.int64) and X.indptr.dtype in (np.int32, np.int64)


def is_usable_matrix(X: Any) -> bool:
    """Return whether the solvers accept a matrix without conversion.

    Unlike a canonical matrix, it may have int64 indices where int32 would do.
    """
    if X.dtype not in (np.float32, np.float64):
        return False
    if sp.issparse(X):
        return X.format == "csr" and _has_native_indices(X) and bool(X.has_canonical_format)
    return type(X) is np.ndarray and _is_contiguous(X)


def _is_contiguous(X: np.ndarray) -> bool:
    return X.flags.c_contiguous or X.flags.f_contiguous


# --------------------------------------------------------------------------- blocks of rows


def widened(block: Any) -> Any:
    """Return a block in float64, without a copy if it is float64 already."""
    return block if block.dtype == np.float64 else block.astype(np.float64)


def shifted(block: Any, origin: np.ndarray) -> Any:
    """Return a block in float64 with `origin` subtracted from every row.

    In a sparse block only the stored entries change.
    """
    rows = widened(block)
    if not sp.issparse(rows):
        return rows - origin
    return _with_data(rows, rows.data - origin[rows.indices]) if origin.any() else rows


def scaled(rows: Any, factors: np.ndarray) -> Any:
    """Return the rows, each multiplied by one of the factors."""
    if not sp.issparse(rows):
        return rows * factors[:, None]
    return _with_data(rows, rows.data * np.repeat(factors, np.diff(rows.indptr)))


def _with_data(rows: Any, data: np.ndarray) -> Any:
    """Return sparse rows with the given values in the places of the stored ones."""
    return sp.csr_array((data, rows.indices, rows.indptr), shape=rows.shape)
