"""L-BFGS from a given metric, stopped by an estimate of the relative suboptimality.

References
----------
Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical
Programming 1989.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import numpy as np

from ...result import Status
from .metric import DiagonalMetric, HessianMetric
from .problem import Plane, Point, Problem

_FIRST_CONTRACTION = 0.25  # contraction of the decrement that is assumed before the first steps
_SAFETY = 1.5  # factor by which the estimated suboptimality is raised
_SMALLEST_SCALE = 0.1  # smallest factor by which the inverse of the metric is multiplied
_LONG_WINDOW = 8  # number of steps that show the rate in a diagonal metric, which is uneven
_MOST_PAIRS = 30  # largest number of steps that are remembered, with the changes of the gradient,
_FEW_PAIRS = 10  # and in a diagonal metric, in which more steps do not help


class Convergence:
    """An estimate of the suboptimality from the rate at which the decrement falls.

    Parameters
    ----------
    window : int, default=3
        The number of steps from which the rate is estimated.

    Attributes
    ----------
    decrements : list of float
        g^T H^-1 g/2 at every iterate, in the metric of the method.
    contraction : float
        The factor by which the decrement changes in a step: the geometric mean of up to `window`.
    excess : float
        The last decrease of f relative to the decrement that predicted it, between 1 and 10. It is
        larger than 1 where f is not yet quadratic.
    gap : float
        An estimate of f - f*, designed to overestimate; not a guaranteed bound.

    Notes
    -----
    Conjugate gradients contract by ((sqrt(kappa)-1)/(sqrt(kappa)+1))^2, where kappa is the
    condition number of the true Hessian in the metric of the method. Conversely, a contraction r
    suggests sqrt(kappa) = (1 + sqrt(r))/(1 - sqrt(r)), which is the factor between the decrement
    and the suboptimality.
    """

    def __init__(self, window: int = 3) -> None:
        self.window = window
        self.decrements: list[float] = []
        self.contraction, self.excess, self.gap = _FIRST_CONTRACTION, 1.0, np.inf

    def add(self, decrement: float) -> None:
        """Update the estimates with the decrement of a new iterate."""
        self.decrements.append(decrement)
        recent = self.decrements[-self.window - 1 :]
        if len(recent) > 1 and recent[0] > 0:
            factor = (max(decrement, 1e-300) / recent[0]) ** (1.0 / (len(recent) - 1))
            self.contraction = min(max(factor, 1e-4), 0.95)
        too_few_steps = len(recent) < 4
        r = max(self.contraction, _FIRST_CONTRACTION) if too_few_steps else self.contraction
        root = math.sqrt(r)
        self.gap = _SAFETY * decrement * self.excess * (1.0 + root) / (1.0 - root)

    def compare(self, decrease: float, decrement: float) -> None:
        """Update the estimates with the decrease of f in a step."""
        self.excess = min(max(decrease / decrement, 1.0), 10.0)


class InverseHessian:
    """The L-BFGS approximation of the inverse Hessian, started from scale * H0^-1.

    Parameters
    ----------
    metric : HessianMetric or DiagonalMetric
        H0.
    """

    def __init__(self, metric: HessianMetric | DiagonalMetric) -> None:
        self.metric, self.scale, self.rejected_unit_steps = metric, 1.0, 0
        self.is_diagonal = isinstance(metric, DiagonalMetric)
        most = _FEW_PAIRS if self.is_diagonal else _MOST_PAIRS
        self.pairs: deque[tuple[np.ndarray, np.ndarray, float]] = deque(maxlen=most)

    def add(self, step: np.ndarray, change: np.ndarray, is_unit_step: bool) -> None:
        """Remember a step and the change of the gradient, if f is convex along the step.

        The scale of a diagonal metric is fitted to each step. Otherwise it is reduced after two
        rejected unit steps in a row, and raised by accepted ones.
        """
        curvature = float(step @ change)
        if curvature <= 0:
            return
        self.pairs.append((step, change, curvature))
        self.rejected_unit_steps = 0 if is_unit_step else self.rejected_unit_steps + 1
        if is_unit_step and not self.is_diagonal:
            self.scale = min(1.0, 2.0 * self.scale)
        elif self.rejected_unit_steps > 1 or self.is_diagonal:
            wanted = curvature / float(change @ self.metric.solve(change))
            self.scale = wanted if self.is_diagonal else min(max(wanted, _SMALLEST_SCALE), 1.0)

    def times(self, g: np.ndarray) -> np.ndarray:
        """Return H^-1 g by the two-loop recursion."""
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
    metric: HessianMetric | DiagonalMetric,
    tol: float,
    max_iter: int,
    *,
    observe: Callable[[Point, Convergence], None] | None = None,
    renew_metric: Callable[[Point, Convergence], HessianMetric | None] | None = None,
    leave: Callable[[Point, InverseHessian, Convergence], bool] | None = None,
) -> tuple[Point, Status | None]:
    """Minimise f by L-BFGS until f - f* is estimated to be at most tol (|f| + 1e-14 f(0)).

    Parameters
    ----------
    problem : Problem
    point : Point
        The start.
    metric : HessianMetric or DiagonalMetric
        The first approximation of the Hessian.
    tol : float
        The estimated relative suboptimality at which the iteration stops.
    max_iter : int
        The largest number of steps.
    observe : callable, optional
        A function that is called with every iterate and the `Convergence`.
    renew_metric : callable, optional
        A function that is called with every iterate but the last and the `Convergence`. It returns
        a new metric, or None to keep the current one.
    leave : callable, optional
        A function that is called at every iterate, before `observe` and before the `Convergence`
        knows of it. If it returns true, the iteration ends there, so that another method can
        continue.

    Returns
    -------
    point : Point
        The last iterate.
    status : Status or None
        Whether the iteration converged, reached max_iter, stalled or was ended by rounding errors;
        None if `leave` ended it.
    """
    inverse, n_iter = InverseHessian(metric), 0
    convergence = Convergence(_LONG_WINDOW) if inverse.is_diagonal else Convergence()
    while True:
        if leave is not None and leave(point, inverse, convergence):
            return point, None
        p = -inverse.times(point.gradient)
        decrement = -0.5 * float(point.gradient @ p)
        # Below 1 the scale shortens steps; the suboptimality is estimated as if it were 1.
        convergence.add(decrement if inverse.is_diagonal else decrement / inverse.scale)
        if observe is not None:
            observe(point, convergence)
        if convergence.gap <= tol * problem.magnitude(point.fun):
            return point, Status.converged
        if n_iter == max_iter:
            return point, Status.max_iter
        new_metric = None if renew_metric is None else renew_metric(point, convergence)
        if new_metric is not None:
            inverse = InverseHessian(new_metric)
            p = -inverse.times(point.gradient)
            decrement = -0.5 * float(point.gradient @ p)
            convergence.decrements[-1] = decrement
        next_point, length = take_step(problem, point, p)
        if next_point is None:
            is_flat = decrement <= 1e-11 * abs(point.fun)
            return point, Status.rounding if is_flat else Status.stalled
        inverse.add(length * p, next_point.gradient - point.gradient, length == 1.0)
        if decrement > 1e-9 * abs(point.fun):
            convergence.compare(point.fun - next_point.fun, decrement)
        point = next_point
        n_iter += 1


def take_step(problem: Problem, point: Point, p: np.ndarray) -> tuple[Point | None, float]:
    """Take the unit step along p if it satisfies the Wolfe conditions, else search for a length.

    Returns
    -------
    next_point : Point or None
        The next iterate; None if no step lowers f.
    length : float
    """
    slope = float(point.gradient @ p)
    trial = problem.evaluate(point.theta + p)
    is_flat = -slope <= 1e-11 * abs(point.fun)  # differences of f are rounding errors here
    is_lower = trial.fun <= point.fun + 1e-4 * slope
    is_lower = is_lower or (is_flat and trial.fun <= point.fun * (1 + 1e-12))
    if is_lower and abs(float(trial.gradient @ p)) <= 0.9 * abs(slope):
        return trial, 1.0
    if -slope <= 1e-15 * abs(point.fun):
        return None, 0.0
    t = search_length(problem, point, p, slope)
    if t == 0.0:
        return None, 0.0
    return (trial if t == 1.0 else problem.evaluate(point.theta + t * p)), t


def search_length(problem: Problem, point: Point, p: np.ndarray, slope: float) -> float:
    """Find a length t at which f is lower than at 0 and its slope is at most a tenth of that at 0.

    The search is Newton's method on the slope within a bracket, and it reads X once. If it does not
    find such a length, it returns the largest length that it tried at which f is lower and still
    falls, or 0 if there is none.
    """
    f = Plane(problem, point, p)
    low, high, t = 0.0, np.inf, 1.0
    for _ in range(60):
        value, slope_t, _, curvature, _, _ = f(t)
        is_lower = bool(np.isfinite(value)) and value <= point.fun
        if is_lower and abs(slope_t) <= 0.1 * abs(slope):
            return t
        if is_lower and slope_t < 0:
            low = t
        else:
            high = t
        new = t - slope_t / curvature if curvature > 0 else np.nan
        if not low < new < high:
            new = 0.5 * (low + high) if high < np.inf else 4.0 * t
            if low == 0.0 and high < np.inf:
                new = 0.1 * high
        t = min(new, 10.0 * t)
        bracket_is_closed = high < np.inf and high - low <= 1e-14 * high
        if bracket_is_closed or t > 1e12:
            break
    return low
