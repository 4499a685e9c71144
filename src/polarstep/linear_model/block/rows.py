"""The rows of a block of models in memory, and one pass over them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ...losses import margin_loss
from ..solver import kernels
from ..solver.columns import GramColumns, choose_gram_columns
from ..solver.dense_matrix import DenseMatrix
from ..solver.matrix import Matrix
from ..solver.row_space import RowSpace
from ..solver.samples import Samples
from ..solver.sampling import class_shares, draw_in_order
from ..solver.sparse_matrix import SparseMatrix
from .data import BlockData
from .families import Family
from .models import Models

_TILE_VALUES = 1 << 16  # values of X and of the scores that are processed at a time: 512 KiB
_MOST_SEGMENTS = 64  # largest number of groups of rows that are processed one after the other


class Segment(NamedTuple):
    """Rows that belong to the same splits."""

    rows: np.ndarray | slice
    splits: np.ndarray  # which splits they belong to, shape (F,), bool


class BlockRows(BlockData):
    """n rows of d features with the indices of their classes and their weights in each split.

    Parameters
    ----------
    matrix : Matrix
        The centred rows.
    codes : ndarray of int, shape (n,)
        The index of the class of each row.
    weights : ndarray, shape (F, n)
        The row weights of each split, which sum to 1.
    """

    def __init__(self, matrix: Matrix, codes: np.ndarray, weights: np.ndarray) -> None:
        self.matrix, self.weights = matrix, np.atleast_2d(weights)
        self.codes = np.ascontiguousarray(codes, np.intp)
        self.n, self.d, self.size = matrix.n, matrix.d, matrix.size
        self.is_sparse, self.centre = matrix.is_sparse, matrix.centre

    @classmethod
    def from_arrays(
        cls, X: Any, codes: np.ndarray, weights: np.ndarray, centre: np.ndarray, n_threads: int = 1
    ) -> BlockRows:
        """Make rows of an array or CSR matrix X (n, d), which is centred implicitly."""
        matrix_type = SparseMatrix if sp.issparse(X) else DenseMatrix
        return cls(matrix_type(X, centre, n_threads), codes, weights)

    # ------------------------------------------------------------------ properties of the rows

    @cached_property
    def totals(self) -> np.ndarray:
        """The total weight of each class in each split, shape (F, K)."""
        k = int(self.codes.max()) + 1
        return np.array([np.bincount(self.codes, s, k) for s in self.weights])

    @cached_property
    def squared_lengths(self) -> np.ndarray:
        """1 plus the mean over the columns of z^2 in units of their mean squares, shape (n,)."""
        weight = self.weights.mean(axis=0)
        squares = self.matrix.squares(weight / weight.sum())
        unit = np.divide(1.0, squares, out=np.zeros_like(squares), where=squares > 0)
        if self.is_sparse:
            X, centre = self.matrix.X, self.centre
            return (
                1.0
                + np.maximum(
                    X.multiply(X) @ unit - 2.0 * (X @ (centre * unit)) + centre**2 @ unit, 0.0
                )
                / self.d
            )
        out = np.empty(self.n)
        for at in self._tiles(slice(0, self.n), 1):
            out[at] = np.square(self.matrix.X[at] - self.centre) @ unit
        return 1.0 + out / self.d

    @cached_property
    def segments(self) -> list[Segment]:
        """The rows, grouped by the splits that they belong to."""
        present = self.weights > 0
        everything = [Segment(slice(0, self.n), np.ones(len(present), bool))]
        if present.all():
            return everything
        packed = np.packbits(present, axis=0)
        patterns, group = np.unique(packed, axis=1, return_inverse=True)
        if patterns.shape[1] > _MOST_SEGMENTS:
            return everything
        segments = []
        for at in range(patterns.shape[1]):
            rows = np.flatnonzero(group.ravel() == at)
            if present[:, rows[0]].any():
                segments.append(Segment(rows, present[:, rows[0]]))
        return segments

    def gram_columns(self) -> GramColumns:
        labels, weight = np.zeros(self.n), self.weights.mean(axis=0)
        return choose_gram_columns(Samples(self.matrix, labels, weight, margin_loss("squared")))

    def gram_cost(self, k: int) -> float:
        return self.matrix.gram_cost(k)

    def in_memory(self) -> BlockRows:
        return self

    def in_row_space(self) -> tuple[BlockRows, RowSpace] | None:
        """Return the rows in coordinates of the space that they span, and these coordinates.

        The result is None if a sparse X would become too large.
        """
        Z = self.matrix.centred_rows()
        if Z is None:
            return None
        basis = RowSpace(Z)
        matrix = DenseMatrix(basis.rows, np.zeros(self.n), self.matrix.n_threads)
        return BlockRows(matrix, self.codes, self.weights), basis

    def raise_not_finite(self, who: str) -> None:
        labels, weight = np.zeros(self.n), self.weights.mean(axis=0)
        samples = Samples(self.matrix, labels, weight, margin_loss("squared"))
        samples.raise_not_finite(who)

    def take(self, at: np.ndarray, factor: np.ndarray) -> BlockRows:
        """Return some of the rows, with their weights multiplied by factors."""
        return BlockRows(self.matrix.take(at), self.codes[at], self.weights[:, at] * factor)

    def subsample(self, m: int, rng: np.random.Generator) -> BlockRows:
        used = self.weights.any(axis=0)
        classes = [
            np.flatnonzero((self.codes == c) & used) for c in range(int(self.codes.max()) + 1)
        ]
        drawn, weights = [], []
        for members, count in zip(classes, class_shares(m, list(map(len, classes))), strict=True):
            if not count:
                continue
            chosen = draw_in_order(members, count, rng)
            s = self.weights[:, chosen]
            before, after = self.weights[:, members].sum(axis=1), s.sum(axis=1)
            drawn.append(chosen)
            weights.append(
                s * np.divide(before, after, out=np.zeros_like(before), where=after > 0)[:, None]
            )
        at = np.concatenate(drawn)
        order = np.argsort(at, kind="stable")
        at = at[order]
        matrix = self.matrix.take(at)
        return BlockRows(matrix, self.codes[at], np.concatenate(weights, axis=1)[:, order])

    # ------------------------------------------------------------------ passes over the rows

    def evaluate(
        self, family: Family, models: Models, theta: np.ndarray, intercept: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        def work(scores: np.ndarray, at: Any, models: Models, _: Any) -> np.ndarray:
            weights = np.ascontiguousarray(self.weights[:, at])
            return family.evaluate(scores, self.codes[at], weights, models)

        return self._sum(work, models, theta, intercept)

    def curvature_state(
        self, family: Family, models: Models, theta: np.ndarray, intercept: bool
    ) -> np.ndarray:
        state = np.empty((*theta.shape[:2], self.n))
        B, k, p = theta.shape
        W = theta.reshape(B * k, p)
        for at in self._tiles(slice(0, self.n), B * k):
            scores = self._scores(at, W, intercept).reshape(B, k, -1)
            state[:, :, at] = family.curvature_state(
                scores, self.codes[at], self.weights[:, at], models
            )
        return state

    def hessian_products(
        self,
        family: Family,
        models: Models,
        state: np.ndarray,
        directions: np.ndarray,
        intercept: bool,
    ) -> np.ndarray:
        def work(scores: np.ndarray, at: Any, models: Models, which: Any) -> np.ndarray:
            part = state[which][:, :, at]
            family.curvature_times(part, scores, self.weights[models.split][:, at])
            return np.zeros(len(scores))

        return self._sum(work, models, directions, intercept)[1]

    def curvature_squares(
        self, family: Family, models: Models, theta: np.ndarray, intercept: bool
    ) -> np.ndarray:
        B, k, p = theta.shape
        W, centre = theta.reshape(B * k, p), self.centre
        q = np.zeros((B * k, self.d))
        for at in self._tiles(slice(0, self.n), B * k):
            scores = self._scores(at, W, intercept).reshape(B, k, -1)
            h = family.curvatures(scores, self.codes[at], self.weights[:, at], models)
            h = h.reshape(B * k, -1)
            if self.is_sparse:
                X = self.matrix.X[at]
                q += (X.multiply(X).T @ h.T).T
                q += centre * (centre * h.sum(axis=1)[:, None] - 2 * (X.T @ h.T).T)
            else:
                q += h @ np.square(self.matrix.X[at] - centre)
        return q.reshape(B, k, self.d)

    def scores(self, theta: np.ndarray, intercept: bool, at: Any = slice(None)) -> np.ndarray:
        """Return the scores of some rows, shape (B, k, t)."""
        B, k, p = theta.shape
        rows = np.arange(self.n)[at]
        out = np.empty((B * k, len(rows)))
        done = 0
        for tile in self._tiles(rows, B * k):
            part = self._scores(tile, theta.reshape(B * k, p), intercept)
            out[:, done : done + part.shape[1]] = part
            done += part.shape[1]
        return out.reshape(B, k, len(rows))

    def centred_array(self, intercept: bool) -> np.ndarray:
        """Return the centred rows as a dense array, with a column of ones for an intercept."""
        if not self.is_sparse:
            return self._centred(slice(0, self.n), intercept)
        Z = self.matrix.X.toarray() - self.centre
        return np.column_stack([Z, np.ones(self.n)]) if intercept else Z

    def _tiles(self, rows: np.ndarray | slice, q: int) -> list[Any]:
        """Cut rows into tiles whose values and scores fit into the cache."""
        width = q + (self.d if not self.is_sparse else 0)
        step = max(64, min(_TILE_VALUES // max(width, 1), 4096))
        if isinstance(rows, slice):
            return [slice(i, min(i + step, rows.stop)) for i in range(rows.start, rows.stop, step)]
        return [rows[i : i + step] for i in range(0, len(rows), step)]

    def _centred(self, at: Any, intercept: bool) -> np.ndarray:
        """Return rows of a dense X minus the centre, with a column of ones for the intercept."""
        X = self.matrix.X[at]
        Z = np.empty((len(X), self.d + intercept))
        np.subtract(X, self.centre, out=Z[:, : self.d])
        if intercept:
            Z[:, -1] = 1.0
        return Z

    def _scores(self, at: Any, W: np.ndarray, intercept: bool) -> np.ndarray:
        """Return the scores of a tile of rows, shape (q, t)."""
        if not self.is_sparse:
            return W @ self._centred(at, intercept).T
        w, offset = self._sparse_weights(W, intercept)
        return self._sparse_scores(at, w, offset)

    def _sparse_weights(self, W: np.ndarray, intercept: bool) -> tuple[np.ndarray, np.ndarray]:
        w = np.ascontiguousarray(W[:, : self.d].T)
        offset = -(self.centre @ w)
        return w, offset + W[:, -1] if intercept else offset

    def _sparse_scores(self, at: Any, w: np.ndarray, offset: np.ndarray) -> np.ndarray:
        rows = np.arange(at.start, at.stop) if isinstance(at, slice) else at
        out = np.empty((w.shape[1], len(rows)))
        kernels.csr_times_block(*self._csr, rows, w, out)
        out += offset[:, None]
        return out

    @cached_property
    def _csr(self) -> Any:
        matrix: Any = self.matrix
        return matrix.block(0, self.n)

    def _sum(
        self, work: Any, models: Models, theta: np.ndarray, intercept: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sum the values of work and the products of its derivatives with the rows."""
        B, k, p = theta.shape
        fun, gradient = np.zeros(B), np.zeros((B, k, p))
        for segment in self.segments:
            inside = segment.splits[models.split]
            if not inside.any():
                continue
            if inside.all():
                part = self._sum_segment(work, segment.rows, models, slice(None), theta, intercept)
                fun += part[0]
                gradient += part[1]
            else:
                which = np.flatnonzero(inside)
                part = self._sum_segment(
                    work, segment.rows, models.take(which), which, theta[which], intercept
                )
                fun[which] += part[0]
                gradient[which] += part[1]
        return fun, gradient

    def _sum_segment(
        self,
        work: Any,
        rows: Any,
        models: Models,
        which: Any,
        theta: np.ndarray,
        intercept: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        B, k, p = theta.shape
        tiles = self._tiles(rows, B * k)
        threads = min(self.matrix.n_threads, len(tiles))
        W = np.ascontiguousarray(theta.reshape(B * k, p))
        passes = self._sparse_pass if self.is_sparse else self._dense_pass

        def run(part: list[Any]) -> tuple[np.ndarray, np.ndarray]:
            return passes(
                lambda scores, at: work(scores.reshape(B, k, -1), at, models, which),
                part, W, k, intercept,
            )  # fmt: skip

        if threads <= 1:
            fun, gradient = run(tiles)
        else:
            parts = [
                tiles[i * len(tiles) // threads : (i + 1) * len(tiles) // threads]
                for i in range(threads)
            ]
            with ThreadPoolExecutor(threads) as pool:
                values = list(pool.map(run, parts))
            fun, gradient = (np.sum(parts, axis=0) for parts in zip(*values, strict=True))
        return fun, gradient.reshape(B, k, p)

    def _dense_pass(
        self, work: Any, tiles: list[Any], W: np.ndarray, k: int, intercept: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        q = len(W)
        fun, gradient = np.zeros(q // k), np.zeros(W.shape)
        for at in tiles:
            Z = self._centred(at, intercept)
            scores = W @ Z.T
            fun += work(scores, at)
            gradient += scores @ Z
        return fun, gradient

    def _sparse_pass(
        self, work: Any, tiles: list[Any], W: np.ndarray, k: int, intercept: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        q = len(W)
        w, offset = self._sparse_weights(W, intercept)
        fun, g, sums = np.zeros(q // k), np.zeros(w.shape), np.zeros(q)
        for at in tiles:
            scores = self._sparse_scores(at, w, offset)
            fun += work(scores, at)
            rows = np.arange(at.start, at.stop) if isinstance(at, slice) else at
            kernels.csr_transposed_times_block(*self._csr, rows, scores, g)
            sums += scores.sum(axis=1)
        g -= np.outer(self.centre, sums)
        gradient = np.empty(W.shape)
        gradient[:, : self.d] = g.T
        if intercept:
            gradient[:, -1] = sums
        return fun, gradient
