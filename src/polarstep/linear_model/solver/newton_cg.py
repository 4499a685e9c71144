"""Truncated Newton's method: each step by conjugate gradients, which need no factorization.

Sparse data with more columns than rows, such as text, have no metric that is both cheap and close
to the Hessian. Products with the Hessian itself are cheap: each reads X once and needs no
exponential function, because the weights of the rows are computed once for each Newton step.

The steps are solved loosely, since the quadratic model is inexact far from the optimum, and the
last one more accurately. The intercept is eliminated: the Schur complement of the Hessian on the
weights has no eigenvalue below the penalty, which yields an upper bound on the suboptimality of the
quadratic model.

References
----------
- Dembo, Eisenstat and Steihaug, "Inexact Newton methods", SIAM Journal on Numerical Analysis 1982.
- Lin, Weng and Keerthi, "Trust region Newton method for large-scale logistic regression", Journal
  of Machine Learning Research 2008.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...result import Status
from .conjugate_gradients import NewtonStep, solve_newton_system
from .lbfgs import Convergence, take_step
from .problem import Point, Problem

_LOOSE = 0.02  # squared norm of the residual, relative to the gradient, at which a step is accepted
_SAFETY = 1.5  # factor by which the estimated suboptimality is raised
_POWER = 0.5  # power of the diagonal of the Hessian that preconditions conjugate gradients


def can_use_newton_cg(problem: Problem) -> bool:
    """Return whether f is convex and every weight has a penalty of its own."""
    return problem.convex and problem.penalty.is_separable and problem.penalty.diagonal.min() > 0


def needs_newton_cg(problem: Problem) -> bool:
    """Return whether products with the Hessian are expected to pay from the start on."""
    samples = problem.samples
    is_wide_text = samples.is_sparse and samples.n < 2 * samples.d and not problem.columns.all_single
    return is_wide_text and can_use_newton_cg(problem)


class _System:
    """The Newton system at a point, with the intercept eliminated."""

    def __init__(self, problem: Problem, point: Point) -> None:
        self.problem, samples = problem, problem.samples
        self.h = samples.curvatures(point.margins)
        self.g, self.slope = problem.split(point.gradient)
        self.total, self.mean = 1.0, np.zeros(0)
        if problem.intercept:
            c, total = samples.gram_times_vector(self.h, np.zeros(samples.d), 1.0)
            problem.passes += 1
            self.total = max(total, 1e-300)
            self.mean = c / self.total
            self.g = self.g - self.slope * self.mean

    def times(self, v: np.ndarray) -> np.ndarray:
        b = -float(self.mean @ v) if self.problem.intercept else 0.0
        self.problem.passes += 1
        return self.problem.samples.gram_times_vector(self.h, v, b)[0]

    @property
    def gain_of_intercept(self) -> float:
        return 0.5 * self.slope**2 / self.total

    def step(self, x: np.ndarray) -> np.ndarray:
        """Return the step in theta for a step x of the weights."""
        if not self.problem.intercept:
            return x
        return np.append(x, -self.slope / self.total - self.mean @ x)


def descend_by_newton_cg(
    problem: Problem,
    point: Point,
    tol: float,
    max_iter: int,
    *,
    observe: Callable[[Point, Convergence], None] | None = None,
) -> tuple[Point, Status]:
    """Minimise f by truncated Newton steps until f - f* is estimated to be at most tol (|f| + ...).

    Parameters
    ----------
    problem : Problem
        A problem for which `can_use_newton_cg` is true.
    point : Point
        The start.
    tol : float
        The estimated relative suboptimality at which the iteration stops.
    max_iter : int
        The largest number of steps.
    observe : callable, optional
        A function that is called with every iterate and the `Convergence`.

    Returns
    -------
    point : Point
        The last iterate.
    status : Status
        Whether the iteration converged, reached max_iter, stalled or was ended by rounding errors.
    """
    squares, alpha = problem.samples.squares(problem.samples.curvatures(point.margins)), problem.penalty.diagonal
    problem.passes += 1
    inverse = (squares + alpha) ** -_POWER
    convergence, n_iter, nonlinearity = Convergence(), 0, np.inf
    while True:
        system = _System(problem, point)
        target = tol * problem.magnitude(point.fun)
        extra = system.gain_of_intercept
        factor = _SAFETY * convergence.excess

        def is_enough(gain: float, left: float, residual: float) -> bool:
            gain += extra
            if factor * (gain + left) <= target:
                return True
            if nonlinearity * gain * gain <= 0.1 * target:  # the model is exact: finish with it
                return factor * left <= 0.5 * target
            return residual <= _LOOSE

        step = solve_newton_system(system.times, alpha, system.g, inverse, is_enough)
        gain = step.gain + extra
        convergence.decrements.append(gain)
        convergence.gap = factor * (gain + step.left)
        if observe is not None:
            observe(point, convergence)
        if convergence.gap <= target:
            return point, Status.converged
        if n_iter == max_iter:
            return point, Status.max_iter
        next_point, length = take_step(problem, point, system.step(step.x))
        if next_point is None:
            is_flat = gain <= 1e-11 * abs(point.fun)
            return point, Status.rounding if is_flat else Status.stalled
        if gain > 1e-9 * abs(point.fun):
            decrease = point.fun - next_point.fun
            convergence.compare(decrease, gain)
            # The relative error of the model grows with the length of a step, and what it leaves
            # to be gained with the square of the error.
            nonlinearity = (decrease / gain - 1.0) ** 2 / gain if length == 1.0 else np.inf
        point = next_point
        n_iter += 1
