"""Weighted rows in memory."""

from __future__ import annotations

from functools import cached_property, reduce
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import assert_all_finite

from ...losses import MarginLoss
from ...validation import plus_minus_one
from .dense_matrix import DenseMatrix
from .loss_sums import loss_sums
from .matrix import Matrix
from .rare_columns import fit_rare_columns
from .row_space import RowSpace
from .sampling import class_shares, draw_in_order, rows_of_classes
from .sparse_matrix import SparseMatrix, category_ranges, category_starts
from .weighted_rows import Sums, WeightedRows

_LEAST_CURVATURE = 0.01  # at the typical slope, as a share of the largest curvature


class Samples(WeightedRows[np.ndarray]):
    """The rows of a centred matrix with labels, weights and a loss.

    Parameters
    ----------
    matrix : Matrix
        n rows and d columns.
    y, weight : ndarray of float64, shape (n,)
        The labels, which are -1 and +1, or 0, 1, ... for several classes, and the weights s.
    loss : MarginLoss
    """

    def __init__(self, matrix: Matrix, y: np.ndarray, weight: np.ndarray, loss: MarginLoss) -> None:
        self.matrix, self.y, self.weight, self.loss = matrix, y, weight, loss
        self.n, self.d, self.size = matrix.n, matrix.d, matrix.size
        self.is_sparse, self.centre = matrix.is_sparse, matrix.centre
        self._sums = loss_sums(loss)

    @classmethod
    def from_arrays(
        cls,
        X: Any,
        y: np.ndarray,
        weight: np.ndarray,
        centre: np.ndarray,
        loss: MarginLoss,
        n_threads: int = 1,
    ) -> Samples:
        """Make samples of an array or CSR matrix X (n, d), which is centred implicitly."""
        matrix_type = SparseMatrix if sp.issparse(X) else DenseMatrix
        return cls(matrix_type(X, centre, n_threads), y, weight, loss)

    @property
    def X(self) -> Any:
        """The array or CSR matrix, which is not centred."""
        return self.matrix.X

    def with_loss(self, loss: MarginLoss) -> Samples:
        return Samples(self.matrix, self.y, self.weight, loss)

    def one_against_rest(self, label: float) -> Samples:
        return Samples(self.matrix, plus_minus_one(self.y == label), self.weight, self.loss)

    def subsample(self, m: int, rng: np.random.Generator) -> Samples:
        classes = rows_of_classes(self.y, self.weight, self._labels)
        rows, weights = [], []
        for members, count in zip(classes, class_shares(m, list(map(len, classes))), strict=True):
            if count:
                chosen = draw_in_order(members, count, rng)
                weight = self.weight[chosen]
                rows.append(chosen)
                weights.append(weight * (self.weight[members].sum() / weight.sum()))
        at = np.concatenate(rows)
        order = np.argsort(at, kind="stable")
        at, weight = at[order], np.concatenate(weights)[order]
        return Samples(self.matrix.take(at), self.y[at], weight, self.loss)

    @cached_property
    def _labels(self) -> np.ndarray:
        return np.array([-1.0, 1.0]) if self.y.min() < 0 else np.unique(self.y)

    def raise_not_finite(self, who: str) -> None:
        assert_all_finite(self.X, estimator_name=who, input_name="X")
        super().raise_not_finite(who)

    # ------------------------------------------------------------------ properties of the matrix

    def effective_rows(self) -> np.ndarray:
        return self.matrix.effective_rows()

    def category_ranges(self) -> np.ndarray | None:
        """Return the ranges of columns that the entries of a sparse X lie in, shape (2, r)."""
        return category_ranges(self.X)

    def category_starts(self) -> np.ndarray:
        return category_starts(self.category_ranges())

    def column_sums(self) -> np.ndarray:
        """Return the weighted sums of the columns, not centred, shape (d,), in one read of X."""
        return self.matrix.column_sums(self.weight)

    def gram_cost(self, k: int) -> float:
        return self.matrix.gram_cost(k)

    def gram(self, h: np.ndarray, place: np.ndarray, k: int) -> np.ndarray:
        return self.matrix.gram(h, place, k)

    def squares(self, h: np.ndarray) -> np.ndarray:
        return self.matrix.squares(h)

    def in_memory(self) -> tuple[Any, np.ndarray]:
        return self.X, self.y

    def in_single_precision(self) -> Samples:
        """Return the rows of a dense X in single precision, which halves the time of a pass."""
        Z = np.empty(self.X.shape, np.float32)
        np.subtract(self.X, self.centre, out=Z, casting="same_kind")
        matrix = DenseMatrix(Z, np.zeros(self.d), self.matrix.n_threads)
        return Samples(matrix, self.y, self.weight, self.loss)

    def gram_times_vector(self, h: np.ndarray, v: np.ndarray, b: float) -> tuple[np.ndarray, float]:
        return self.matrix.gram_times_vector(h, v, b)

    def in_row_space(self) -> tuple[Samples, RowSpace] | None:
        Z = self.matrix.centred_rows()
        if Z is None:
            return None
        basis = RowSpace(Z)
        matrix = DenseMatrix(basis.rows, np.zeros(self.n), self.matrix.n_threads)
        return Samples(matrix, self.y, self.weight, self.loss), basis

    # ------------------------------------------------------------------ passes over the rows

    def evaluate(self, w: np.ndarray, b: float) -> tuple[Sums, np.ndarray]:
        if not w.any():
            margins = -b * self.y
            return self._evaluate(w, b, margins, known=True), margins
        margins = np.empty(self.n)
        return self._evaluate(w, b, margins, known=False), margins

    def _evaluate(self, w: np.ndarray, b: float, margins: np.ndarray, known: bool) -> Sums:
        """Return the sums at (w, b); the margins are read if they are known, else written."""
        matrix, y, s, evaluate = self.matrix, self.y, self.weight, self._sums.evaluate
        offset = matrix.offset(w)
        parts = matrix.map(
            lambda at, X: evaluate(matrix, X, y[at], s[at], w, b - offset, margins[at], known)
        )
        return matrix.centred_sums(reduce(Sums.__add__, parts), offset, s)

    def project(self, v: np.ndarray, h: float) -> np.ndarray:
        out = self.matrix.project(v, h)
        out *= -self.y
        return out

    def plane(self, margins: np.ndarray, p: np.ndarray, t: float, h: float) -> np.ndarray:
        y, s, plane = self.y, self.weight, self._sums.plane
        parts = self.matrix.map(lambda at, _: plane(margins[at], p[at], y[at], s[at], t, h))
        return reduce(np.add, parts)

    def move(self, margins: np.ndarray, p: np.ndarray, t: float, h: float) -> np.ndarray:
        return margins + t * p - h * self.y

    def total(self, values: np.ndarray) -> float:
        return float(values.sum())

    def largest(self, values: np.ndarray) -> float:
        return float(values.max())

    def root_mean_square(self, values: np.ndarray) -> float:
        return float(np.sqrt(self.weighted_square(values) / self.weight.sum()))

    def weighted_square(self, values: np.ndarray) -> float:
        """Return the weighted sum of squares of one value for each row."""
        return float(self.weight @ np.square(values))

    @property
    def least_curvature(self) -> float:
        """The ratio of the curvature to the slope below which `curvatures` raises the curvature."""
        return _LEAST_CURVATURE * self.loss.sup_curvature / self.loss.typical_slope

    def curvatures(self, margins: np.ndarray) -> np.ndarray:
        out, floor = np.empty(self.n), self.least_curvature
        total, slope = self._sums.curvatures(margins, self.weight, 0.0, out)
        if total < 0.1 * floor * slope:
            self._sums.curvatures(margins, self.weight, floor, out)
        return out

    def fit_rare_columns(
        self, w: np.ndarray, b: float, alpha: np.ndarray
    ) -> tuple[np.ndarray, float, Sums, np.ndarray] | None:
        if self.loss.kernel is None:
            return None
        rare = self.matrix.rare_columns()
        if rare is None:
            return None
        margins = self.project(w, b)
        new = fit_rare_columns(rare, self.y, self.weight, alpha, self.loss.kernel, w, margins)
        b += float(self.centre @ (new - w))
        return new, b, self._evaluate(new, b, margins, known=True), margins
