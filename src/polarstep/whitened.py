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

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from .metric import ENOUGH_ROWS, Coarse, Metric, choose_columns
from .samples import Samples

_MEMORY = 30  # pairs of L-BFGS
_FEWEST_ROWS = 2_000  # of a subsample
_AFFORDABLE = 8.0  # passes, for a metric of all rows


class Point(NamedTuple):
    """Where a descent stands."""

    theta: np.ndarray
    fun: float
    gradient: np.ndarray
    margins: Any
    length: float  # the root mean square of (x - centre)^T w


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
    seen: np.ndarray = None  # type: ignore[assignment]
    passes: float = 0.0

    def __post_init__(self) -> None:
        if self.coarse is None:
            self.coarse = choose_columns(self.samples)

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
        factorization = k**3 / (50.0 * samples.size)
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
    """The pairs (step, change of the gradient) of L-BFGS."""

    def __init__(self) -> None:
        self.pairs: deque[tuple[np.ndarray, np.ndarray, float]] = deque(maxlen=_MEMORY)

    def add(self, step: np.ndarray, change: np.ndarray) -> None:
        """Remember a pair, if f curves upwards along it."""
        curvature = float(step @ change)
        if curvature > 0:
            self.pairs.append((step, change, curvature))

    def solve(self, metric: Metric, g: np.ndarray) -> np.ndarray:
        """H^-1 g by the two-loop recursion, from H0."""
        q, coefficients = g.copy(), []
        for step, change, curvature in reversed(self.pairs):
            a = float(step @ q) / curvature
            q -= a * change
            coefficients.append(a)
        x = metric.solve(q)
        if self.pairs:
            _, change, curvature = self.pairs[-1]
            x *= min(1.0, curvature / float(change @ metric.solve(change)))
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
        t = min(new, 10.0 * t)
        if high - low <= 1e-14 * high or t > 1e12:
            break
    return low


def fit_length(problem: Problem, point: Point, p: np.ndarray) -> tuple[np.ndarray, Any]:
    """The best length along p, and intercept, from theta = 0, and the margins there.

    Newton's method on cached margins. A bounded loss has several local optima in the length, so
    the search starts at the best of a few.
    """
    f = Plane(problem, point, p)
    unit = f.samples.root_mean_square(f.change)
    lengths = 2.0 ** np.arange(-2, 6) / unit if unit > 0 else np.ones(1)
    x = np.array([min(lengths, key=lambda t: f(t)[0]), 0.0])
    now = f(*x)
    for _ in range(50):
        step = -_newton(now, problem.intercept)
        decrement = -0.5 * float(now[1:3] @ step)
        if not decrement > 1e-6 * abs(now[0]):
            break
        while decrement > 0:
            new = f(*(x + step))
            if new[0] <= now[0] - 1e-4 * decrement:
                break
            step, decrement = 0.3 * step, 0.3 * decrement
            if decrement <= 1e-9 * abs(now[0]):
                decrement = 0.0
        if not decrement > 0:
            break
        x, now = x + step, new
    theta = x[0] * p
    if problem.intercept:
        theta[-1] += x[1]
    return theta, f.samples.move(point.margins, f.change, *x)


def _newton(f: np.ndarray, both: bool) -> np.ndarray:
    """H^-1 g of a `Plane` (both ways, or t alone), negative curvature turned round."""
    if not both:
        return np.array([f[1] / max(abs(f[3]), 1e-300), 0.0])
    values, vectors = np.linalg.eigh([[f[3], f[4]], [f[4], f[5]]])
    values = np.maximum(np.abs(values), 1e-14 * np.abs(values).max() + 1e-300)
    return vectors @ (vectors.T @ f[1:3] / values)


# --------------------------------------------------------------------------- descent


@dataclass
class Rate:
    """How fast the decrement falls, and what that says about the suboptimality."""

    decrements: list[float] = field(default_factory=list)

    def add(self, decrement: float) -> None:
        self.decrements.append(decrement)

    @property
    def contraction(self) -> float:
        """The factor of the last steps, by geometric mean over up to three."""
        recent = self.decrements[-4:]
        if len(recent) < 2 or recent[0] <= 0:
            return 0.25
        factor = max(recent[-1], 1e-300) / recent[0]
        return float(np.clip(factor ** (1.0 / (len(recent) - 1)), 1e-4, 0.95))

    @property
    def gap(self) -> float:
        """An estimate from above of f - f*.

        The decrement is g^T H^-1 g / 2 in the metric of the method. Conjugate gradients contract by
        ((sqrt(kappa)-1)/(sqrt(kappa)+1))^2, kappa the condition number of the true Hessian in that
        metric; read backwards, a contraction r says sqrt(kappa) = (1 + sqrt r)/(1 - sqrt r).
        """
        root = np.sqrt(self.contraction)
        return self.decrements[-1] * (1.0 + root) / (1.0 - root)


def descend(
    problem: Problem,
    point: Point,
    metric: Metric,
    tol: float,
    max_iter: int,
    *,
    observe: Callable[[Point, float], None] | None = None,
    better: Callable[[Point, Rate], Metric | None] | None = None,
) -> tuple[Point, str]:
    """L-BFGS from a point, until f - f* is estimated to be at most tol |f|.

    Returns the last point and how it ended: "converged", "max_iter" or "rounding".
    """
    memory, rate, n_iter = Memory(), Rate(), 0
    while True:
        p = -memory.solve(metric, point.gradient)
        rate.add(-0.5 * float(point.gradient @ p))
        if observe is not None:
            observe(point, rate.gap)
        if rate.gap <= tol * abs(point.fun):
            return point, "converged"
        if n_iter == max_iter:
            return point, "max_iter"
        new = better(point, rate) if better is not None else None
        if new is not None:
            metric, memory = new, Memory()
            p = -memory.solve(metric, point.gradient)
            rate = Rate([-0.5 * float(point.gradient @ p)])
        arrived = advance(problem, point, p)
        if arrived is None:
            return point, "rounding"
        memory.add(arrived.theta - point.theta, arrived.gradient - point.gradient)
        point = arrived
        n_iter += 1


def advance(problem: Problem, point: Point, p: np.ndarray) -> Point | None:
    """The unit step if it will do, else one of searched length; None where rounding ends it."""
    slope = float(point.gradient @ p)
    trial = problem.evaluate(point.theta + p)
    flat = -slope <= 1e-11 * abs(point.fun)  # differences of f are rounding errors here
    lower = trial.fun <= point.fun + 1e-4 * slope or (flat and trial.fun <= point.fun * (1 + 1e-12))
    if lower and abs(float(trial.gradient @ p)) <= 0.9 * abs(slope):
        return trial
    if -slope <= 1e-15 * abs(point.fun):
        return None
    t = search(problem, point, p, slope)
    if t == 0.0:
        return None
    return trial if t == 1.0 else problem.evaluate(point.theta + t * p)


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
    sizes = [m for m in (n // 2**i for i in range(1, 12)) if m >= fewest]
    if not sizes:
        return []
    cost = {m: 1.5 * problem.gram_cost(m) + 18.0 / np.log(m / k) + 3.0 * m / n for m in sizes}
    large = min(sizes, key=lambda m: cost[m])
    small = max(large // 8, fewest)
    return [small, large] if small <= large // 2 else [large]


def solve(
    problem: Problem,
    theta: np.ndarray | None,
    tol: float,
    max_iter: int,
    rng: np.random.Generator,
    observe: Callable[[Point, float], None] | None = None,
) -> tuple[Point, str]:
    """Minimise f, from theta or from the line S^-1 u; see the top of this module."""
    n = problem.samples.n
    stages = [problem]
    for m in reversed(subsample_sizes(problem)):
        stages.insert(0, stages[0].subsample(m, rng))
    metric = None
    if theta is None:
        theta, metric = start(stages[0])
    for now in stages[:-1]:
        point = now.evaluate(theta)
        if metric is None:
            metric = now.metric(point)
        accuracy = 0.05 * problem.coarse.size / now.samples.n  # of so many rows
        renew = renewal(now, now.samples.n, rng, accuracy)
        point, _ = descend(now, point, metric, accuracy, 30, better=renew)
        theta = point.theta
    point = problem.evaluate(theta)
    rows = stages[-2] if len(stages) > 1 else None
    if rows is not None and rows.seen.min() < ENOUGH_ROWS and problem.gram_cost(n) <= _AFFORDABLE:
        rows = None  # rare columns: their correlations need all rows
    metric = problem.metric(point, rows)
    renew = renewal(problem, n if rows is None else rows.samples.n, rng, tol)
    return descend(problem, point, metric, tol, max_iter, observe=observe, better=renew)


def start(problem: Problem) -> tuple[np.ndarray, Metric]:
    """The best point on the line S^-1 u, for Gaussian data the optimum, and the metric S there."""
    zero = problem.evaluate(np.zeros(problem.samples.d + problem.intercept))
    samples, coarse = problem.samples, problem.coarse
    G = samples.gram(samples.weight, coarse.place, coarse.size)
    diagonal = None if coarse.is_all else samples.squares(samples.weight)

    def metric(scale: float) -> Metric:
        scaled = None if diagonal is None else scale * diagonal
        return Metric(
            scale * G,
            coarse,
            problem.l2_penalty,
            problem.intercept,
            scaled,
            None,
            problem.dense_penalty,
        )

    # In units of phi'', which is not known yet, the penalty is that of the loss's largest.
    p = -metric(problem.samples.loss.sup_curvature).solve(zero.gradient)
    theta, margins = fit_length(problem, zero, p)
    return theta, metric(float(samples.curvatures(margins).sum()))


def renewal(
    problem: Problem, m: int, rng: np.random.Generator, tol: float = 1e-4
) -> Callable[[Point, Rate], Metric | None]:
    """When to replace the metric of m rows, and by that of how many."""
    n = problem.samples.n
    age = 0
    exact = problem.convex and problem.coarse.is_all  # of all rows, it is Newton's method
    cheap = exact and problem.gram_cost(n) < 4.0

    def better(point: Point, rate: Rate) -> Metric | None:
        nonlocal m, age
        age += 1
        if age < (1 if cheap else 3) or rate.contraction < 0.05:
            return None
        digits = np.log(max(rate.gap / (tol * abs(point.fun)), 2.0))

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
