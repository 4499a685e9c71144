"""A centred CSR matrix in memory."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from . import kernels
from .matrix import Matrix, mirrored
from .rare_columns import RareColumns, gather_rare_columns
from .weighted_rows import Sums

_RARE_SHARE = 0.02  # largest share of the entries of X that rare columns have together
_LARGEST_DENSE = 20_000_000  # largest number of values of a sparse X that may become dense
_UNSIGNED = {np.dtype(np.int32): np.uint32, np.dtype(np.int64): np.uint64}


def csr_gram_cost(k: int, d: int, nnz: float, nnz_squares: float) -> float:
    """Estimate the time of a Gram matrix of k columns, in passes over X.

    nnz is the number of entries of X, and nnz_squares the sum over the rows of the square of their
    number of entries. The constants were measured on one core.
    """
    return 1.0 + (0.15 if k == d else 0.3) * min(nnz_squares / max(nnz, 1), k)


def category_ranges(X: Any) -> np.ndarray | None:
    """Return the range of columns of the first entry of a row, of the second entry, and so on.

    If every row has r entries, the result has shape (2, r): the first and the last column of each
    range. It is None if rows differ in their number of entries, or if r is below 2 or above 200.
    """
    lengths = np.diff(X.indptr)
    r = int(lengths[0])
    if not 1 < r <= 200 or (lengths != r).any():
        return None
    columns = X.indices[X.indptr[0] : X.indptr[-1]].reshape(-1, r)
    return np.array([columns.min(axis=0), columns.max(axis=0)])


def category_starts(ranges: np.ndarray | None) -> np.ndarray:
    """Return the first column of each category, or [0] if the ranges overlap."""
    if ranges is None or not (ranges[1, :-1] < ranges[0, 1:]).all():
        return np.zeros(1, int)
    return np.append(0, ranges[0, 1:]).astype(int)


class SparseMatrix(Matrix):
    """A centred CSR matrix. The centre is accounted for after the kernels have run, in O(d)."""

    is_sparse = True

    def __init__(self, X: Any, centre: np.ndarray, n_threads: int = 1) -> None:
        super().__init__(X, centre, n_threads)
        self.size = X.nnz
        self.tile = 256 if self.d < 32 else 64

    def block(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        X = self.X
        indices = X.indices.view(_UNSIGNED[X.indices.dtype])
        indptr = X.indptr[start : stop + 1].view(_UNSIGNED[X.indptr.dtype])
        return X.data, indices, indptr

    def take(self, rows: np.ndarray) -> SparseMatrix:
        return SparseMatrix(self.X[rows], self.centre, self.n_threads)

    def offset(self, w: np.ndarray) -> float:
        return float(self.centre @ w)

    def centred_sums(self, sums: Sums, offset: float, weight: np.ndarray) -> Sums:
        total_weight = float(weight.sum())
        by_w = sums.by_w - self.centre * sums.by_b
        mean = sums.mean - offset * total_weight
        square = sums.square - offset * (2 * sums.mean - offset * total_weight)
        return sums._replace(by_w=by_w, mean=mean, square=max(square, 0.0))

    def centred_rows(self) -> np.ndarray | None:
        if self.n * self.d > _LARGEST_DENSE:
            return None
        return self.X.toarray() - self.centre

    def effective_rows(self) -> np.ndarray:
        """Return the number of entries of each column, shape (d,)."""
        return self._entries.astype(float)

    @cached_property
    def _entries(self) -> np.ndarray:
        counts = np.zeros(self.d, np.int64)
        kernels.count_indices(self.block(0, self.n)[1], counts)
        return counts

    def rare_columns(self) -> RareColumns:
        return gather_rare_columns(
            self.block(0, self.n), self._entries, int(_RARE_SHARE * self.X.nnz)
        )

    def squares(self, h: np.ndarray) -> np.ndarray:
        q = np.zeros(self.d)
        for at, X in self.blocks:
            kernels.combine_squares(X, self.centre, h[at], q, self.tile)
        q += self.centre * (self.centre * h.sum() - 2 * (self.X.T @ h))
        return q

    def gram_cost(self, k: int) -> float:
        return csr_gram_cost(k, self.d, self.X.nnz, self._nnz_squares)

    @cached_property
    def _nnz_squares(self) -> float:
        lengths = np.diff(self.X.indptr).astype(float)
        return float(lengths @ lengths)

    def gram(self, h: np.ndarray, place: np.ndarray, k: int) -> np.ndarray:
        """Return the weighted Gram matrix of k sums of columns."""
        X = self.block(0, self.n)
        triangle = np.zeros((k + 1, k + 1))
        if k == self.d:
            kernels.csr_gram(*X, h, triangle)
        elif k == 1:
            z = np.empty(self.n)
            kernels.project(X, self.centre, (place >= 0).astype(float), z, self.tile)
            triangle[0] = h @ np.square(z), h @ z
            triangle[1, 1] = h.sum()
        else:
            kernels.csr_gram_of_sums(*X, h, place, triangle)
        G = mirrored(triangle)
        inside = place >= 0
        c = np.bincount(place[inside], self.centre[inside], k)
        t, total = G[:k, k].copy(), G[k, k]
        G[:k, :k] += np.outer(c, c * total - t) - np.outer(t, c)
        G[:k, k] = G[k, :k] = t - c * total
        return G
