"""The method "whitened": L-BFGS in the metric of the data, from a start that is nearly right.

For Gaussian data every critical point lies on the line S^-1 u, and one number, the length, is left
to be found (sections 1 and 2 of the method; Erdogdu, Bayati and Dicker 2016 call it scaled least
squares). Other data are close enough to that for a start:

1. On a few thousand rows: the direction S^-1 u, then length and intercept by Newton's method on
   cached margins.
2. On ever more rows, up to a twentieth or so of them: L-BFGS in the metric of a weighted Gram
   matrix, to the accuracy that so many rows can have.
3. On all rows: the same, in the metric of the last subsample, one read of X a step. Where that is
   slow, a Gram matrix of more rows replaces the metric, if it pays.

Most of the speed comes from 2 and 3: the subsample's Hessian differs from the true one by about
sqrt(d/m) for m rows, whatever the condition number, so that each read of X gains a factor of about
m/d. Subsampled Newton methods: Erdogdu and Montanari 2015; Roosta-Khorasani and Mahoney 2019.
L-BFGS: Liu and Nocedal 1989.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg as la

from .losses import MarginLoss, margin_loss
from .metric import ENOUGH_ROWS, Coarse, Metric, choose_columns
from .objectives import Halfspace
from .result import Progress, Result, Status, trace_of
from .samples import Samples, nearer
from .validation import complaint, vector, whole_number

_FIRST_GUESS = 0.25  # of the contraction
_CAUTION = 1.5
_SHORTEST = 0.1  # scale of the steps
_MEMORY = 10  # pairs of L-BFGS; more save few passes
_FEWEST_ROWS = 2_000  # of a subsample
_ROW_SPACE = 3_000  # rows, at most, for a basis of their own
_WIDENED = 20_000_000  # values of a sparse X, at most, for the same
_SMALL = 300_000  # values of X, of which a pass takes no time to speak of
_AFFORDABLE = 8.0  # passes, for a metric of all rows


class NotFinite(ValueError):
    """f is not a number at the start: X has NaN or infinity in it, or overflows."""


class Point(NamedTuple):
    """Where a descent stands."""

    theta: np.ndarray
    fun: float
    gradient: np.ndarray
    margins: Any
    length: float  # the root mean square of (x - centre)^T w


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
        penalty = self.penalty(w)
        fun = sums.value + 0.5 * float(w @ penalty)
        gradient = self.join(sums.by_w + penalty, sums.by_b)
        return Point(theta, fun, gradient, margins, float(np.sqrt(max(sums.square, 0.0))))

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


class Memory:
    """The pairs (step, change of the gradient) of L-BFGS, and the metric H0/scale to start from."""

    def __init__(self, metric: Metric) -> None:
        self.metric, self.scale = metric, 1.0
        self.pairs: deque[tuple[np.ndarray, np.ndarray, float]] = deque(maxlen=_MEMORY)

    def add(self, step: np.ndarray, change: np.ndarray, unit: bool) -> None:
        """Remember a pair, if f curves upwards along it; shorten steps if a unit step failed."""
        curvature = float(step @ change)
        if curvature <= 0:
            return
        self.pairs.append((step, change, curvature))
        if unit:
            self.scale = min(1.0, 2.0 * self.scale)
        else:
            wanted = curvature / float(change @ self.metric.solve(change))
            self.scale = float(np.clip(wanted, _SHORTEST, 1.0))

    def solve(self, g: np.ndarray) -> np.ndarray:
        """H^-1 g by the two-loop recursion, from H0."""
        q, coefficients = g.copy(), []
        for step, change, curvature in reversed(self.pairs):
            a = float(step @ q) / curvature
            q -= a * change
            coefficients.append(a)
        x = self.scale * self.metric.solve(q)
        for (step, change, curvature), a in zip(self.pairs, reversed(coefficients), strict=True):
            x += (a - float(change @ x) / curvature) * step
        return x


# --------------------------------------------------------------------------- step lengths


def search(problem: Problem, point: Point, p: np.ndarray, slope: float) -> float:
    """A length t at which f is lower and its slope at most a tenth; 0 if there is none.

    Newton's method on the slope within a bracket. Reads X once, whatever it takes.
    """
    f = Plane(problem, point, p)
    low, high, t = 0.0, np.inf, 1.0
    for _ in range(60):
        value, slope_t, _, curvature, _, _ = f(t)
        fine = bool(np.isfinite(value)) and value <= point.fun
        if fine and abs(slope_t) <= 0.1 * abs(slope):
            return t
        if fine and slope_t < 0:
            low = t
        else:
            high = t
        new = t - slope_t / curvature if curvature > 0 else np.nan
        if not low < new < high:
            new = 0.5 * (low + high) if high < np.inf else 4.0 * t
            if low == 0.0 and high < np.inf:
                new = 0.1 * high
        t = min(new, 10.0 * t)
        if high - low <= 1e-14 * high or t > 1e12:
            break
    return low


def fit_length(problem: Problem, point: Point, p: np.ndarray) -> tuple[np.ndarray, Any]:
    """The best length along p, and intercept, from theta = 0, and the margins there.

    Newton's method on cached margins. A bounded loss has several local optima in the length, so
    for one the search starts at the best of a few.
    """
    f = Plane(problem, point, p)
    t, h = 1.0, 0.0
    if not problem.convex:
        unit = f.samples.root_mean_square(f.change)
        t = min(2.0 ** np.arange(-2, 6) / (unit if unit > 0 else 1.0), key=lambda t: f(t)[0])
    now = f(t, h)
    for _ in range(50):
        dt, dh = newton_step(now, problem.intercept)
        decrement = -0.5 * (now[1] * dt + now[2] * dh)
        if not decrement > 1e-4 * abs(now[0]):
            break
        size = 1.0
        new = f(t + dt, h + dh)
        while not new[0] <= now[0] - 1e-4 * size * decrement and size > 1e-9:
            size *= 0.3
            new = f(t + size * dt, h + size * dh)
        if not new[0] < now[0]:
            break
        t, h, now = t + size * dt, h + size * dh, new
    theta = t * p
    if problem.intercept:
        theta[-1] += h
    return theta, f.samples.move(point.margins, f.change, t, h)


def newton_step(f: np.ndarray, both: bool) -> tuple[float, float]:
    """-H^-1 g of a `Plane`, by t and h or by t alone; negative curvature is turned round."""
    _, ft, fh, ftt, fth, fhh = (float(value) for value in f)
    if not both:
        return -ft / max(abs(ftt), 1e-300), 0.0
    determinant = ftt * fhh - fth * fth
    if ftt > 0 and determinant > 1e-12 * ftt * fhh:
        return (fth * fh - fhh * ft) / determinant, (fth * ft - ftt * fh) / determinant
    values, vectors = np.linalg.eigh([[ftt, fth], [fth, fhh]])
    values = np.maximum(np.abs(values), 1e-14 * np.abs(values).max() + 1e-300)
    dt, dh = -vectors @ (vectors.T @ [ft, fh] / values)
    return float(dt), float(dh)


# --------------------------------------------------------------------------- descent


@dataclass
class Rate:
    """How fast the decrement falls, and what that says about the suboptimality.

    Attributes
    ----------
    contraction : float
        The factor of the last steps, by geometric mean over up to three; at first a guess.
    gap : float
        An estimate from above of f - f*.

    Notes
    -----
    The decrement is g^T H^-1 g / 2 in the metric of the method. Conjugate gradients contract by
    ((sqrt(kappa)-1)/(sqrt(kappa)+1))^2, kappa the condition number of the true Hessian in that
    metric; read backwards, a contraction r says sqrt(kappa) = (1 + sqrt r)/(1 - sqrt r). Where f is
    not quadratic yet, steps bring more than the decrement promised: that is `surprise`.
    """

    decrements: list[float] = field(default_factory=list)
    surprise: float = 1.0
    contraction: float = _FIRST_GUESS
    gap: float = np.inf

    def add(self, decrement: float) -> None:
        """Take the next decrement into account."""
        self.decrements.append(decrement)
        recent = self.decrements[-4:]
        if len(recent) > 1 and recent[0] > 0:
            factor = (max(decrement, 1e-300) / recent[0]) ** (1.0 / (len(recent) - 1))
            self.contraction = min(max(factor, 1e-4), 0.95)
        few = len(recent) < 4  # to go by
        root = math.sqrt(max(self.contraction, _FIRST_GUESS) if few else self.contraction)
        self.gap = _CAUTION * decrement * self.surprise * (1.0 + root) / (1.0 - root)


def descend(
    problem: Problem,
    point: Point,
    metric: Metric,
    tol: float,
    max_iter: int,
    *,
    observe: Callable[[Point, Rate], None] | None = None,
    better: Callable[[Point, Rate], Metric | None] | None = None,
) -> tuple[Point, str]:
    """L-BFGS from a point, until f - f* is estimated to be at most tol |f|.

    Returns the last point and how it ended: "converged", "max_iter", "rounding" or "stalled".
    """
    memory, rate, n_iter = Memory(metric), Rate(), 0
    while True:
        p = -memory.solve(point.gradient)
        decrement = -0.5 * float(point.gradient @ p)
        rate.add(decrement / memory.scale)  # as if all curvature were that of the scaled metric
        if observe is not None:
            observe(point, rate)
        if rate.gap <= tol * (abs(point.fun) + problem.smallest):
            return point, "converged"
        if n_iter == max_iter:
            return point, "max_iter"
        new = better(point, rate) if better is not None else None
        if new is not None:
            memory = Memory(new)
            p = -memory.solve(point.gradient)
            decrement = -0.5 * float(point.gradient @ p)
            rate.decrements[-1] = decrement
        arrived, length = advance(problem, point, p)
        if arrived is None:
            return point, "rounding" if decrement <= 1e-11 * abs(point.fun) else "stalled"
        memory.add(length * p, arrived.gradient - point.gradient, length == 1.0)
        if decrement > 1e-9 * abs(point.fun):
            rate.surprise = min(max((point.fun - arrived.fun) / decrement, 1.0), 10.0)
        point = arrived
        n_iter += 1


def advance(problem: Problem, point: Point, p: np.ndarray) -> tuple[Point | None, float]:
    """The unit step if it will do, else one of searched length, with that; None for no step."""
    slope = float(point.gradient @ p)
    trial = problem.evaluate(point.theta + p)
    flat = -slope <= 1e-11 * abs(point.fun)  # differences of f are rounding errors here
    lower = trial.fun <= point.fun + 1e-4 * slope or (flat and trial.fun <= point.fun * (1 + 1e-12))
    if lower and abs(float(trial.gradient @ p)) <= 0.9 * abs(slope):
        return trial, 1.0
    if -slope <= 1e-15 * abs(point.fun):
        return None, 0.0
    t = search(problem, point, p, slope)
    if t == 0.0:
        return None, 0.0
    return (trial if t == 1.0 else problem.evaluate(point.theta + t * p)), t


# --------------------------------------------------------------------------- the method


def subsample_sizes(problem: Problem) -> list[int]:
    """How many rows the stages before the last have.

    The metric of m rows contracts by about k/m a pass (the edges of the spectrum of a sample
    covariance, (1 +- sqrt(k/m))^2, put into the rate of conjugate gradients): the best m balances
    the passes that it saves against its Gram matrix.
    """
    n, k = problem.samples.n, problem.coarse.size
    if not problem.coarse.is_all:
        return []
    fewest = max(_FEWEST_ROWS, 4 * k)
    # Of sparse data a good part, for its rare columns; a metric of all rows comes after.
    least = n // 4 if problem.samples.is_sparse and problem.gram_cost(n) <= _AFFORDABLE else 0
    sizes = [m for m in (n // 2**i for i in range(1, 12)) if m >= max(fewest, least)]
    if not sizes:
        return []
    cost = {m: 1.5 * problem.gram_cost(m) + 18.0 / np.log(m / k) + 3.0 * m / n for m in sizes}
    large = min(sizes, key=lambda m: cost[m])
    small = max(large // 8, fewest)
    return [small, large] if small <= large // 2 else [large]


def stages_of(problem: Problem, rng: np.random.Generator) -> list[Problem]:
    """The problem on subsamples, nested and growing, and on all rows."""
    problem = problem.in_row_space()
    stages = [problem]
    for m in reversed(subsample_sizes(problem)):
        stages.insert(0, stages[0].subsample(m, rng))
    return stages


def solve(
    stages: list[Problem],
    theta: np.ndarray | None,
    tol: float,
    max_iter: int,
    rng: np.random.Generator,
    observe: Callable[[Point, Rate], None] | None = None,
) -> tuple[Point, str]:
    """Minimise f from theta, or from the line S^-1 u, stage by stage."""
    *few, problem = stages
    n = problem.samples.n
    if theta is None:
        theta, metric = start(stages[0])
        for now in few:
            accuracy = 0.05 * now.coarse.size / now.samples.n  # of so many rows
            renew = renewal(now, now.samples.n, rng, accuracy)
            point, _ = descend(now, now.evaluate(theta), metric, accuracy, 30, better=renew)
            theta = point.theta
    point = finite(problem.evaluate(theta))
    rows = few[-1] if few else None
    if rows is not None and rows.seen.min() < ENOUGH_ROWS and problem.gram_cost(n) <= _AFFORDABLE:
        rows = None  # rare columns: their correlations need all rows
    metric = problem.metric(point, rows)
    renew = renewal(problem, n if rows is None else rows.samples.n, rng, tol)
    return descend(problem, point, metric, tol, max_iter, observe=observe, better=renew)


def finite(point: Point) -> Point:
    """The point, if f and its gradient are numbers there."""
    if not (np.isfinite(point.fun) and np.isfinite(point.gradient).all()):
        raise NotFinite
    return point


def start(problem: Problem) -> tuple[np.ndarray, Metric]:
    """The best point on the line S^-1 u, for Gaussian data the optimum, and the metric S there."""
    samples, (G, diagonal) = problem.samples, problem.moments
    zero = finite(problem.evaluate(np.zeros(samples.d + problem.intercept)))
    # Where z is Gaussian the Hessian is E phi'' S. At first the largest phi'' must do.
    largest = samples.loss.sup_curvature
    scaled = None if diagonal is None else largest * diagonal
    penalty, dense = problem.l2_penalty, problem.dense_penalty
    S = Metric(largest * G, problem.coarse, penalty, problem.intercept, scaled, None, dense)
    theta, margins = fit_length(problem, zero, -S.solve(zero.gradient))
    return theta, S.times(samples.total(samples.curvatures(margins)) / largest)


def renewal(
    problem: Problem, m: int, rng: np.random.Generator, tol: float = 1e-4
) -> Callable[[Point, Rate], Metric | None]:
    """When to replace the metric of m rows, and by that of how many.

    All rows at every step where that is cheap (Newton's method, for small data); else where the
    passes that it can be expected to save are more than it costs.
    """
    n = problem.samples.n
    age = 0
    exact = problem.convex and problem.coarse.is_all  # of all rows, it is Newton's method
    cheap = exact and problem.samples.size <= _SMALL and problem.gram_cost(n) <= 30.0

    def better(point: Point, rate: Rate) -> Metric | None:
        nonlocal m, age
        age += 1
        if age < (1 if cheap else 3) or rate.contraction < 0.05:
            return None
        if cheap:
            m, age = n, 0
            return problem.metric(point)
        digits = np.log(max(rate.gap / (tol * (abs(point.fun) + problem.smallest)), 2.0))

        def passes(contraction: float) -> float:
            return digits / -np.log(contraction)

        def contraction(rows: int) -> float:
            best = 1e-3 if exact else 0.1
            return max(best, min(rate.contraction, 0.5) * m / rows / (2 if rows > m else 1))

        sizes = [rows for rows in (4 * m, n) if m < rows <= n] or [n]
        if sizes == [n] and m == n:
            cost = {n: problem.gram_cost(n) + passes(1e-3 if exact else rate.contraction)}
        else:
            cost = {rows: problem.gram_cost(rows) + passes(contraction(rows)) for rows in sizes}
        rows = min(cost, key=lambda rows: cost[rows])
        if cost[rows] + 1 >= passes(rate.contraction):
            return None
        m, age = rows, 0
        return problem.metric(point, None if rows == n else problem.subsample(rows, rng))

    return better


# --------------------------------------------------------------------------- runs


@dataclass
class Log:
    """What is written down of a run: a row of the trace at every iterate, then the result."""

    problem: Problem
    callback: Callable[[Progress], Any] | None = None
    rows: list[Progress] = field(default_factory=list)
    gap: float = np.nan
    clock: float = field(default_factory=time.perf_counter)

    def __call__(self, point: Point, rate: Rate) -> None:
        self.gap = rate.gap / abs(point.fun) if point.fun else 0.0
        row = Progress(
            iteration=len(self.rows),
            x=self.problem.leave(point.theta),
            fun=point.fun,
            grad_norm=float(np.sqrt(2.0 * max(rate.decrements[-1], 0.0))),
            length=point.length,
            direction_gap=np.nan,
            passes=round(self.problem.passes),
            seconds=time.perf_counter() - self.clock,
        )
        self.rows.append(row)
        if self.callback is not None:
            self.callback(row)

    def result(self, ended: str) -> Result:
        """The last row as a result."""
        last = self.rows[-1]
        return Result(
            x=last.x,
            direction=last.x / last.length if last.length > 0 else np.zeros_like(last.x),
            length=last.length,
            fun=last.fun,
            grad_norm=last.grad_norm,
            n_iter=last.iteration,
            n_passes=last.passes,
            status=Status[ended],
            trace=trace_of(self.rows),
            method="whitened",
            gap=self.gap,
        )


def run(
    stages: list[Problem],
    theta: np.ndarray | None,
    tol: float,
    max_iter: int,
    rng: np.random.Generator,
    callback: Callable[[Progress], Any] | None = None,
) -> Result:
    """`solve`, written down; interrupted it gives the last iterate, if it came to one."""
    log = Log(stages[-1], callback)
    theta = None if theta is None else stages[-1].enter(theta)
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            _, ended = solve(stages, theta, tol, max_iter, rng, log)
    except (KeyboardInterrupt, StopIteration):
        if not log.rows:
            raise KeyboardInterrupt from None
        ended = "interrupted"
    return log.result(ended)


def minimize_halfspace(
    objective: Halfspace,
    w0: np.ndarray | None,
    max_iter: int,
    tol: float,
    callback: Callable[[Progress], Any] | None,
    *,
    n_restarts: int = 0,
    seed: int = 0,
    n_threads: int = 1,
) -> Result:
    """`minimize` on data: what the objective holds, put to `run`."""
    who, design = "minimize (whitened)", objective.design
    n_restarts = whole_number(n_restarts, who, "n_restarts")
    n_threads = whole_number(n_threads, who, "n_threads", at_least=1)
    rng = np.random.default_rng(whole_number(seed, who, "seed"))
    if objective.max_length < np.inf:
        advice = "Use a length_penalty or an l2_penalty, or one of the paper's methods."
        got = f"{objective.max_length:g}"
        raise ValueError(complaint(who, "max_length", "be infinite", got, advice))
    n, d = design.shape[0], design.n_features
    weight = np.ones(n) if design.weights is None else design.weights
    X, centre = nearer(design.X, design.mean)
    samples = Samples(X, objective.labels, weight / n, centre, objective.loss, n_threads)
    dense = None
    if objective.length_penalty:
        dense = objective.length_penalty * objective.moments.S[:d, :d]
    problem = Problem(
        samples,
        np.full(d, objective.l2_penalty),
        objective.intercept,
        objective.loss.is_convex,
        dense,
    )
    theta = None if w0 is None else vector(w0, who, "w0", length=d + objective.intercept)
    stages = stages_of(problem, rng)
    result = run(stages, theta, tol, max_iter, rng, callback)
    if n_restarts and not problem.convex:
        result = restart(stages, result, n_restarts, tol, max_iter, rng, callback)
    return result


def restart(
    stages: list[Problem],
    best: Result,
    n_restarts: int,
    tol: float,
    max_iter: int,
    rng: np.random.Generator,
    callback: Callable[[Progress], Any] | None = None,
) -> Result:
    """Further runs of a loss that is not convex; the lowest end of all.

    The first starts at the optimum of softplus, the others in random directions, at lengths between
    1 and 10 times the root mean square of the margins.
    """
    samples = stages[-1].samples
    moments = samples.squares(samples.weight)
    unit = np.divide(1.0, np.sqrt(moments), out=np.zeros(samples.d), where=moments > 0)
    for k in range(n_restarts):
        if k == 0:
            convex = [now.with_loss(margin_loss("softplus")) for now in stages]
            theta = solve(convex, None, 1e-3, max_iter, rng)[0].theta
        else:
            w = unit * rng.standard_normal(samples.d)
            length = stages[-1].evaluate(stages[-1].join(w, 0.0)).length
            w *= 10.0 ** rng.random() / max(length, 1e-300)
            theta = stages[-1].join(w, 0.0)
        result = run(stages, theta, tol, max_iter, rng, callback)
        better = result if result.fun < best.fun else best
        if result.status is Status.interrupted:
            return replace(better, status=result.status)
        best = better
    return best
