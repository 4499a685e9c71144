"""The data matrix as solvers see it: centred products with X, X^T and the Gram matrix.

Centring is implicit. A sparse matrix stays sparse, float32 data stay float32 in memory (blocks of
rows are widened as they are read, so that every sum is a float64 sum), and each read of X counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from .validation import complaint

_BLOCK_VALUES = 1 << 18  # values of X that are widened or centred at a time: 2 MiB of float64


class Design:
    """A data matrix X (n samples, d features) with its column means taken out implicitly.

    Parameters
    ----------
    X : array-like or scipy sparse, shape (n, d)
        Real and finite. A C- or F-ordered float32 or float64 array, or a CSR matrix in canonical
        format, is used where it lies; anything else is converted once (other sparse formats to CSR,
        integers to float64).
    who : str
        The name that error messages speak for.

    Attributes
    ----------
    mean : ndarray, shape (d,)
        The column means.
    n_passes : int
        How many products have read all of X so far. The column means count as one.

    Raises
    ------
    TypeError, ValueError
        If X is not a real, finite, non-empty two-dimensional matrix. NaN and infinity are named
        with their position.
    """

    def __init__(self, X: Any, *, who: str = "Design") -> None:
        self.X = _as_matrix(X, who)
        self.shape: tuple[int, int] = self.X.shape
        self.is_sparse = sp.issparse(self.X)
        self.n_passes = 0
        self._blocks = list(self._row_blocks())
        self.mean = self._column_means(who)

    def matvec(self, w: np.ndarray) -> np.ndarray:
        """The centred projections (X - 1 mean^T) w, shape (n,). One pass."""
        self.n_passes += 1
        if self.X.dtype == np.float64:
            projections = self.X @ w
        else:
            projections = np.concatenate([_wide(block) @ w for block in self._blocks])
        projections -= self.mean @ w
        return projections

    def rmatvec(self, r: np.ndarray) -> np.ndarray:
        """The centred combination (X - 1 mean^T)^T r, shape (d,). One pass."""
        self.n_passes += 1
        if self.X.dtype == np.float64:
            combination = self.X.T @ r
        else:
            combination = np.zeros(self.shape[1])
            start = 0
            for block in self._blocks:
                stop = start + block.shape[0]
                combination += _wide(block).T @ r[start:stop]
                start = stop
        combination -= self.mean * r.sum()
        return combination

    def gram(self) -> np.ndarray:
        """The covariance (1/n) (X - 1 mean^T)^T (X - 1 mean^T), shape (d, d), float64. One pass.

        Columns are centred before they are multiplied, so that those far from zero keep their
        digits; but where a sparse column has zeros, which stay where they are, it is centred after.
        """
        self.n_passes += 1
        n, d = self.shape
        before, after = self.mean, np.zeros(d)
        if self.is_sparse:
            full = np.bincount(self.X.indices, minlength=d) == n
            before, after = np.where(full, self.mean, 0.0), np.where(full, 0.0, self.mean)
        total = np.zeros((d, d))
        for block in self._blocks:
            rows = _wide(block)
            if not self.is_sparse:
                rows = rows - before
            elif before.any():
                parts = (rows.data - before[rows.indices], rows.indices, rows.indptr)
                rows = sp.csr_array(parts, shape=rows.shape)
            product = rows.T @ rows
            total += product.toarray() if self.is_sparse else product
        total = total / n - np.outer(after, after)
        return (total + total.T) / 2

    def _row_blocks(self) -> Iterator[Any]:
        """Views of consecutive rows, small enough to be widened; sparse float64 is one block."""
        n, d = self.shape
        if not self.is_sparse:
            step = max(1, _BLOCK_VALUES // d)
            yield from (self.X[i : i + step] for i in range(0, n, step))
            return
        X = self.X
        step = n if X.dtype == np.float64 else max(1, _BLOCK_VALUES * n // max(X.nnz, 1))
        for i in range(0, n, step):
            pointers = X.indptr[i : i + step + 1]
            span = slice(pointers[0], pointers[-1])
            parts = (X.data[span], X.indices[span], pointers - pointers[0])
            yield sp.csr_array(parts, shape=(len(pointers) - 1, d), copy=False)

    def _column_means(self, who: str) -> np.ndarray:
        """Means about the first row: a constant column then has exactly its value as its mean."""
        self.n_passes += 1
        n, d = self.shape
        origin = np.zeros(d) if self.is_sparse else self.X[0].astype(np.float64)
        total = np.zeros(d)
        with np.errstate(over="ignore", invalid="ignore"):
            for block in self._blocks:
                rows = _wide(block)
                total += (
                    rows.T @ np.ones(rows.shape[0]) if self.is_sparse else (rows - origin).sum(0)
                )
            mean = origin + total / n
        if not np.isfinite(mean).all():
            raise ValueError(_not_finite(self.X, who))
        return mean


def _as_matrix(X: Any, who: str) -> Any:
    """X as a real two-dimensional float32/float64 ndarray or CSR matrix, copied only if need be."""
    if not sp.issparse(X):
        try:
            X = np.asarray(X)
        except (TypeError, ValueError) as error:
            raise TypeError(
                complaint(who, "X", "be a matrix", f"{type(X).__name__} ({error})")
            ) from None
        if X.dtype.kind == "O":
            try:
                X = X.astype(np.float64)
            except (TypeError, ValueError):
                got = "values that are not numbers"
                advice = "Encode categories first, for instance with sklearn's OneHotEncoder."
                raise TypeError(complaint(who, "X", "be numeric", got, advice)) from None
    if X.ndim != 2:
        advice = "Reshape a single feature with X.reshape(-1, 1)."
        raise ValueError(
            complaint(who, "X", "have two dimensions (n, d)", f"shape {X.shape}", advice)
        )
    if 0 in X.shape:
        must = "have at least one row and one column"
        raise ValueError(complaint(who, "X", must, f"shape {X.shape}"))
    if X.dtype.kind not in "fiub":
        raise TypeError(complaint(who, "X", "be real and numeric", f"dtype {X.dtype}"))
    if sp.issparse(X):
        X = X.tocsr()
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float32 if X.dtype == np.float16 else np.float64)
    if not sp.issparse(X) and not (X.flags.c_contiguous or X.flags.f_contiguous):
        X = np.ascontiguousarray(X)
    return X


def _wide(block: Any) -> Any:
    """A block in float64."""
    return block if block.dtype == np.float64 else block.astype(np.float64)


def _not_finite(X: Any, who: str) -> str:
    """Say where the first NaN or infinity stands (or that the sums overflow)."""
    values = X.data if sp.issparse(X) else X
    if np.isfinite(values).all():
        advice = "Rescale the largest columns."
        return complaint(
            who, "X", "have columns whose sums do not overflow", "values that do", advice
        )
    if sp.issparse(X):
        at = int(np.flatnonzero(~np.isfinite(values))[0])
        row, column = int(np.searchsorted(X.indptr, at, side="right")) - 1, int(X.indices[at])
        value = values[at]
    else:
        row, column = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
        value = values[row, column]
    advice = "Remove or impute such values first."
    got = f"{value} in row {row}, column {column}"
    return complaint(who, "X", "hold finite numbers only", got, advice)
