"""The rows of a block of models in memory, and one pass over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ...losses import margin_loss
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
from .tiles import Tiles, tiles_of

_COUNTED_SPLITS = 16  # largest number of splits whose combinations are counted
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
        out = np.empty(self.n)
        for at in self._tiles.cut(slice(0, self.n), 1):
            out[at] = self._tiles.squared_lengths(at, unit)
        return 1.0 + out / self.d

    @cached_property
    def segments(self) -> list[Segment]:
        """The rows, grouped by the splits that they belong to."""
        present = self.weights > 0
        everything = [Segment(slice(0, self.n), np.ones(len(present), bool))]
        if present.all():
            return everything
        patterns, group = _patterns(present)
        if len(patterns) > _MOST_SEGMENTS:
            return everything
        segments = []
        for at in patterns:
            rows = np.flatnonzero(group == at)
            if present[:, rows[0]].any():
                segments.append(Segment(rows, present[:, rows[0]]))
        return segments

    @property
    def samples(self) -> Samples:
        labels, weight = np.zeros(self.n), self.weights.mean(axis=0)
        return Samples(self.matrix, labels, weight, margin_loss("squared"))

    def gram_columns(self) -> GramColumns:
        return choose_gram_columns(self.samples)

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
        self.samples.raise_not_finite(who)

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
        for at, scores in self._tiled_scores(slice(0, self.n), theta, intercept):
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
        B, k, _ = theta.shape
        q = np.zeros((B * k, self.d))
        for at, scores in self._tiled_scores(slice(0, self.n), theta, intercept):
            h = family.curvatures(scores, self.codes[at], self.weights[:, at], models)
            q += self._tiles.squares(at, h.reshape(B * k, -1))
        return q.reshape(B, k, self.d)

    def scores(self, theta: np.ndarray, intercept: bool, at: Any = slice(None)) -> np.ndarray:
        """Return the scores of some rows, shape (B, k, t)."""
        rows = np.arange(self.n)[at]
        out, done = np.empty((*theta.shape[:2], len(rows))), 0
        for _, scores in self._tiled_scores(rows, theta, intercept):
            out[:, :, done : done + scores.shape[2]] = scores
            done += scores.shape[2]
        return out

    def centred_array(self, intercept: bool) -> np.ndarray:
        """Return the centred rows as a dense array, with a column of ones for an intercept."""
        return self._tiles.centred(slice(0, self.n), intercept)

    @cached_property
    def _tiles(self) -> Tiles:
        return tiles_of(self.matrix)

    def _tiled_scores(
        self, rows: np.ndarray | slice, theta: np.ndarray, intercept: bool
    ) -> Iterator[tuple[Any, np.ndarray]]:
        """Yield each tile of rows, and the scores of its rows, shape (B, k, t)."""
        B, k, p = theta.shape
        W = theta.reshape(B * k, p)
        for at in self._tiles.cut(rows, B * k):
            yield at, self._tiles.scores(at, W, intercept).reshape(B, k, -1)

    def _sum(
        self,
        work: Callable[[np.ndarray, Any, Models, Any], np.ndarray],
        models: Models,
        theta: np.ndarray,
        intercept: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sum the values of work, and the products of its factors with the rows.

        The arguments of work are scores (b, k, t), their tile, the models that the tile belongs to,
        and the positions of these models.
        """
        B, k, p = theta.shape
        fun, gradient = np.zeros(B), np.zeros((B, k, p))
        for segment in self.segments:
            inside = segment.splits[models.split]
            if not inside.any():
                continue
            which: Any = slice(None) if inside.all() else np.flatnonzero(inside)
            some = models if inside.all() else models.take(which)
            W = np.ascontiguousarray(theta[which].reshape(-1, p))

            def tile_work(
                scores: np.ndarray, at: Any, some: Models = some, which: Any = which
            ) -> np.ndarray:
                return work(scores.reshape(len(some), k, -1), at, some, which)

            value, factors = self._tiles.sum(tile_work, segment.rows, W, intercept)
            fun[which] += value
            gradient[which] += factors.reshape(-1, k, p)
        return fun, gradient


def _patterns(present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the different columns of a matrix of booleans, and that of each."""
    if len(present) <= _COUNTED_SPLITS:  # counting is much faster than sorting
        number = np.zeros(present.shape[1], np.intp)
        for row in present:
            number += number
            number += row
        return np.flatnonzero(np.bincount(number)), number
    _, number = np.unique(np.packbits(present, axis=0), axis=1, return_inverse=True)
    number = number.ravel()
    return np.arange(number.max() + 1), number
