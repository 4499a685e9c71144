"""The stages of the solver (subsamples, then all rows), and the rule that renews the metric."""

from __future__ import annotations

import numpy as np

from .lbfgs import Convergence
from .metric import HessianMetric
from .newton_cg import can_use_newton_cg
from .penalty import DiagonalPenalty
from .problem import Point, Problem
from .small import is_small

_FEWEST_ROWS = 2_000  # smallest number of rows of a subsample
_SMALL = 30_000  # values of X; below this size a pass over X is negligible
_AFFORDABLE = 8.0  # passes that a metric of all rows may cost once
_NEWTON_COST = 30.0  # passes that a metric may cost at every step if a pass is negligible
_LOG_REDUCTION = 18.0  # log(1e8): subsample sizes are chosen for a relative accuracy of 1e-8
MOST_ROWS_OF_BASIS = 3_000  # largest number of rows for which a basis of their space is computed


def make_stages(problem: Problem, rng: np.random.Generator) -> list[Problem]:
    """Return the problem on nested subsamples of growing size and, last, on all rows."""
    problem = in_row_space(problem)
    stages = [problem]
    if is_small(problem):
        return stages
    for m in reversed(subsample_sizes(problem)):
        stages.insert(0, stages[0].subsample(m, rng))
    return stages


def in_row_space(problem: Problem) -> Problem:
    """Return the problem with n unknowns if X has at least twice as many columns as rows.

    The problem is returned unchanged if it has too many rows, if they are not in memory, if its
    penalty is not a multiple of ||w||^2, or if conjugate gradients need no basis.
    """
    samples = problem.samples
    if samples.n > min(samples.d // 2, MOST_ROWS_OF_BASIS) or can_use_newton_cg(problem):
        return problem
    ridge = problem.penalty.ridge
    found = samples.in_row_space() if ridge > 0 else None
    if found is None:
        return problem
    inside, basis = found
    penalty = DiagonalPenalty(np.full(inside.d, ridge))
    return Problem(inside, penalty, problem.intercept, coordinates=basis)


def subsample_sizes(problem: Problem) -> list[int]:
    """Return the numbers of rows of the stages before the last, in ascending order.

    The metric of m rows contracts the error by about k/m in each pass: the edges of the spectrum of
    a sample covariance are (1 +- sqrt(k/m))^2, which the rate of conjugate gradients turns into
    k/m. The best m balances the passes that it saves against the cost of its Gram matrix.
    """
    n, k = problem.samples.n, problem.columns.size
    if not problem.columns.all_single:
        return []
    fewest = max(_FEWEST_ROWS, 4 * k)
    if problem.samples.is_sparse and problem.gram_cost(n) <= _AFFORDABLE:
        m = max(n // 6, fewest)  # This only yields a start: a metric of all rows follows.
        return [m] if m <= n // 2 else []
    sizes = [m for m in (n // 2**i for i in range(1, 12)) if m >= fewest]
    if not sizes:
        return []
    cost = {}
    for m in sizes:
        # Besides its metric and the passes that follow, a subsample costs a few passes over itself.
        passes = _LOG_REDUCTION / np.log(m / k)
        cost[m] = 1.5 * problem.gram_cost(m) + passes + 3.0 * m / n
    large = min(sizes, key=lambda m: cost[m])
    small = max(large // 8, fewest)
    return [small, large] if small <= large // 2 else [large]


def can_afford_metric_of_all_rows(problem: Problem) -> bool:
    """Return whether a metric of all rows costs only a few passes."""
    return problem.gram_cost(problem.samples.n) <= _AFFORDABLE


class Renewal:
    """A rule that decides at every iterate whether to renew the metric, and from how many rows.

    For small data a metric of all rows is cheap, and every step gets a new one: this is Newton's
    method. Otherwise the metric is renewed if that can be expected to save more passes than it
    costs.

    Parameters
    ----------
    problem : Problem
    n_rows : int
        The number of rows from which the current metric was computed.
    tol : float
        The estimated relative suboptimality at which the run stops.
    rng : numpy.random.Generator
        The source of random subsamples.
    """

    def __init__(self, problem: Problem, n_rows: int, tol: float, rng: np.random.Generator) -> None:
        self.problem, self.n_rows, self.tol, self.rng = problem, n_rows, tol, rng
        n = problem.samples.n
        self.age = 0
        # The metric of all rows and all columns of a convex problem is its Hessian.
        self.is_newton = problem.convex and problem.columns.all_single
        self.is_cheap = (
            self.is_newton
            and problem.samples.size <= _SMALL
            and problem.gram_cost(n) <= _NEWTON_COST
        )

    def __call__(self, point: Point, convergence: Convergence) -> HessianMetric | None:
        """Return a new metric at the point, or None to keep the current one."""
        self.age += 1
        if self.age < (1 if self.is_cheap else 3) or convergence.contraction < 0.05:
            return None
        n, problem = self.problem.samples.n, self.problem
        rows = n if self.is_cheap else self._best_rows(point, convergence)
        if rows is None:
            return None
        self.n_rows, self.age = rows, 0
        if rows == n:
            return problem.metric(point)
        return problem.metric_of_subsample(problem.subsample(rows, self.rng).samples, point)

    def _best_rows(self, point: Point, convergence: Convergence) -> int | None:
        """Return how many rows a new metric should use, or None to keep the current metric."""
        n, m, now = self.problem.samples.n, self.n_rows, convergence.contraction
        target = self.tol * self.problem.magnitude(point.fun)
        log_reduction = np.log(max(convergence.gap / target, 2.0))
        best = 1e-3 if self.is_newton else 0.1
        if m == n:
            contraction = {n: best if self.is_newton else now}
        else:
            # The contraction falls in proportion to 1/rows; a newer point is assumed to halve it.
            base = 0.5 * m * min(now, 0.5)
            contraction = {rows: max(best, base / rows) for rows in (4 * m, n) if rows <= n}

        def passes(contraction: float) -> float:
            return log_reduction / -np.log(contraction)

        cost = {rows: self.problem.gram_cost(rows) + passes(r) for rows, r in contraction.items()}
        rows = min(cost, key=lambda rows: cost[rows])
        return None if cost[rows] + 1 >= passes(now) else rows
