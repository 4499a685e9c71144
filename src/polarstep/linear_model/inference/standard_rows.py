"""Blocks of rows (x - centre)/unit with a one for the intercept, and products with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from ...data_matrix import widened

BLOCK_VALUES = 1 << 19  # values of a dense block: 4 MiB
_FEW_COLUMNS = 64  # up to this number of columns a sparse block is made dense
_DENSE_SHARE = 0.1  # from this share of stored entries on, a sparse block is made dense


@dataclass(frozen=True)
class Standard:
    """The coordinates in which all sums are computed, z = ((x - centre)/unit, 1).

    Columns of any size thus have entries of about one, and products neither overflow nor cancel.

    Attributes
    ----------
    centre : ndarray, shape (d,)
        A point among the rows; zero if there is no intercept.
    unit : ndarray, shape (d,)
        The size of each column, > 0.
    intercept : bool
        Whether z ends with a one.
    """

    centre: np.ndarray
    unit: np.ndarray
    intercept: bool

    @property
    def n_terms(self) -> int:
        """The number of entries of z."""
        return len(self.unit) + self.intercept

    def from_raw(self, coef: np.ndarray, intercept: np.ndarray) -> np.ndarray:
        """Return coefficients for z, shape (q, p), from weights (q, d) and intercepts (q,)."""
        if not self.intercept:
            return coef * self.unit
        return np.column_stack([coef * self.unit, intercept + coef @ self.centre])

    def to_raw(self, values: np.ndarray) -> np.ndarray:
        """Return coefficients for (x, 1) from coefficients for z, which the last axis holds."""
        raw, d = values.copy(), len(self.unit)
        raw[..., :d] /= self.unit
        if self.intercept:
            raw[..., d] -= raw[..., :d] @ self.centre
        return raw

    def covariance_to_raw(self, root: np.ndarray) -> np.ndarray:
        """Return the covariance matrix of coefficients for (x, 1), shape (q p, q p).

        ``root`` (q p, r) is a root R of that for z, R R^T. The variance of an intercept far from
        the rows is a sum that cancels, and it would lose twice as many digits without the root.
        """
        m, r = root.shape
        raw = self.to_raw(root.T.reshape(r, m // self.n_terms, self.n_terms)).reshape(r, m)
        return raw.T @ raw


def largest_entries(X: Any, centre: np.ndarray) -> np.ndarray:
    """Return an upper bound of |x - centre| by column, shape (d,)."""
    if not sp.issparse(X):
        below, above = X.min(axis=0).astype(float), X.max(axis=0).astype(float)
        return np.maximum(np.abs(below - centre), np.abs(above - centre))
    largest = np.asarray(abs(X).max(axis=0).toarray(), float).ravel()
    return largest + np.abs(centre)


def standard_of(largest: np.ndarray, centre: np.ndarray, intercept: bool) -> Standard:
    """Return the coordinates for columns whose largest distance from the centre is known."""
    unit = np.where(largest > 0, largest, np.abs(centre))
    return Standard(centre, np.where(unit > 0, unit, 1.0), intercept)


# --------------------------------------------------------------------------- blocks


class DenseBlock:
    """Rows z as an array."""

    def __init__(self, X: Any, standard: Standard) -> None:
        d = X.shape[1]
        self.Z = np.empty((X.shape[0], standard.n_terms))
        np.subtract(X.toarray() if sp.issparse(X) else X, standard.centre, out=self.Z[:, :d])
        self.Z[:, :d] /= standard.unit
        self.Z[:, d:] = 1.0

    def times(self, V: np.ndarray) -> np.ndarray:
        """Return Z V."""
        return self.Z @ V

    def combined(self, factors: Any) -> np.ndarray:
        """Return factors Z as a dense array; the factors may be a sparse matrix."""
        return factors @ self.Z

    def gram(self, h: np.ndarray) -> np.ndarray:
        """Return Z^T diag(h) Z."""
        return self.Z.T @ (h[:, None] * self.Z)

    def quadratic(self, V: np.ndarray) -> np.ndarray:
        """Return z^T V z for each row."""
        return np.einsum("ij,ij->i", self.Z @ V, self.Z)


class SparseBlock:
    """Rows z as a CSR matrix in units of the columns, whose centre is subtracted from products."""

    def __init__(self, X: Any, centre: np.ndarray, intercept: bool) -> None:
        self.X, self.centre, self.intercept = X, centre, intercept

    @classmethod
    def of_rows(cls, X: Any, standard: Standard) -> SparseBlock:
        """Make a block of rows x."""
        data = X.data / standard.unit[X.indices]
        scaled = sp.csr_array((data, X.indices, X.indptr), shape=X.shape)
        return cls(scaled, standard.centre / standard.unit, standard.intercept)

    def times(self, V: np.ndarray) -> np.ndarray:
        """Return Z V."""
        d = len(self.centre)
        shift = -self.centre @ V[:d] + (V[d] if self.intercept else 0.0)
        return np.asarray(self.X @ V[:d]) + shift

    def combined(self, factors: Any) -> np.ndarray:
        """Return factors Z as a dense array; the factors may be a sparse matrix."""
        product = factors @ self.X
        sums = np.asarray(factors.sum(axis=1)).ravel()
        product = product.toarray() if sp.issparse(product) else np.asarray(product)
        return self._with_intercept(product - np.outer(sums, self.centre), sums[:, None])

    def gram(self, h: np.ndarray) -> np.ndarray:
        """Return Z^T diag(h) Z."""
        weighted = sp.csr_array(
            (self.X.data * np.repeat(h, np.diff(self.X.indptr)), self.X.indices, self.X.indptr),
            shape=self.X.shape,
        )
        G = (self.X.T @ weighted).toarray()
        t, c, total = np.asarray(weighted.sum(axis=0)).ravel(), self.centre, float(h.sum())
        G += np.outer(c, c * total - t) - np.outer(t, c)
        if not self.intercept:
            return G
        t -= c * total
        return np.block([[G, t[:, None]], [t[None], np.array([[total]])]])

    def quadratic(self, V: np.ndarray) -> np.ndarray:
        """Return z^T V z for each row; products of a few rows with V are dense at a time."""
        out = np.empty(self.X.shape[0])
        step = max(1, BLOCK_VALUES // len(V))
        for start in range(0, len(out), step):
            at = slice(start, start + step)
            out[at] = SparseBlock(self.X[at], self.centre, self.intercept)._quadratic(V)
        return out

    def _quadratic(self, V: np.ndarray) -> np.ndarray:
        d, n = len(self.centre), self.X.shape[0]
        products = self.times(V)
        rows = np.repeat(np.arange(n), np.diff(self.X.indptr))
        out = np.bincount(rows, self.X.data * products[rows, self.X.indices], n)
        out -= products[:, :d] @ self.centre
        return out + (products[:, d] if self.intercept else 0.0)

    def _with_intercept(self, Z: np.ndarray, ones: np.ndarray) -> np.ndarray:
        return np.column_stack([Z, ones]) if self.intercept else Z


def blocks_of_rows(X: Any, standard: Standard) -> Iterator[tuple[slice, DenseBlock | SparseBlock]]:
    """Yield dense rows block by block, and sparse ones that stay sparse in one block."""
    n, d = X.shape
    dense = not sp.issparse(X) or d <= _FEW_COLUMNS or X.nnz > _DENSE_SHARE * n * d
    step = max(1, BLOCK_VALUES // standard.n_terms) if dense else n
    for start in range(0, n, step):
        at = slice(start, min(start + step, n))
        if dense:
            yield at, DenseBlock(widened(X[at]), standard)
        else:
            yield at, SparseBlock.of_rows(widened(X[at]), standard)
