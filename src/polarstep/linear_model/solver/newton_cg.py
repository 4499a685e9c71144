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
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...result import Status
from .conjugate_gradients import solve_newton_system
from .lbfgs import Convergence, InverseHessian, take_step
from .problem import Point, Problem
from .weighted_rows import WeightedRows

_LOOSE = 0.02  # squared norm of the residual, relative to the gradient, at which a step is accepted
FEW_ROWS = 2  # rows for each column below which the method is used from the start on
_REJECTED = 3  # unit steps that must be rejected before L-BFGS is left,
_REJECTED_SHARE = 0.4  # and the share of all steps that these must be
_PATIENCE = 60  # largest number of steps of L-BFGS
_SAFETY = 1.5  # factor by which the estimated suboptimality is raised
_POWER = 0.5  # power of the diagonal of the Hessian that preconditions conjugate gradients


def can_use_newton_cg(problem: Problem) -> bool:
    """Return whether f is convex, sparse X has many columns, and every weight is penalised."""
    is_large = problem.samples.is_sparse and not problem.columns.all_single
    is_positive = problem.penalty.is_separable and problem.penalty.diagonal.min() > 0
    return problem.convex and is_large and bool(is_positive)


def has_few_rows(problem: Problem) -> bool:
    """Return whether there are so few rows that a metric of two levels is expected to be poor."""
    return problem.samples.n < FEW_ROWS * problem.samples.d


class PoorMetric:
    """A rule that ends L-BFGS if many of its unit steps are too long, or if it takes many steps.

    A step that is too long costs two more reads of X. In both cases the metric misses correlations,
    and products with the Hessian serve better.

    Attributes
    ----------
    n_iter, n_rejected : int
        The numbers of steps of L-BFGS so far, and of those that were not unit steps.
    """

    def __init__(self) -> None:
        self.n_iter, self.n_rejected = -1, 0

    def __call__(self, point: Point, inverse: InverseHessian, convergence: Convergence) -> bool:
        self.n_iter += 1
        self.n_rejected += inverse.rejected_unit_steps > 0
        many_rejected = self.n_rejected >= max(_REJECTED, _REJECTED_SHARE * self.n_iter)
        return many_rejected or self.n_iter >= _PATIENCE


class _System:
    """The Newton system of the weights at a point, with the intercept eliminated.

    Attributes
    ----------
    g : ndarray, shape (d,)
        The gradient with respect to the weights, with the best intercept of the quadratic model.
    gain_of_intercept : float
        What the quadratic model gains by the intercept alone.
    """

    def __init__(self, problem: Problem, point: Point, rows: WeightedRows[Any]) -> None:
        self.problem, self.rows, samples = problem, rows, problem.samples
        self.h = samples.curvatures(point.margins)
        self.g, slope = problem.split(point.gradient)
        self.gain_of_intercept = 0.0
        if problem.intercept:
            sums, total = rows.gram_times_vector(self.h, np.zeros(samples.d), 1.0)
            problem.passes += 1
            total = max(total, 1e-300)
            self.shift, self.mean = slope / total, sums / total
            self.g = self.g - slope * self.mean
            self.gain_of_intercept = 0.5 * slope * self.shift

    def times(self, v: np.ndarray) -> np.ndarray:
        """Return the product of v with the Hessian of the loss, in one read of X."""
        self.problem.passes += 1
        b = -float(self.mean @ v) if self.problem.intercept else 0.0
        return self.rows.gram_times_vector(self.h, v, b)[0]

    def step(self, x: np.ndarray) -> np.ndarray:
        """Return the step in theta for a step x of the weights."""
        return np.append(x, -self.shift - self.mean @ x) if self.problem.intercept else x


@dataclass(frozen=True)
class _Accuracy:
    """The accuracy to which a Newton step is computed.

    Parameters
    ----------
    target : float
        The suboptimality at which the run stops.
    extra : float
        The gain of the intercept, which comes on top of the gain of the weights.
    factor : float
        The factor by which the suboptimality is raised for safety.
    nonlinearity : float
        An estimate of what the quadratic model leaves to be gained, in units of its gain squared.
    """

    target: float
    extra: float
    factor: float
    nonlinearity: float

    def __call__(self, gain: float, left: float, residual: float) -> bool:
        """Return whether to stop; the arguments are those of `solve_newton_system`."""
        gain += self.extra
        if self.factor * (gain + left) <= self.target:
            return True
        if self.nonlinearity * gain**2 <= 0.1 * self.target:  # The model is exact: finish with it.
            return self.factor * left <= 0.5 * self.target
        return residual <= _LOOSE


def descend_by_newton_cg(
    problem: Problem,
    point: Point,
    tol: float,
    max_iter: int,
    *,
    observe: Callable[[Point, Convergence], None] | None = None,
    rows: WeightedRows[Any] | None = None,
) -> tuple[Point, Status]:
    """Minimise f by truncated Newton steps until f - f* is estimated to be at most tol |f|.

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
    rows : WeightedRows, optional
        The rows with which products are computed, for instance in single precision; by default
        those of the problem.

    Returns
    -------
    point : Point
        The last iterate.
    status : Status
        Whether the iteration converged, reached max_iter, stalled or was ended by rounding errors.
    """
    samples, alpha = problem.samples, problem.penalty.diagonal
    inverse = (samples.squares(samples.curvatures(point.margins)) + alpha) ** -_POWER
    problem.passes += 1
    convergence, n_iter, nonlinearity = Convergence(), 0, np.inf
    while True:
        system = _System(problem, point, samples if rows is None else rows)
        factor, extra = _SAFETY * convergence.excess, system.gain_of_intercept
        target = tol * problem.magnitude(point.fun)
        accuracy = _Accuracy(target, extra, factor, nonlinearity)
        x, gain, left = solve_newton_system(system.times, alpha, system.g, inverse, accuracy)
        gain += extra
        convergence.decrements.append(gain)
        convergence.gap = factor * (gain + left)
        if observe is not None:
            observe(point, convergence)
        if convergence.gap <= target:
            return point, Status.converged
        if n_iter == max_iter:
            return point, Status.max_iter
        next_point, length = take_step(problem, point, system.step(x))
        if next_point is None:
            is_flat = gain <= 1e-11 * abs(point.fun)
            return point, Status.rounding if is_flat else Status.stalled
        if gain > 1e-9 * abs(point.fun):
            decrease = point.fun - next_point.fun
            convergence.compare(decrease, gain)
            # The relative error of the model grows with the length of a step, and what the model
            # leaves to be gained with the square of its error.
            nonlinearity = (decrease / gain - 1.0) ** 2 / gain if length == 1.0 else np.inf
        point = next_point
        n_iter += 1
