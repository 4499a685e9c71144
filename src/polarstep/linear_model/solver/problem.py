"""The penalised linear problem on a sample, f(w, b): its value, its planes, its metric."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg as la

from ...losses import MarginLoss
from .metric import ENOUGH_ROWS, Coarse, Metric, choose_columns
from .samples import Samples, Sums

_ROW_SPACE = 3_000  # rows, at most, for a basis of their own
_SETTLED = 0.02  # of the entries of a sparse X, in its rarest columns
_WIDENED = 20_000_000  # values of a sparse X, at most, for the same


class NotFinite(ValueError):
    """f is not a number at the start: X has NaN or infinity in it, or overflows."""


class Point(NamedTuple):
    """Where a descent stands."""

    theta: np.ndarray
    fun: float
    gradient: np.ndarray
    margins: Any
    length: float  # the root mean square of (x - centre)^T w


def finite(point: Point) -> Point:
    """The point, if f and its gradient are numbers there."""
    if not (np.isfinite(point.fun) and np.isfinite(point.gradient).all()):
        raise NotFinite
    return point


@dataclass(frozen=True)
class RowSpace:
    """An orthonormal basis of what the rows of a centred X span: X^T = Q R, by Householder's QR.

    Attributes
    ----------
    reflectors, factors : ndarray
        Q as LAPACK keeps it.
    """

    reflectors: np.ndarray
    factors: np.ndarray

    def leave(self, z: np.ndarray) -> np.ndarray:
        """w = Q z, shape (d,)."""
        padded = np.zeros(len(self.reflectors))
        padded[: len(z)] = z
        return self._product("N", padded)

    def enter(self, w: np.ndarray) -> np.ndarray:
        """z = Q^T w, shape (n,)."""
        return self._product("T", w)[: len(self.factors)]

    def _product(self, which: str, v: np.ndarray) -> np.ndarray:
        column = np.asfortranarray(v[:, None])
        work = max(1, 64 * len(v))
        out, _, _ = la.lapack.dormqr("L", which, self.reflectors, self.factors, column, work)
        return out[:, 0]


@dataclass
class Problem:
    """f(w, b) = sum s phi(-y ((x - centre)^T w + b)) + penalty(w), a function of theta = (w, b).

    Attributes
    ----------
    samples : Samples
        Weights that sum to 1.
    l2_penalty : ndarray, shape (d,)
        alpha in sum alpha w^2/2.
    intercept : bool
        Without it theta = w, and b = 0.
    convex : bool
    dense_penalty : ndarray, shape (d, d), optional
        Q in (1/2) w^T Q w.
    coarse : Coarse
        The columns of the metric; chosen if left out.
    basis : RowSpace, optional
        What w is written in, where not in the columns of X.
    seen : ndarray, shape (d,)
        Of a subsample: how many rows each column rests on.
    passes : float
        Reads of all of X so far.
    """

    samples: Samples
    l2_penalty: np.ndarray
    intercept: bool
    convex: bool = True
    dense_penalty: np.ndarray | None = None
    coarse: Coarse = None  # type: ignore[assignment]
    basis: RowSpace | None = None
    seen: np.ndarray = None  # type: ignore[assignment]
    passes: float = 0.0

    def __post_init__(self) -> None:
        if self.coarse is None:
            self.coarse = choose_columns(self.samples)

    @cached_property
    def smallest(self) -> float:
        """What is next to nothing beside f at 0."""
        return 1e-14 * float(self.samples.loss.phi(np.zeros(1))[0])

    def split(self, theta: np.ndarray) -> tuple[np.ndarray, float]:
        """(w, b)."""
        return (theta[:-1], float(theta[-1])) if self.intercept else (theta, 0.0)

    def join(self, w: np.ndarray, b: float) -> np.ndarray:
        """The theta of (w, b)."""
        return np.append(w, b) if self.intercept else w

    def penalty(self, w: np.ndarray) -> np.ndarray:
        """The gradient of the penalty; its value is half of w^T times that."""
        gradient = self.l2_penalty * w
        return gradient if self.dense_penalty is None else gradient + self.dense_penalty @ w

    def evaluate(self, theta: np.ndarray) -> Point:
        """f and its gradient. One read of X."""
        w, b = self.split(theta)
        sums, margins = self.samples.evaluate(w, b)
        self.passes += 1
        return self._point(theta, sums, margins)

    def _point(self, theta: np.ndarray, sums: Sums, margins: Any) -> Point:
        w, _ = self.split(theta)
        penalty = self.penalty(w)
        fun = sums.value + 0.5 * float(w @ penalty)
        gradient = self.join(sums.by_w + penalty, sums.by_b)
        return Point(theta, fun, gradient, margins, float(np.sqrt(max(sums.square, 0.0))))

    def settle(self, theta: np.ndarray) -> Point:
        """f and its gradient after the weights of rare columns of a sparse X have been looked at.

        Few rows say little about the weight of a rare column, and where its labels are all alike it
        is far from 0, where Newton's method goes no faster than a step of 1. By itself each such
        weight is found in no time. Two reads of X.
        """
        samples = self.samples
        fits = isinstance(samples, Samples) and samples.is_sparse and samples.is_compiled
        if not (fits and self.convex and self.dense_penalty is None):
            return self.evaluate(theta)
        w, b, margins = samples.settle(*self.split(theta), self.l2_penalty, _SETTLED)
        sums, _ = samples.evaluate(w, b, margins)
        self.passes += 2
        return self._point(self.join(w, b), sums, margins)

    def in_row_space(self) -> Problem:
        """The same problem with n weights instead of d, where X is dense and has far more columns.

        The optimum lies in the space that the rows span (the penalty has no use for the rest), and
        ||w|| is the same in an orthonormal basis of it: X = R^T Q^T, w = Q z.
        """
        samples, alpha = self.samples, self.l2_penalty
        fits = isinstance(samples, Samples) and samples.n <= min(samples.d // 2, _ROW_SPACE)
        if fits and samples.is_sparse:
            fits = samples.n * samples.d <= _WIDENED
        if not fits or self.dense_penalty is not None or np.ptp(alpha) > 0 or not alpha[0] > 0:
            return self
        X = samples.X.toarray() if samples.is_sparse else samples.X
        (reflectors, factors), R = la.qr((X - samples.centre).T, mode="raw", check_finite=False)
        rows = np.ascontiguousarray(R[: samples.n].T, np.float64)
        inside = Samples(
            rows, samples.y, samples.weight, np.zeros(len(rows)), samples.loss, samples.n_threads
        )
        basis = RowSpace(np.asfortranarray(reflectors, np.float64), factors)
        return Problem(inside, alpha[: len(rows)], self.intercept, self.convex, basis=basis)

    def enter(self, theta: np.ndarray) -> np.ndarray:
        """Weights of the columns of X (and b) as this problem's theta."""
        if self.basis is None:
            return theta
        w, b = self.split(theta)
        return self.join(self.basis.enter(w), b)

    def leave(self, theta: np.ndarray) -> np.ndarray:
        """This problem's theta as weights of the columns of X (and b)."""
        if self.basis is None:
            return theta
        z, b = self.split(theta)
        return self.join(self.basis.leave(z), b)

    def with_loss(self, loss: MarginLoss) -> Problem:
        """The same problem with another loss."""
        samples = self.samples.with_loss(loss)
        return replace(self, samples=samples, convex=loss.is_convex, passes=0.0)

    def one_against_rest(self, label: float) -> Problem:
        """The same problem with +1 for one of the labels and -1 for the others; shares moments."""
        other = replace(self, samples=self.samples.one_against_rest(label), passes=0.0)
        other.__dict__["moments"] = self.moments
        return other

    @cached_property
    def moments(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The second moments S of the metric's columns and of 1, and the diagonal of all."""
        samples, coarse = self.samples, self.coarse
        G = samples.gram(samples.weight, coarse.place, coarse.size)
        self.passes += 1
        return G, None if coarse.is_all else samples.squares(samples.weight)

    def subsample(self, m: int, rng: np.random.Generator) -> Problem:
        """The same problem on m of the rows.

        A column that hardly occurs in them gets a penalty as if it occurred a few times more, so
        that no large weight rests on one row.
        """
        samples = self.samples.sample(m, rng)
        seen = samples.effective_rows()
        doubt = np.maximum(1.0 - seen / ENOUGH_ROWS, 0.0)
        caution = np.zeros(samples.d)
        if doubt.any():
            squares = samples.squares(samples.weight)
            np.divide(doubt * squares, seen, out=caution, where=seen > 0)
        extra = 5.0 * self.samples.loss.sup_curvature * caution
        return replace(
            self, samples=samples, l2_penalty=self.l2_penalty + extra, seen=seen, passes=0.0
        )

    def metric(self, point: Point, rows: Problem | None = None) -> Metric:
        """Second moments weighted by |phi''| at a point, from some rows; the diagonal of all."""
        place, k = self.coarse.place, self.coarse.size
        source, seen = self.samples, None
        h = self.samples.curvatures(point.margins)
        diagonal = None
        if rows is not None:
            source, seen = rows.samples, rows.seen
            if seen.min() < ENOUGH_ROWS:
                diagonal = self.samples.squares(h)
                self.passes += 1
            h = source.curvatures(rows.margins(point.theta))
        elif not self.coarse.is_all:
            diagonal = self.samples.squares(h)
            self.passes += 1
        G = source.gram(h, place, k)
        self.passes += source.n / self.samples.n
        return Metric(
            G, self.coarse, self.l2_penalty, self.intercept, diagonal, seen, self.dense_penalty
        )

    def margins(self, theta: np.ndarray) -> np.ndarray:
        """-y (x^T w + b) of every row. One read of X."""
        self.passes += 1
        return self.samples.project(*self.split(theta))

    def gram_cost(self, m: int) -> float:
        """About how long the metric of m rows takes, in passes over all of X."""
        samples, k = self.samples, self.coarse.size
        factorization = k**3 / (50.0 * max(samples.size, 1))
        return m / samples.n * samples.gram_cost(k) + factorization


class Plane:
    """f at point + t p, with h added to the intercept, on cached margins. One read of X."""

    def __init__(self, problem: Problem, point: Point, p: np.ndarray) -> None:
        w, _ = problem.split(point.theta)
        v, change = problem.split(p)
        self.samples, self.start = problem.samples, point.margins
        self.change = problem.samples.project(v, change)
        problem.passes += 1
        at_w, at_v = problem.penalty(w), problem.penalty(v)
        self.penalty = 0.5 * float(w @ at_w), float(v @ at_w), float(v @ at_v)

    def __call__(self, t: float, h: float = 0.0) -> np.ndarray:
        """The value, and its derivatives by t, h, tt, th, hh; shape (6,)."""
        value, slope, curvature = self.penalty
        out = self.samples.plane(self.start, self.change, t, h)
        out[0] += value + t * slope + 0.5 * t * t * curvature
        out[1] += slope + t * curvature
        out[3] += curvature
        return out
