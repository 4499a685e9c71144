"""The penalised linear problem f(w, b) on a sample: its value, its subsamples and its metric."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ...losses import MarginLoss
from .columns import GramColumns, choose_gram_columns
from .metric import ENOUGH_ROWS, HessianMetric, SecondMoments
from .penalty import Penalty
from .row_space import ColumnCoordinates, Coordinates
from .weighted_rows import Sums, WeightedRows

_CALL = 20_000  # number of values of X whose reading takes as long as the call of a pass
_LARGE_GRAM = 200  # columns of a Gram matrix from which on its copies are more than a cache holds
_CAUTION_ROWS = 5.0  # number of occurrences to which the extra penalty of a rare column amounts


class NotFinite(ValueError):
    """f is not finite at the start: X contains NaN or infinity, or its products overflow."""


class Point(NamedTuple):
    """A point theta with the value and the gradient of f there."""

    theta: np.ndarray
    fun: float
    gradient: np.ndarray
    margins: Any
    length: float  # the root mean square of (x - centre)^T w


def require_finite(point: Point) -> Point:
    """Return the point if f and its gradient are finite there; otherwise raise NotFinite."""
    if not (np.isfinite(point.fun) and np.isfinite(point.gradient).all()):
        raise NotFinite
    return point


class Problem:
    """The function f(w, b) = sum s phi(-y ((x - centre)^T w + b)) + penalty(w) of theta = (w, b).

    Parameters
    ----------
    samples : WeightedRows
        The rows, whose weights sum to 1.
    penalty : Penalty
    intercept : bool
        Whether theta ends with an intercept; otherwise theta = w and b = 0.
    columns : GramColumns, optional
        The columns of the metric's Gram matrix; chosen to suit the samples by default.
    coordinates : Coordinates, optional
        The coordinates of w; by default the weights of the columns of X.
    moments : SecondMoments, optional
        The second moments of the samples, shared with problems that differ in labels or loss.

    Attributes
    ----------
    convex : bool
        Whether the loss is convex.
    passes : float
        The number of reads of all of X so far.
    """

    def __init__(
        self,
        samples: WeightedRows[Any],
        penalty: Penalty,
        intercept: bool,
        *,
        columns: GramColumns | None = None,
        coordinates: Coordinates | None = None,
        moments: SecondMoments | None = None,
    ) -> None:
        self.samples, self.penalty, self.intercept = samples, penalty, intercept
        self.columns = choose_gram_columns(samples) if columns is None else columns
        self.coordinates = ColumnCoordinates() if coordinates is None else coordinates
        self.moments = SecondMoments(samples, self.columns) if moments is None else moments
        self.convex: bool = samples.loss.is_convex
        self.passes = 0.0

    def magnitude(self, fun: float) -> float:
        """Return |f| + 1e-14 f(0), to which suboptimalities are relative.

        The second term is a rounding error of f at the start. It lets a run converge whose f tends
        to zero.
        """
        return abs(fun) + self._rounding

    @cached_property
    def _rounding(self) -> float:
        return 1e-14 * float(self.samples.loss.phi(np.zeros(1))[0])

    def with_loss(self, loss: MarginLoss) -> Problem:
        """Return the same problem with another loss."""
        return self._with_samples(self.samples.with_loss(loss))

    def one_against_rest(self, label: float) -> Problem:
        """Return the same problem with +1 for one of the labels and -1 for the others."""
        return self._with_samples(self.samples.one_against_rest(label))

    def _with_samples(self, samples: WeightedRows[Any]) -> Problem:
        """Return the same problem for samples that differ only in their labels or their loss."""
        return Problem(
            samples,
            self.penalty,
            self.intercept,
            columns=self.columns,
            coordinates=self.coordinates,
            moments=self.moments,
        )

    # ------------------------------------------------------------------ f at a point

    def split(self, theta: np.ndarray) -> tuple[np.ndarray, float]:
        """Return (w, b)."""
        return (theta[:-1], float(theta[-1])) if self.intercept else (theta, 0.0)

    def join(self, w: np.ndarray, b: float) -> np.ndarray:
        """Return the theta of (w, b)."""
        return np.append(w, b) if self.intercept else w

    def evaluate(self, theta: np.ndarray) -> Point:
        """Evaluate f and its gradient in one read of X."""
        w, b = self.split(theta)
        sums, margins = self.samples.evaluate(w, b)
        self.passes += 1
        return self._point(theta, sums, margins)

    def evaluate_with_rare_columns_fitted(self, theta: np.ndarray) -> Point:
        """Fit the weights of rare columns, if there are any; then evaluate f and its gradient.

        This takes two reads of X, or one if there is nothing to fit.
        """
        if not (self.convex and self.penalty.is_separable):
            return self.evaluate(theta)
        fitted = self.samples.fit_rare_columns(*self.split(theta), self.penalty.diagonal)
        if fitted is None:
            return self.evaluate(theta)
        w, b, sums, margins = fitted
        self.passes += 2
        return self._point(self.join(w, b), sums, margins)

    def _point(self, theta: np.ndarray, sums: Sums, margins: Any) -> Point:
        w, _ = self.split(theta)
        penalty = self.penalty.gradient(w)
        fun = sums.value + 0.5 * float(w @ penalty)
        gradient = self.join(sums.by_w + penalty, sums.by_b)
        return Point(theta, fun, gradient, margins, float(np.sqrt(max(sums.square, 0.0))))

    # ------------------------------------------------------------------ subsamples and metrics

    def subsample(self, m: int, rng: np.random.Generator) -> Problem:
        """Return the same problem on about m of the rows.

        A column that hardly occurs in them gets an additional penalty, as if it occurred a few
        times more, so that no large weight rests on one row.
        """
        samples = self.samples.subsample(m, rng)
        rows = samples.effective_rows()
        doubt = np.maximum(1.0 - rows / ENOUGH_ROWS, 0.0)
        caution = np.zeros(samples.d)
        if doubt.any():
            squares = samples.squares(samples.weight)
            np.divide(doubt * squares, rows, out=caution, where=rows > 0)
        extra = _CAUTION_ROWS * self.samples.loss.sup_curvature * caution
        return Problem(
            samples,
            self.penalty.plus(extra),
            self.intercept,
            columns=self.columns,
            coordinates=self.coordinates,
        )

    def second_moments(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the second moments S of the Gram columns and of 1, and those of each column.

        The latter are None if every column is a Gram column. The first call reads X once.
        """
        if not self.moments.is_known:
            self.passes += 1
        return self.moments.values

    def metric(self, point: Point) -> HessianMetric:
        """Return the metric of all rows: second moments weighted by |phi''| at the point."""
        h, diagonal = self.samples.curvatures(point.margins), None
        if not self.columns.all_single:
            diagonal = self.samples.squares(h)
            self.passes += 1
        G = self.samples.gram(h, self.columns.place, self.columns.size)
        self.passes += 1
        return HessianMetric(G, self.columns, self.penalty, self.intercept, diagonal)

    def metric_of_subsample(self, subsample: WeightedRows[Any], point: Point) -> HessianMetric:
        """Return the metric of a subsample: second moments weighted by |phi''| at the point.

        If a column has few effective rows in it, the diagonal is computed from all rows.
        """
        rows, diagonal = subsample.effective_rows(), None
        if rows.min() < ENOUGH_ROWS:
            diagonal = self.samples.squares(self.samples.curvatures(point.margins))
            self.passes += 1
        h = subsample.curvatures(subsample.project(*self.split(point.theta)))
        G = subsample.gram(h, self.columns.place, self.columns.size)
        self.passes += subsample.n / self.samples.n
        return HessianMetric(G, self.columns, self.penalty, self.intercept, diagonal, rows)

    def gram_cost(self, m: int) -> float:
        """Estimate the time of a metric of m rows with its factorization, in passes over X."""
        samples, k = self.samples, self.columns.size
        # With few rows the copies of a large k x k matrix count, too.
        copies = 0.0 if samples.is_sparse or k < _LARGE_GRAM else 30.0 * k**2
        factorization = (k**3 / 50.0 + copies) / max(samples.size, _CALL)
        return m / samples.n * samples.gram_cost(k) + factorization


class Plane:
    """The function (t, h) -> f(point + t p, with h added to the intercept).

    Setting it up reads X once. Afterwards it is evaluated from the margins, without X.
    """

    def __init__(self, problem: Problem, point: Point, p: np.ndarray) -> None:
        w, _ = problem.split(point.theta)
        v, change = problem.split(p)
        self.samples, self.margins = problem.samples, point.margins
        self.change = problem.samples.project(v, change)
        problem.passes += 1
        self.penalty = problem.penalty.along_line(w, v)

    def __call__(self, t: float, h: float = 0.0) -> np.ndarray:
        """Return the value and its derivatives with respect to t, h, tt, th and hh, shape (6,)."""
        value, slope, curvature = self.penalty
        out = self.samples.plane(self.margins, self.change, t, h)
        out[0] += value + t * slope + 0.5 * t * t * curvature
        out[1] += slope + t * curvature
        out[3] += curvature
        return out
