"""L-BFGS in a diagonal metric, for dense data with hardly more rows than columns.

A Gram matrix of d columns and its factorization cost as much as hundreds of reads of X if there are
only a few times d rows. If the columns are nearly uncorrelated, L-BFGS needs fewer reads than that
in a diagonal metric whose scale is fitted to each step. The first direction shows whether they are:
along it the variance of the margins is compared with the sum of the variances of the columns. For
uncorrelated columns the ratio is at most (1 + sqrt(d/n))^2 up to random deviations (Marchenko and
Pastur 1967).

References
----------
Marchenko and Pastur, "Distribution of eigenvalues for some sets of random matrices", Mathematics of
the USSR-Sbornik 1967.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...result import Status
from .lbfgs import Convergence, InverseHessian, descend
from .metric import DiagonalMetric
from .newton_cg import descend_by_newton_cg
from .problem import Point, Problem, require_finite
from .row_space import ColumnCoordinates
from .samples import Samples
from .stages import Renewal
from .start import fit_length
from .weighted_rows import WeightedRows

_FEWEST_COLUMNS = 200  # smaller Gram matrices cost little
_MOST_ROWS = 10  # rows for each column above which a subsample yields a metric at less cost
_TOLERANCE = 1.5  # factor by which the variance along the first direction may exceed its limit
_FEWEST_STEPS = 10  # number of steps that show the rate
_SHARE = 0.7  # share of the allowed steps after which conjugate gradients finish the run
_ROUGH = 1e-6  # relative suboptimality from which on X is read in double precision
_PATIENCE = 3.0  # number of Gram matrices that the remaining steps may cost,
_FAR, _PATIENCE_FAR = (
    0.1,
    3.0,
)  # times this factor if the relative suboptimality is larger than _FAR


def suits_diagonal_metric(problem: Problem) -> bool:
    """Return whether X is dense and so nearly square that a Gram matrix is expensive.

    The weights must be penalised, because otherwise the classes can often be separated.
    """
    samples = problem.samples
    return (
        problem.convex
        and not samples.is_sparse
        and problem.columns.all_single
        and problem.penalty.is_separable
        and bool(problem.penalty.diagonal.min() > 0)
        and isinstance(problem.coordinates, ColumnCoordinates)
        and samples.d >= _FEWEST_COLUMNS
        and samples.n <= _MOST_ROWS * samples.d
    )


def start_in_diagonal_metric(problem: Problem) -> tuple[Point, DiagonalMetric] | None:
    """Return the best point along the first direction, and the metric; None if X is correlated."""
    samples = problem.samples
    zero = require_finite(problem.evaluate(np.zeros(samples.d + problem.intercept)))
    squares = samples.squares(samples.weight)
    problem.passes += 1
    curvature = samples.loss.sup_curvature
    diagonal = problem.join(curvature * squares + problem.penalty.diagonal, curvature)
    metric = DiagonalMetric(diagonal)
    theta, margins = fit_length(problem, zero, -metric.solve(zero.gradient))
    w, b = problem.split(theta)
    variance = samples.root_mean_square(margins) ** 2 - b * b  # up to the error of the centre
    limit = _TOLERANCE * (1.0 + math.sqrt(samples.d / samples.n)) ** 2
    if variance > limit * float(squares @ np.square(w)):
        return None
    return problem.evaluate(theta), metric


class TooSlow:
    """A rule that ends L-BFGS if a Gram matrix is expected to take less time.

    It also ends L-BFGS after most of the steps that are allowed.

    Parameters
    ----------
    problem : Problem
    tol : float
        The estimated relative suboptimality at which the run stops.
    max_iter : int
        The largest number of steps.

    Attributes
    ----------
    n_iter : int
        The number of steps so far.
    is_late : bool
        Whether most of the steps that are allowed have been taken.
    """

    def __init__(self, problem: Problem, tol: float, max_iter: int) -> None:
        self.latest = int(_SHARE * max_iter)
        self.problem, self.tol, self.n_iter = problem, tol, -1
        self.most_steps = _PATIENCE * problem.gram_cost(problem.samples.n) + _FEWEST_STEPS

    def __call__(self, point: Point, inverse: InverseHessian, convergence: Convergence) -> bool:
        self.n_iter += 1
        if self.is_late or self.n_iter < _FEWEST_STEPS:
            return self.is_late
        target = self.tol * self.problem.magnitude(point.fun)
        digits = math.log(max(convergence.gap / target, 1.0))
        # Far from the minimum, several Gram matrices would be needed one after the other.
        is_far = convergence.gap > _FAR * abs(point.fun)
        most_steps = self.most_steps * (_PATIENCE_FAR if is_far else 1.0)
        return digits > -math.log(convergence.contraction) * most_steps

    @property
    def is_late(self) -> bool:
        return self.n_iter >= max(self.latest, _FEWEST_STEPS)


class SinglePrecision:
    """A context in which a problem reads X in single precision until f is known to a few digits.

    Within it, an instance is the function to be called with every iterate.

    Parameters
    ----------
    problem : Problem
    observe : callable or None
        The function to which the iterates are passed on.

    Attributes
    ----------
    single : WeightedRows
        The rows in single precision, or as they are if that is not possible.
    """

    def __init__(
        self, problem: Problem, observe: Callable[[Point, Convergence], None] | None
    ) -> None:
        self.problem, self.observe, self.samples = problem, observe, problem.samples
        self.single: WeightedRows[Any] = self.samples
        if isinstance(self.samples, Samples) and self.samples.X.dtype == np.float64:
            single = self.samples.in_single_precision()
            if np.isfinite(single.X).all():
                self.single = single

    def __enter__(self) -> SinglePrecision:
        self.problem.samples = self.single
        return self

    def __exit__(self, *exception: object) -> None:
        self.problem.samples = self.samples

    def __call__(self, point: Point, convergence: Convergence) -> None:
        if convergence.gap <= _ROUGH * abs(point.fun):
            self.problem.samples = self.samples
        if self.observe is not None:
            self.observe(point, convergence)


def descend_in_diagonal_metric(
    problem: Problem,
    point: Point,
    metric: DiagonalMetric,
    tol: float,
    max_iter: int,
    rng: np.random.Generator,
    observe: Callable[[Point, Convergence], None] | None = None,
) -> tuple[Point, Status]:
    """Minimise f in a diagonal metric; from a point of slow progress on, in that of all rows.

    If it is slow only at the end, conjugate gradients finish the run. The arguments and the results
    are those of `descend`.
    """
    rule = TooSlow(problem, tol, max_iter)
    with SinglePrecision(problem, observe) as watch:
        point, status = descend(problem, point, metric, tol, max_iter, observe=watch, leave=rule)
    if status is None and rule.is_late:
        return descend_by_newton_cg(
            problem, point, tol, max_iter - rule.n_iter, observe=observe, rows=watch.single
        )
    if status is None:
        renewal = Renewal(problem, problem.samples.n, tol, rng)
        point, status = descend(
            problem, point, problem.metric(point), tol, max_iter - rule.n_iter,
            observe=observe, renew_metric=renewal,
        )  # fmt: skip
    assert status is not None  # nothing makes the second run leave before it has ended
    return point, status
