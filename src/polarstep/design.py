"""The data matrix as solvers see it: centred products with X, X^T and the Gram matrix.

Centring is implicit, and so is the constant feature of an intercept. A sparse matrix stays sparse,
float32 data stay float32 in memory (blocks of rows are widened as they are read, so that every sum
is a float64 sum), and each read of X counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp

from .validation import check_finite, complaint, flag, sample_weights

_BLOCK_VALUES = 1 << 18  # values of X that are widened or centred at a time: 2 MiB of float64


class Design:
    """A data matrix X (n samples, d features) with its column means taken out implicitly.

    With an intercept a last feature stands beside the others, implicitly: 1 for every sample, and
    not centred. Vectors of weights have d + 1 entries then, and so have all products.

    Parameters
    ----------
    X : array-like or scipy sparse, shape (n, d)
        Real and finite. A C- or F-ordered float32 or float64 array, or a CSR matrix in canonical
        format, is used where it lies; anything else is converted once (other sparse formats to CSR,
        integers to float64).
    sample_weight : array-like, shape (n,), optional
        Weights >= 0 of the samples, of any scale; means are then weighted means. A weight of k is
        the same as k copies of the row; a row of weight zero must hold finite numbers too.
    intercept : bool
    who : str
        The name that error messages speak for.

    Attributes
    ----------
    shape : tuple of int
        (n, d), or (n, d + 1) with an intercept.
    n_features : int
        d, the number of columns of X.
    weights : ndarray, shape (n,), or None
        The sample weights, scaled to a mean of one.
    mean, variance : ndarray, shape (d,)
        Of the columns (the variance is the biased one).
    n_passes : int
        How many products have read all of X so far. Means and variances count as one.

    Raises
    ------
    TypeError, ValueError
        If X is not a real, finite, non-empty two-dimensional matrix (NaN and infinity are named
        with their position), or sample_weight not a vector of n finite numbers >= 0, one of them
        positive.
    """

    def __init__(
        self, X: Any, *, sample_weight: Any = None, intercept: bool = False, who: str = "Design"
    ) -> None:
        self.X = _as_matrix(X, who)
        n, self.n_features = self.X.shape
        self.intercept = flag(intercept, who, "intercept")
        self.shape = (n, self.n_features + self.intercept)
        self.weights: np.ndarray | None = None
        if sample_weight is not None:
            self.weights = sample_weights(sample_weight, who, length=n)
        self.is_sparse = sp.issparse(self.X)
        self.n_passes = 0
        self._blocks = list(self._row_blocks())
        self._full = self._columns_without_zeros()
        self.mean, self.variance = self._column_moments(who)

    def matvec(self, w: np.ndarray) -> np.ndarray:
        """The centred projections (X - 1 mean^T) w, shape (n,). One pass."""
        self.n_passes += 1
        features = w[: self.n_features]
        if self.X.dtype == np.float64:
            projections = self.X @ features
        else:
            projections = np.concatenate([_wide(block) @ features for block in self._blocks])
        projections -= self.mean @ features - (w[-1] if self.intercept else 0.0)
        return projections

    def rmatvec(self, r: np.ndarray) -> np.ndarray:
        """The centred combination (X - 1 mean^T)^T r, shape (d,). One pass."""
        self.n_passes += 1
        if self.X.dtype == np.float64:
            combination = self.X.T @ r
        else:
            combination = np.zeros(self.n_features)
            start = 0
            for block in self._blocks:
                stop = start + block.shape[0]
                combination += _wide(block).T @ r[start:stop]
                start = stop
        total = r.sum()
        combination -= self.mean * total
        return np.append(combination, total) if self.intercept else combination

    def average(self, values: np.ndarray) -> float:
        """The (weighted) mean of one value for each sample. Reads no X."""
        if self.weights is None:
            return float(np.mean(values))
        return float(self.weights @ values) / len(values)

    def moment(self, r: np.ndarray) -> np.ndarray:
        """The (weighted) mean of r_i (x_i - mean), shape (d,). One pass."""
        return self.rmatvec(r if self.weights is None else self.weights * r) / len(r)

    def gram(self) -> np.ndarray:
        """Return the (weighted) mean of (x_i - mean) (x_i - mean)^T, shape (d, d), in float64.

        The first call takes one pass; later calls return a copy of its result.

        Columns are centred before they are multiplied, so that those far from zero keep their
        digits. A sparse column with zeros is centred afterwards, because its zeros are not stored.
        """
        return self._gram.copy()

    @cached_property
    def _gram(self) -> np.ndarray:
        self.n_passes += 1
        n, d = self.shape[0], self.n_features
        before = np.where(self._full, self.mean, 0.0)
        after = np.where(self._full, 0.0, self.mean)
        total = np.zeros((d, d))
        for block, weights in self._blocks_and_weights():
            rows = _shifted(block, before)
            if weights is not None:
                rows = _scaled(rows, np.sqrt(weights))
            product = rows.T @ rows
            total += product.toarray() if self.is_sparse else product
        total = total / n - np.outer(after, after)
        total = (total + total.T) / 2
        return la.block_diag(total, 1.0) if self.intercept else total

    def check_columns(self, who: str) -> None:
        """Refuse columns whose squares overflow, and data in which no column varies."""
        if not np.isfinite(self.variance).all():
            raise ValueError(too_large(who, "X"))
        if self.constant.all():
            n = self.shape[0] if self.weights is None else np.count_nonzero(self.weights)
            got = f"{n} rows that are the same but for rounding" if n > 1 else "a single row"
            advice = "There is nothing to learn from it. (Rescale values below 1e-150.)"
            raise ValueError(complaint(who, "X", "have a column that varies", got, advice))

    @property
    def constant(self) -> np.ndarray:
        """Which columns do not vary but for rounding, shape (d,)."""
        noise = np.where(self._full, np.square(1e-14 * self.mean), 1e-14 * np.square(self.mean))
        return self.variance <= noise

    def _row_blocks(self) -> Iterator[Any]:
        """Views of consecutive rows, small enough to be widened; sparse float64 is one block."""
        n, d = self.X.shape
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

    def _blocks_and_weights(self) -> Iterator[tuple[Any, np.ndarray | None]]:
        """The blocks, each with the weights of its rows."""
        start = 0
        for block in self._blocks:
            stop = start + block.shape[0]
            yield block, None if self.weights is None else self.weights[start:stop]
            start = stop

    def _columns_without_zeros(self) -> np.ndarray:
        """Which columns have an entry in every row (of positive weight), shape (d,)."""
        if not self.is_sparse:
            return np.ones(self.n_features, dtype=bool)
        n, d = self.X.shape
        if self.weights is None:
            return np.bincount(self.X.indices, minlength=d) == n
        counts = np.repeat(self.weights > 0, np.diff(self.X.indptr))
        entries = np.bincount(self.X.indices, weights=counts, minlength=d)
        return entries == np.count_nonzero(self.weights)

    def _column_moments(self, who: str) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances, from sums about a row: they are exact for a constant column.

        It is a row of the largest weight, so that the variance is at least 1/n of the square that
        is taken off in the end.
        """
        self.n_passes += 1
        n, d = self.X.shape
        row = 0 if self.weights is None else int(np.argmax(self.weights))
        origin = self.X[[row]].toarray()[0] if self.is_sparse else self.X[row]
        origin = np.where(self._full, origin, 0.0).astype(np.float64)
        total, squares = np.zeros(d), np.zeros(d)
        with np.errstate(over="ignore", invalid="ignore"):
            for block, weights in self._blocks_and_weights():
                rows = _shifted(block, origin)
                weighted = rows if weights is None else _scaled(rows, weights)
                if self.is_sparse:
                    at, sums = rows.indices, weighted.data
                    total += np.bincount(at, weights=sums, minlength=d)
                    squares += np.bincount(at, weights=sums * rows.data, minlength=d)
                else:
                    total += weighted.sum(0)
                    squares += (weighted * rows).sum(0)
            shift = total / n
            variance = squares / n - np.square(shift)
        if not np.isfinite(shift).all():
            check_finite(self.X, who, "X")
            must, got = "have columns whose sums do not overflow", "values that do"
            raise ValueError(complaint(who, "X", must, got, "Rescale the largest columns."))
        return origin + shift, variance


def too_large(who: str, argument: str) -> str:
    """The text of an error about numbers whose squares or products overflow."""
    must = "hold numbers whose squares and products do not overflow"
    return complaint(who, argument, must, "numbers that are too large", "Rescale the largest.")


def as_design(X: Any, who: str, *, sample_weight: Any = None, intercept: bool = False) -> Design:
    """X itself where it is a Design that has all this already; otherwise a Design over X.

    A Design keeps its own weights and its intercept unless others are asked for.
    """
    intercept = flag(intercept, who, "intercept")
    if isinstance(X, Design):
        if sample_weight is None and intercept <= X.intercept:
            return X
        sample_weight = X.weights if sample_weight is None else sample_weight
        X, intercept = X.X, intercept or X.intercept
    return Design(X, sample_weight=sample_weight, intercept=intercept, who=who)


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
    return canonical_matrix(X)


def canonical_matrix(X: Any) -> Any:
    """Return a numeric matrix in the one form in which this package keeps data.

    Parameters
    ----------
    X : ndarray or sparse matrix, shape (n, d)
        Real numbers.

    Returns
    -------
    ndarray or CSR matrix, shape (n, d)
        float32 stays float32; any other dtype becomes float64. A dense array is C- or
        F-contiguous. A CSR matrix has sorted indices without duplicates, and they are int32 where
        they fit, which halves the memory that a pass reads. An `X` of this form is not copied.
    """
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    if sp.issparse(X):
        X = X.tocsr()
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
        if X.indices.dtype != np.int32 and max(X.nnz, X.shape[1]) < 2**31:
            parts = (X.data, X.indices.astype(np.int32), X.indptr.astype(np.int32))
            X = sp.csr_array(parts, shape=X.shape)
    elif not _is_contiguous(X):
        X = np.ascontiguousarray(X)
    return X


def is_usable_matrix(X: Any) -> bool:
    """Whether the solvers take a matrix as it is: that of `canonical_matrix`, or int64 indices."""
    if X.dtype not in (np.float32, np.float64):
        return False
    if sp.issparse(X):
        return X.format == "csr" and bool(X.has_canonical_format)
    return type(X) is np.ndarray and _is_contiguous(X)


def _is_contiguous(X: np.ndarray) -> bool:
    return X.flags.c_contiguous or X.flags.f_contiguous


def _wide(block: Any) -> Any:
    """A block in float64."""
    return block if block.dtype == np.float64 else block.astype(np.float64)


def _shifted(block: Any, origin: np.ndarray) -> Any:
    """A block in float64, less `origin` in every row; of a sparse one only the entries move."""
    rows = _wide(block)
    if not sp.issparse(rows):
        return rows - origin
    return _with_data(rows, rows.data - origin[rows.indices]) if origin.any() else rows


def _scaled(rows: Any, factors: np.ndarray) -> Any:
    """Rows times one factor each."""
    if not sp.issparse(rows):
        return rows * factors[:, None]
    return _with_data(rows, rows.data * np.repeat(factors, np.diff(rows.indptr)))


def _with_data(rows: Any, data: np.ndarray) -> Any:
    """The sparse rows with other values in the same places."""
    return sp.csr_array((data, rows.indices, rows.indptr), shape=rows.shape)
