"""L-BFGS from a given metric, with a stopping rule in units of f.

Source: Liu and Nocedal, "On the limited memory BFGS method", Mathematical Programming 1989.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .metric import Metric
from .problem import Plane, Point, Problem

_FIRST_GUESS = 0.25  # of the contraction
_CAUTION = 1.5
_SHORTEST = 0.1  # scale of the steps
_MEMORY = 30  # pairs


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


class Memory:
    """The pairs (step, change of the gradient) of L-BFGS, and the metric H0/scale to start from."""

    def __init__(self, metric: Metric) -> None:
        self.metric, self.scale, self.failed = metric, 1.0, 0
        self.pairs: deque[tuple[np.ndarray, np.ndarray, float]] = deque(maxlen=_MEMORY)

    def add(self, step: np.ndarray, change: np.ndarray, unit: bool) -> None:
        """Remember a pair, if f curves upwards along it; shorten steps if two unit steps failed."""
        curvature = float(step @ change)
        if curvature <= 0:
            return
        self.pairs.append((step, change, curvature))
        self.failed = 0 if unit else self.failed + 1
        if unit:
            self.scale = min(1.0, 2.0 * self.scale)
        elif self.failed > 1:
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
