"""Products of the rows of a matrix in memory with several vectors, tile by tile.

A tile is a slice or an array of row numbers. Its values and its scores stay in the cache while they
are used.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np

from ..solver import kernels
from ..solver.matrix import Matrix

_TILE_VALUES = 1 << 16  # values of X and of the scores that are processed at a time: 512 KiB
_MOST_KEPT = 1 << 22  # values of centred rows that are kept: 32 MiB
_MOST_ROWS = 4_096  # largest number of rows of a tile

Work = Callable[[np.ndarray, Any], np.ndarray]
"""A function of scores (q, t) and their tile. It replaces the scores by factors of the rows, and
returns values that are added up."""


class Tiles(ABC):
    """The centred rows of a matrix, read tile by tile.

    Parameters
    ----------
    matrix : Matrix
    """

    def __init__(self, matrix: Matrix) -> None:
        self.matrix, self.X, self.centre, self.d = matrix, matrix.X, matrix.centre, matrix.d

    @abstractmethod
    def width(self, q: int) -> int:
        """Return how many values of a row and of its q scores have to be in the cache."""

    @abstractmethod
    def centred(self, at: Any, intercept: bool) -> np.ndarray:
        """Return rows minus the centre, with a column of ones for an intercept, shape (t, p)."""

    @abstractmethod
    def scores(self, at: Any, W: np.ndarray, intercept: bool) -> np.ndarray:
        """Return the products of the rows of a tile with q vectors W (q, p), shape (q, t)."""

    @abstractmethod
    def squares(self, at: Any, h: np.ndarray) -> np.ndarray:
        """Return the sums of h z^2 over the rows of a tile for h (q, t), shape (q, d)."""

    @abstractmethod
    def squared_lengths(self, at: Any, unit: np.ndarray) -> np.ndarray:
        """Return the sums of unit z^2 over the columns for the rows of a tile, shape (t,)."""

    @abstractmethod
    def read(
        self, work: Work, tiles: list[Any], W: np.ndarray, intercept: bool
    ) -> tuple[Any, np.ndarray]:
        """Return the sum of the values of work, and that of its factors times the rows (q, p)."""

    def cut(self, rows: np.ndarray | slice, q: int) -> list[Any]:
        """Cut rows into tiles that fit into the cache together with q scores for each row."""
        step = max(64, min(_TILE_VALUES // max(self.width(q), 1), _MOST_ROWS))
        if isinstance(rows, slice):
            return [slice(i, min(i + step, rows.stop)) for i in range(rows.start, rows.stop, step)]
        return [rows[i : i + step] for i in range(0, len(rows), step)]

    def sum(
        self, work: Work, rows: np.ndarray | slice, W: np.ndarray, intercept: bool
    ) -> tuple[Any, np.ndarray]:
        """Read rows as `read` does, with the threads of the matrix."""
        tiles = self.cut(rows, len(W))
        threads = min(self.matrix.n_threads, len(tiles))
        if threads <= 1:
            return self.read(work, tiles, W, intercept)
        bounds = [i * len(tiles) // threads for i in range(threads + 1)]
        parts = [tiles[bounds[i] : bounds[i + 1]] for i in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            sums = list(pool.map(lambda part: self.read(work, part, W, intercept), parts))
        return sum(value for value, _ in sums), np.sum([factors for _, factors in sums], axis=0)


class DenseTiles(Tiles):
    """Tiles of an array."""

    def width(self, q: int) -> int:
        # Rows that are kept need no space of their own in the cache.
        return q + (self.d if self._whole is None else self.d // 4)

    @cached_property
    def _whole(self) -> np.ndarray | None:
        """All centred rows with a column of ones, if they are small enough to be kept."""
        n = self.matrix.n
        if n * (self.d + 1) > _MOST_KEPT:
            return None
        Z = np.empty((n, self.d + 1))
        np.subtract(self.X, self.centre, out=Z[:, : self.d])
        Z[:, -1] = 1.0
        return Z

    def centred(self, at: Any, intercept: bool) -> np.ndarray:
        if self._whole is not None:
            return self._whole[at, : self.d + intercept]
        X = self.X[at]
        Z = np.empty((len(X), self.d + intercept))
        np.subtract(X, self.centre, out=Z[:, : self.d])
        if intercept:
            Z[:, -1] = 1.0
        return Z

    def scores(self, at: Any, W: np.ndarray, intercept: bool) -> np.ndarray:
        scores: np.ndarray = W @ self.centred(at, intercept).T
        return scores

    def squares(self, at: Any, h: np.ndarray) -> np.ndarray:
        squares: np.ndarray = h @ np.square(self.X[at] - self.centre)
        return squares

    def squared_lengths(self, at: Any, unit: np.ndarray) -> np.ndarray:
        lengths: np.ndarray = np.square(self.X[at] - self.centre) @ unit
        return lengths

    def read(
        self, work: Work, tiles: list[Any], W: np.ndarray, intercept: bool
    ) -> tuple[Any, np.ndarray]:
        total: Any = 0.0
        out = np.zeros(W.shape)
        for at in tiles:
            Z = self.centred(at, intercept)
            scores = W @ Z.T
            total = total + work(scores, at)
            out += scores @ Z
        return total, out


class SparseTiles(Tiles):
    """Tiles of a CSR matrix. The centre is accounted for after the products."""

    def width(self, q: int) -> int:
        return q

    @cached_property
    def _csr(self) -> Any:
        matrix: Any = self.matrix
        return matrix.block(0, matrix.n)

    def centred(self, at: Any, intercept: bool) -> np.ndarray:
        Z = self.X[at].toarray() - self.centre
        return np.column_stack([Z, np.ones(len(Z))]) if intercept else Z

    def scores(self, at: Any, W: np.ndarray, intercept: bool) -> np.ndarray:
        return self._scores(_numbers(at), *self._weights(W, intercept))

    def squares(self, at: Any, h: np.ndarray) -> np.ndarray:
        X = self.X[at]
        squares: np.ndarray = (X.multiply(X).T @ h.T).T
        squares += self.centre * (self.centre * h.sum(axis=1)[:, None] - 2 * (X.T @ h.T).T)
        return squares

    def squared_lengths(self, at: Any, unit: np.ndarray) -> np.ndarray:
        X, shift = self.X[at], self.centre * unit
        return np.maximum(X.multiply(X) @ unit - 2.0 * (X @ shift) + self.centre @ shift, 0.0)

    def read(
        self, work: Work, tiles: list[Any], W: np.ndarray, intercept: bool
    ) -> tuple[Any, np.ndarray]:
        w, offset = self._weights(W, intercept)
        total: Any = 0.0
        out, sums = np.zeros(w.shape), np.zeros(len(W))
        for at in tiles:
            rows = _numbers(at)
            scores = self._scores(rows, w, offset)
            total = total + work(scores, at)
            kernels.csr_transposed_times_block(*self._csr, rows, scores, out)
            sums += scores.sum(axis=1)
        out -= np.outer(self.centre, sums)
        return total, np.column_stack([out.T, sums]) if intercept else out.T

    def _weights(self, W: np.ndarray, intercept: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights of the columns (d, q), and what has to be added to each score (q,)."""
        w = np.ascontiguousarray(W[:, : self.d].T)
        offset = -(self.centre @ w)
        return w, offset + W[:, -1] if intercept else offset

    def _scores(self, rows: np.ndarray, w: np.ndarray, offset: np.ndarray) -> np.ndarray:
        out = np.empty((w.shape[1], len(rows)))
        kernels.csr_times_block(*self._csr, rows, w, out)
        out += offset[:, None]
        return out


def tiles_of(matrix: Matrix) -> Tiles:
    """Return the tiles of a dense or a sparse matrix."""
    return SparseTiles(matrix) if matrix.is_sparse else DenseTiles(matrix)


def _numbers(at: Any) -> np.ndarray:
    return np.arange(at.start, at.stop) if isinstance(at, slice) else at
