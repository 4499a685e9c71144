"""A weighted sample in memory, described by sums over its rows.

The solver reads data only through the methods of this class. Each method is at most one pass over
the rows, and each result is a sum of the contributions of blocks of rows. `DaskSamples` answers the
same questions for rows on the workers of a cluster.
"""

from __future__ import annotations

from functools import cached_property, reduce
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import assert_all_finite

from ...losses import MarginLoss
from ...validation import complaint, plus_minus_one
from . import kernels
from .dense_matrix import DenseMatrix
from .matrix import Matrix, Sums
from .rare_columns import fit_rare_columns
from .sampling import class_shares, draw_in_order, rows_of_classes
from .sparse_matrix import SparseMatrix, category_ranges, category_starts

_FLANK = 0.01  # least curvature where the slope is full, relative to the largest curvature


class Samples:
    """The rows of a centred matrix with labels, weights and a loss.

    Parameters
    ----------
    matrix : Matrix
        n rows and d columns.
    y, weight : ndarray of float64, shape (n,)
        The labels, which are -1 and +1, or 0, 1, ... for several classes; and the weights s.
    loss : MarginLoss
    """

    def __init__(self, matrix: Matrix, y: np.ndarray, weight: np.ndarray, loss: MarginLoss) -> None:
        self.matrix, self.y, self.weight, self.loss = matrix, y, weight, loss
        self.n, self.d, self.size = matrix.n, matrix.d, matrix.size
        self.is_sparse, self.centre = matrix.is_sparse, matrix.centre
        self._kernel: Any = loss.kernel

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
        form = SparseMatrix if sp.issparse(X) else DenseMatrix
        return cls(form(X, centre, n_threads), y, weight, loss)

    @property
    def X(self) -> Any:
        """The array or CSR matrix, which is not centred."""
        return self.matrix.X

    def with_loss(self, loss: MarginLoss) -> Samples:
        """Return the same rows with another loss."""
        return Samples(self.matrix, self.y, self.weight, loss)

    def with_rows(self, rows: np.ndarray) -> Samples:
        """Return the same labels, weights and loss for the rows of a centred dense matrix."""
        matrix = DenseMatrix(rows, np.zeros(rows.shape[1]), self.matrix.n_threads)
        return Samples(matrix, self.y, self.weight, self.loss)

    def one_against_rest(self, label: float) -> Samples:
        """Return the same rows with +1 for one of the labels and -1 for the others."""
        return Samples(self.matrix, plus_minus_one(self.y == label), self.weight, self.loss)

    def subsample(self, m: int, rng: np.random.Generator) -> Samples:
        """Draw about m of the rows, at least half of a fair share from each class.

        The weights of the drawn rows are scaled up so that each class keeps its total weight.
        """
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
        """Raise the error that names the first NaN or infinity in X.

        Raises
        ------
        ValueError
            Always; if all of X is finite, its products overflow.
        """
        assert_all_finite(self.X, estimator_name=who, input_name="X")
        got, advice = "numbers whose products overflow", "Rescale the largest columns."
        raise ValueError(complaint(who, "X", "hold numbers of a reasonable size", got, advice))

    # ------------------------------------------------------------------ properties of the matrix

    def effective_rows(self) -> np.ndarray:
        """Return the number of rows on which the variance of each column rests, shape (d,)."""
        return self.matrix.effective_rows()

    def category_ranges(self) -> np.ndarray | None:
        """Return the ranges of columns that the entries of a sparse X lie in, shape (2, r)."""
        return category_ranges(self.X)

    def category_starts(self) -> np.ndarray:
        """Return the first column of each category of a sparse X.

        X is categorical if all rows have the same number of entries, each in a range of columns of
        its own. Otherwise the result is [0].
        """
        return category_starts(self.category_ranges())

    def column_sums(self) -> np.ndarray:
        """Return the weighted sums of the columns, not centred, shape (d,), in one read of X."""
        return self.matrix.column_sums(self.weight)

    def gram_cost(self, k: int) -> float:
        """Estimate the time of a Gram matrix of k columns, in passes over X."""
        return self.matrix.gram_cost(k)

    def gram(self, h: np.ndarray, place: np.ndarray, k: int) -> np.ndarray:
        """Return Z^T diag(h) Z for Z = ((X - 1 centre^T) A, 1), in one read of X.

        A adds column j of X to column place[j] of the result; place[j] < 0 leaves column j out. The
        result has shape (k+1, k+1). Columns of a dense X cannot be added up.
        """
        return self.matrix.gram(h, place, k)

    def squares(self, h: np.ndarray) -> np.ndarray:
        """Return the sums of h (x - centre)^2 by column, shape (d,), in one read of X."""
        return self.matrix.squares(h)

    def centred_rows(self) -> np.ndarray | None:
        """Return the centred matrix as a dense array, or None if it would be too large."""
        return self.matrix.centred_rows()

    # ------------------------------------------------------------------ passes over the rows

    def evaluate(
        self, w: np.ndarray, b: float, margins: np.ndarray | None = None
    ) -> tuple[Sums, np.ndarray]:
        """Return the sums at (w, b) and the margins -y (p + b), shape (n,), in one read of X.

        If the margins are known already, they can be passed in.
        """
        if margins is None and not w.any():
            margins = -b * self.y
        known = margins is not None
        a = np.empty(self.n) if margins is None else margins
        matrix = self.matrix
        offset = matrix.offset(w)
        work = self._evaluate if self._kernel is not None else self._evaluate_custom
        parts = matrix.map(lambda at, X: work(at, X, w, b - offset, a[at], known))
        return matrix.centred_sums(reduce(Sums.__add__, parts), offset, self.weight), a

    def project(self, v: np.ndarray, h: float) -> np.ndarray:
        """Return the change -y ((x - centre)^T v + h) of the margins, in one read of X."""
        out = self.matrix.project(v, h)
        out *= -self.y
        return out

    def plane(self, margins: np.ndarray, p: np.ndarray, t: float, h: float) -> np.ndarray:
        """Return the loss at margins + t p - h y and its derivatives by t, h, tt, th and hh.

        The result has shape (6,). X is not read.
        """
        if self._kernel is None:
            return self._plane_custom(margins, p, t, h)
        y, s = self.y, self.weight
        parts = self.matrix.map(
            lambda at, _: np.array(
                kernels.plane(margins[at], p[at], y[at], s[at], t, h, *self._kernel)
            )
        )
        return reduce(np.add, parts)

    def move(self, margins: np.ndarray, p: np.ndarray, t: float, h: float) -> np.ndarray:
        """Return the margins after a step, margins + t p - h y."""
        return margins + t * p - h * self.y

    def total(self, values: np.ndarray) -> float:
        """Return the sum of one value for each row."""
        return float(values.sum())

    def root_mean_square(self, values: np.ndarray) -> float:
        """Return the weighted root mean square of one value for each row."""
        return float(np.sqrt(self.weighted_square(values) / self.weight.sum()))

    def weighted_square(self, values: np.ndarray) -> float:
        """Return the weighted sum of squares of one value for each row."""
        return float(self.weight @ np.square(values))

    def curvatures(self, margins: np.ndarray) -> np.ndarray:
        """Return the weights s |phi''(a)| of the Hessian, shape (n,).

        Where these are almost all zero, the result is at least a small multiple of s |phi'(a)|: on
        its flanks a loss such as a narrow smooth hinge has a slope but almost no curvature, so that
        Newton steps from there would be unbounded.
        """
        out = np.empty(self.n)
        floor = _FLANK * self.loss.sup_curvature / self.loss.typical_slope
        total, slope = self._curvatures(margins, 0.0, out)
        if total < 0.1 * floor * slope:
            self._curvatures(margins, floor, out)
        return out

    def fit_rare_columns(
        self, w: np.ndarray, b: float, alpha: np.ndarray
    ) -> tuple[np.ndarray, float, np.ndarray] | None:
        """Fit the weights of the rarest columns of a sparse X one by one, with a convex loss.

        The penalty is sum alpha w^2/2. Returns the new w, b and margins; or None, without any work,
        if X is dense or the loss is not compiled.
        """
        rare = None if self._kernel is None else self.matrix.rare_columns()
        if rare is None:
            return None
        margins = self.project(w, b)
        new = fit_rare_columns(rare, self.y, self.weight, alpha, self._kernel, w, margins)
        return new, b + float(self.centre @ (new - w)), margins

    # ------------------------------------------------------------------ one block of rows

    def _evaluate(
        self, at: slice, X: Any, w: np.ndarray, b: float, a: np.ndarray, known: bool
    ) -> Sums:
        g, y, s = np.zeros(self.d), self.y[at], self.weight[at]
        value, by_b, mean, square = kernels.evaluate(
            X, self.centre, y, s, w, b, *self._kernel, a, known, g, self.matrix.tile
        )
        return Sums(value, g, by_b, mean, square)

    # ------------------------------------------------------------------ losses not compiled

    def _evaluate_custom(
        self, at: slice, X: Any, w: np.ndarray, b: float, a: np.ndarray, known: bool
    ) -> Sums:
        y, s, g, tile = self.y[at], self.weight[at], np.zeros(self.d), self.matrix.tile
        if known:
            p = -y * a - b
        else:
            p = np.empty(len(y))
            kernels.project(X, self.centre, w, p, tile)
            a[:] = -y * (p + b)
        mean, square = float(s @ p), float(s @ np.square(p))
        r = s * self.loss.dphi(a)
        r *= -y
        kernels.combine(X, self.centre, r, g, tile)
        return Sums(float(s @ self.loss.phi(a)), g, float(r.sum()), mean, square)

    def _plane_custom(self, margins: np.ndarray, p: np.ndarray, t: float, h: float) -> np.ndarray:
        a = margins + t * p - h * self.y
        first = self.weight * self.loss.dphi(a)
        second = self.weight * self.loss.d2phi(a)
        return np.array(
            [
                self.weight @ self.loss.phi(a), first @ p, -(first @ self.y),
                second @ np.square(p), -(second @ (p * self.y)), second.sum(),
            ]
        )  # fmt: skip

    def _curvatures(self, a: np.ndarray, floor: float, out: np.ndarray) -> tuple[float, float]:
        if self._kernel is not None:
            return kernels.curvatures(a, self.weight, floor, *self._kernel, out)
        first = self.weight * np.abs(self.loss.dphi(a))
        second = self.weight * np.abs(self.loss.d2phi(a))
        np.maximum(second, floor * first, out=out)
        return float(second.sum()), float(first.sum())
