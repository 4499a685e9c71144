"""The centred data matrix: products with X, X^T and the Gram matrix.

Centring is implicit, and so is the constant feature of an intercept. A sparse matrix stays sparse.
float32 data stay float32 in memory; blocks of rows are converted as they are read, so that every
sum is a float64 sum. Each read of X counts as a pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp

from .data_matrix import read_matrix, scaled, shifted, widened
from .validation import check_finite, complaint, flag, sample_weights

__all__ = ["Design"]

_BLOCK_VALUES = 1 << 18  # values of X that are converted or centred at a time: 2 MiB of float64


class Design:
    """A data matrix X whose column means are subtracted implicitly.

    Parameters
    ----------
    X : array-like or scipy sparse, shape (n, d)
        Real and finite numbers: n samples of d features. Contiguous arrays (C or F order) and
        canonical CSR matrices with int32 indices are used without a copy if they are float32 or
        float64. Anything else is converted once: sparse formats to CSR, other dtypes to float64.
    sample_weight : array-like, shape (n,), optional
        Weights >= 0 of the samples, of any scale, which turn all means into weighted means. A row
        of weight k counts like k copies of it. A row of weight zero must hold finite numbers too.
    intercept : bool, default False
        Whether to append a constant feature 1, which is not centred. Weight vectors and
        combinations of rows then have d + 1 entries.
    who : str, default "Design"
        The caller that error messages name.

    Attributes
    ----------
    shape : tuple of int
        (n, d), or (n, d + 1) with an intercept.
    n_features : int
        d, the number of columns of X.
    weights : ndarray, shape (n,), or None
        The sample weights, scaled to a mean of one.
    mean : ndarray, shape (d,)
        The means of the columns.
    variance : ndarray, shape (d,)
        The biased variances of the columns.
    n_passes : int
        The number of products with all of X so far. Means and variances count as one.

    Raises
    ------
    TypeError, ValueError
        If X is not a real, finite and non-empty matrix (the message names the position of the first
        NaN or infinity), or if sample_weight does not hold n finite numbers >= 0, one of them > 0.

    Examples
    --------
    >>> import numpy as np
    >>> design = Design([[1.0, 2.0], [3.0, 6.0]])
    >>> design.mean, design.matvec(np.array([1.0, 1.0]))
    (array([2., 4.]), array([-3.,  3.]))
    """

    def __init__(
        self, X: Any, *, sample_weight: Any = None, intercept: bool = False, who: str = "Design"
    ) -> None:
        self.X = read_matrix(X, who)
        n, self.n_features = self.X.shape
        self.intercept = flag(intercept, who, "intercept")
        self.shape = (n, self.n_features + self.intercept)
        self.weights: np.ndarray | None = None
        if sample_weight is not None:
            self.weights = sample_weights(sample_weight, who, length=n)
        self.is_sparse = sp.issparse(self.X)
        self.n_passes = 0
        self._blocks = list(self._row_blocks())
        self._without_zeros = self._columns_without_zeros()
        self.mean, self.variance = self._column_moments(who)

    def matvec(self, w: np.ndarray) -> np.ndarray:
        """Return the centred projections (X - 1 mean^T) w, in one pass.

        Parameters
        ----------
        w : ndarray, shape (d,)
            The weights; with an intercept, (d + 1,).

        Returns
        -------
        ndarray, shape (n,)
            One projection per sample.
        """
        self.n_passes += 1
        features = w[: self.n_features]
        if self.X.dtype == np.float64:
            projections = self.X @ features
        else:
            projections = np.concatenate([widened(block) @ features for block in self._blocks])
        projections -= self.mean @ features - (w[-1] if self.intercept else 0.0)
        return projections

    def rmatvec(self, r: np.ndarray) -> np.ndarray:
        """Return the centred combination (X - 1 mean^T)^T r of the rows, in one pass.

        Parameters
        ----------
        r : ndarray, shape (n,)
            One factor per sample.

        Returns
        -------
        ndarray, shape (d,)
            The combination; with an intercept, (d + 1,).
        """
        self.n_passes += 1
        if self.X.dtype == np.float64:
            combination = self.X.T @ r
        else:
            combination = np.zeros(self.n_features)
            start = 0
            for block in self._blocks:
                stop = start + block.shape[0]
                combination += widened(block).T @ r[start:stop]
                start = stop
        total = r.sum()
        combination -= self.mean * total
        return np.append(combination, total) if self.intercept else combination

    def average(self, values: np.ndarray) -> float:
        """Return the (weighted) mean of one value per sample, without a pass.

        Parameters
        ----------
        values : ndarray, shape (n,)
            The values.

        Returns
        -------
        float
            The mean.
        """
        if self.weights is None:
            return float(np.mean(values))
        return float(self.weights @ values) / len(values)

    def moment(self, r: np.ndarray) -> np.ndarray:
        """Return the (weighted) mean of r_i (x_i - mean), in one pass.

        Parameters
        ----------
        r : ndarray, shape (n,)
            One factor per sample.

        Returns
        -------
        ndarray, shape (d,)
            The mean; with an intercept, (d + 1,).
        """
        return self.rmatvec(r if self.weights is None else self.weights * r) / len(r)

    def gram(self) -> np.ndarray:
        """Return the (weighted) mean of (x_i - mean) (x_i - mean)^T.

        The first call takes one pass; later calls return a copy of its result.

        Returns
        -------
        ndarray, shape (d, d)
            The covariance of the columns, in float64; with an intercept, blockdiag(S, 1).

        Notes
        -----
        Columns are centred before they are multiplied, so that columns far from zero lose no
        digits. A sparse column with zeros is centred afterwards, because its zeros are not stored.
        """
        return self._gram.copy()

    @cached_property
    def _gram(self) -> np.ndarray:
        self.n_passes += 1
        n, d = self.shape[0], self.n_features
        subtracted_before = np.where(self._without_zeros, self.mean, 0.0)
        subtracted_after = np.where(self._without_zeros, 0.0, self.mean)
        total = np.zeros((d, d))
        for block, weights in self._blocks_and_weights():
            rows = shifted(block, subtracted_before)
            if weights is not None:
                rows = scaled(rows, np.sqrt(weights))
            product = rows.T @ rows
            total += product.toarray() if self.is_sparse else product
        total = total / n - np.outer(subtracted_after, subtracted_after)
        total = (total + total.T) / 2
        return la.block_diag(total, 1.0) if self.intercept else total

    def check_columns(self, who: str) -> None:
        """Raise an error if the squares of a column overflow, or if no column varies.

        Parameters
        ----------
        who : str
            The caller that the message names.

        Raises
        ------
        ValueError
            If a squared column overflows, or every column is constant up to rounding errors.
        """
        if not np.isfinite(self.variance).all():
            raise ValueError(too_large(who, "X"))
        if self.constant.all():
            n = self.shape[0] if self.weights is None else np.count_nonzero(self.weights)
            got = f"{n} rows that differ by rounding errors at most" if n > 1 else "a single row"
            advice = "Constant columns predict nothing. Rescale values below 1e-150."
            raise ValueError(complaint(who, "X", "have a column that varies", got, advice))

    @property
    def constant(self) -> np.ndarray:
        """A mask of the columns that are constant up to rounding errors, shape (d,)."""
        noise = np.where(
            self._without_zeros, np.square(1e-14 * self.mean), 1e-14 * np.square(self.mean)
        )
        return self.variance <= noise

    def _row_blocks(self) -> Iterator[Any]:
        """Yield views of blocks of consecutive rows; a sparse float64 matrix is one block."""
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
        """Yield the blocks, each with the weights of its rows."""
        start = 0
        for block in self._blocks:
            stop = start + block.shape[0]
            yield block, None if self.weights is None else self.weights[start:stop]
            start = stop

    def _columns_without_zeros(self) -> np.ndarray:
        """Return a mask of the columns with an entry in every row of positive weight."""
        if not self.is_sparse:
            return np.ones(self.n_features, dtype=bool)
        n, d = self.X.shape
        if self.weights is None:
            return np.bincount(self.X.indices, minlength=d) == n
        counts = np.repeat(self.weights > 0, np.diff(self.X.indptr))
        entries = np.bincount(self.X.indices, weights=counts, minlength=d)
        return entries == np.count_nonzero(self.weights)

    def _column_moments(self, who: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the means and variances of the columns, which are exact for constant columns.

        One of the rows is first subtracted from all of them. It has the largest weight, so that
        the variance is at least 1/n of the square that is subtracted at the end.
        """
        self.n_passes += 1
        n, d = self.X.shape
        row = 0 if self.weights is None else int(np.argmax(self.weights))
        origin = self.X[[row]].toarray()[0] if self.is_sparse else self.X[row]
        origin = np.where(self._without_zeros, origin, 0.0).astype(np.float64)
        total, squares = np.zeros(d), np.zeros(d)
        with np.errstate(over="ignore", invalid="ignore"):
            for block, weights in self._blocks_and_weights():
                rows = shifted(block, origin)
                weighted = rows if weights is None else scaled(rows, weights)
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
            must, got = "have columns whose sums do not overflow", "sums that do"
            raise ValueError(complaint(who, "X", must, got, "Rescale the largest columns."))
        return origin + shift, variance


def too_large(who: str, argument: str) -> str:
    """Return the text of an error about numbers whose squares or products overflow."""
    must = "hold numbers whose squares and products do not overflow"
    return complaint(who, argument, must, "numbers that are too large", "Rescale them.")


def as_design(X: Any, who: str, *, sample_weight: Any = None, intercept: bool = False) -> Design:
    """Return X itself if it is a Design with the wanted weights and intercept, or a new Design.

    A Design keeps its own weights and its intercept unless others are given.
    """
    intercept = flag(intercept, who, "intercept")
    if isinstance(X, Design):
        if sample_weight is None and intercept <= X.intercept:
            return X
        sample_weight = X.weights if sample_weight is None else sample_weight
        X, intercept = X.X, intercept or X.intercept
    return Design(X, sample_weight=sample_weight, intercept=intercept, who=who)
