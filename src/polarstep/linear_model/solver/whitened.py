"""The method "whitened": a subsampled, preconditioned quasi-Newton method started on a line.

The method minimises f(w, b) = sum s phi(-y ((x - centre)^T w + b)) + penalty(w) for a smooth margin
loss phi. It needs no scaling of the features and no step size, and it reads the data a handful of
times. It has three stages:

1. *The line.* If the features of each class are Gaussian, every critical point of f lies on the
   line S^-1 u, where u = -E[y x] and S = E[x x^T], and only a length remains to be found. Other
   data are close enough to this for a good start: a few thousand rows yield the direction, and
   Newton's method finds the length and the intercept from margins that are computed once.
2. *Subsamples.* L-BFGS minimises f on subsamples of growing size, up to about a twentieth of the
   rows (a single one of a sixth of the rows if the data are sparse), as accurately as the subsample
   determines the optimum. The metric, which is the first approximation of the Hessian, is the
   Hessian of the subsample: a weighted Gram matrix.
3. *All rows.* The weights of rare columns are fitted one at a time. Then L-BFGS continues in the
   metric of the last subsample, with one read of X in each step. If it converges slowly, the metric
   is replaced by one of more rows, provided that this is expected to save time.

The relative difference between the Hessian of m rows and that of all rows is about sqrt(d/m),
whatever the condition number of the data, so that each read of X reduces the error by a factor of
about m/d. Most of the speed comes from this.

Sparse data with many columns, such as text, have no metric that is both cheap and close to the
Hessian. If there are also few rows, or if the steps of L-BFGS turn out to be poor, truncated Newton
steps by conjugate gradients take the place of all stages, provided that the loss is convex and the
weights are penalised; see `newton_cg`.

Dense data with only a few times as many rows as columns make a Gram matrix as expensive as hundreds
of passes. If their columns are nearly uncorrelated, L-BFGS runs in a diagonal metric instead; see
`diagonal_descent`.

For few rows and columns, Newton's method as one compiled function replaces all of this, if the loss
is convex and no callback is given; see `small`.

The method stops when (f - f*)/(|f| + 1e-14 f(0)) is estimated to be at most tol. The estimate is
designed to overestimate; it is not a guaranteed bound.

References
----------
- Kohler et al., "Exponential convergence rates for batch normalization: The power of
  length-direction decoupling in non-convex optimization", AISTATS 2019. The line S^-1 u.
- Erdogdu, Bayati and Dicker, "Scaled least squares estimator for GLMs in large-scale problems",
  NeurIPS 2016. The same line as an estimator.
- Erdogdu and Montanari, "Convergence rates of sub-sampled Newton methods", NeurIPS 2015;
  Roosta-Khorasani and Mahoney, "Sub-sampled Newton methods", Mathematical Programming 2019. The
  Hessian of a subsample.
- Dembo, Eisenstat and Steihaug, "Inexact Newton methods", SIAM Journal on Numerical Analysis 1982.
- Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical
  Programming 1989.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...losses import margin_loss
from ...result import Progress, Result, Status, add_row
from .confirmation import descend_until_confirmed
from .diagonal_descent import (
    descend_in_diagonal_metric,
    start_in_diagonal_metric,
    suits_diagonal_metric,
)
from .lbfgs import Convergence, descend
from .metric import ENOUGH_ROWS
from .newton_cg import PoorMetric, can_use_newton_cg, descend_by_newton_cg, has_few_rows
from .problem import Point, Problem, require_finite
from .small import is_small, solve_small
from .stages import Renewal, can_afford_metric_of_all_rows
from .start import start_on_line


def solve(
    stages: list[Problem],
    theta: np.ndarray | None,
    tol: float,
    max_iter: int,
    rng: np.random.Generator,
    observe: Callable[[Point, Convergence], None] | None = None,
) -> tuple[Point, Status]:
    """Minimise f stage by stage.

    Parameters
    ----------
    stages : list of Problem
        The problem on subsamples and, last, on all rows, as `make_stages` returns them.
    theta : ndarray or None
        The start on all rows. By default the solver starts on the line S^-1 u and goes through
        the subsamples.
    tol : float
        The estimated relative suboptimality at which the run stops.
    max_iter : int
        The largest number of iterations on all rows.
    rng : numpy.random.Generator
        The source of random subsamples.
    observe : callable, optional
        A function that is called with every iterate on all rows.

    Returns
    -------
    point : Point
        The last iterate.
    status : Status
        How the iteration on all rows ended.
    """
    *subsamples, problem = stages
    can_change = can_use_newton_cg(problem)
    if can_change and has_few_rows(problem):
        zero = np.zeros(problem.samples.d + problem.intercept)
        point = require_finite(problem.evaluate(zero if theta is None else theta))
        return descend_by_newton_cg(problem, point, tol, max_iter, observe=observe)
    if theta is None and suits_diagonal_metric(problem):
        found = start_in_diagonal_metric(problem)
        if found is not None:
            return descend_in_diagonal_metric(problem, *found, tol, max_iter, rng, observe)
    metric = None
    if theta is None:
        theta, metric = start_on_line(stages[0])
        for stage in subsamples:
            # The error of the optimum on m rows is itself about k/m in units of f.
            accuracy = 0.05 * stage.columns.size / stage.samples.n
            renewal = Renewal(stage, stage.samples.n, accuracy, rng)
            start = stage.evaluate(theta)
            point, _ = descend(stage, start, metric, accuracy, 30, renew_metric=renewal)
            theta = point.theta
    if not subsamples:
        point, n_rows = require_finite(problem.evaluate(theta)), problem.samples.n
        # With many columns the metric is little more than the diagonal of the Hessian, which S
        # approximates as well.
        if metric is None or problem.columns.all_single:
            metric = problem.metric(point)
    else:
        point = require_finite(problem.evaluate_with_rare_columns_fitted(theta))
        subsample = subsamples[-1].samples
        has_rare_columns = subsample.effective_rows().min() < ENOUGH_ROWS
        # The correlations of rare columns can only be estimated from all rows.
        if has_rare_columns and can_afford_metric_of_all_rows(problem):
            metric, n_rows = problem.metric(point), problem.samples.n
        else:
            metric, n_rows = problem.metric_of_subsample(subsample, point), subsample.n
    renewal, leave = Renewal(problem, n_rows, tol, rng), PoorMetric()
    point, status = descend_until_confirmed(
        problem, point, metric, tol, max_iter,
        observe=observe, renew_metric=renewal, leave=leave if can_change else None,
    )  # fmt: skip
    if status is not None:
        return point, status
    return descend_by_newton_cg(problem, point, tol, max_iter - leave.n_iter, observe=observe)


@dataclass
class Log:
    """The record of a run: a row of the trace for every iterate, and the result at the end."""

    problem: Problem
    callback: Callable[[Progress], Any] | None = None
    rows: list[Progress] = field(default_factory=list)
    gap: float = np.nan
    clock: float = field(default_factory=time.perf_counter)

    def __call__(self, point: Point, convergence: Convergence) -> None:
        """Record an iterate and pass it to the callback."""
        self.gap = convergence.gap / self.problem.magnitude(point.fun)
        row = Progress(
            iteration=len(self.rows),
            x=self.problem.coordinates.leave(point.theta),
            fun=point.fun,
            grad_norm=float(np.sqrt(2.0 * max(convergence.decrements[-1], 0.0))),
            length=point.length,
            direction_gap=np.nan,
            passes=round(self.problem.passes),
            seconds=time.perf_counter() - self.clock,
        )
        add_row(self.rows, row)
        if self.callback is not None:
            self.callback(row)

    def result(self, status: Status) -> Result:
        """Return the rows as a result."""
        return Result.from_rows(self.rows, status=status, method="whitened", gap=self.gap)


def run(
    stages: list[Problem],
    theta: np.ndarray | None,
    tol: float,
    max_iter: int,
    rng: np.random.Generator,
    callback: Callable[[Progress], Any] | None = None,
    n_restarts: int = 0,
) -> Result:
    """Minimise f, with a trace and with restarts if the loss is not convex.

    Parameters
    ----------
    stages : list of Problem
        The problem on subsamples and, last, on all rows, as `make_stages` returns them.
    theta : ndarray or None
        The start on all rows, as weights of the columns of X and an intercept. By default the
        solver starts on the line S^-1 u.
    tol : float
        The estimated relative suboptimality at which the run stops.
    max_iter : int
        The largest number of iterations on all rows in each run.
    rng : numpy.random.Generator
        The source of subsamples and of random starts.
    callback : callable, optional
        A function that is called with a `Progress` for every iterate on all rows.
    n_restarts : int, default=0
        The number of further runs if the loss is not convex. The first one starts at the
        optimum of softplus. The others have random directions, and lengths between 1 and 10 in
        units of the root mean square of the margins.

    Returns
    -------
    Result
        The lowest result of all runs. If a run is interrupted, no more runs follow, and the last
        iterate of the interrupted run counts as its result.

    Raises
    ------
    KeyboardInterrupt
        If a run is interrupted before its first iterate on all rows.
    """
    problem = stages[-1]
    best = _run_once(stages, theta, tol, max_iter, rng, callback)
    if problem.convex or not n_restarts:
        return best
    samples = problem.samples
    moments = samples.squares(samples.weight)
    unit = np.divide(1.0, np.sqrt(moments), out=np.zeros(samples.d), where=moments > 0)
    for k in range(n_restarts):
        if best.status is Status.interrupted:
            break
        if k == 0:
            convex = [stage.with_loss(margin_loss("softplus")) for stage in stages]
            start = solve(convex, None, 1e-3, max_iter, rng)[0].theta
        else:
            start = _random_start(problem, unit, rng)
        result = _run_once(stages, problem.coordinates.leave(start), tol, max_iter, rng, callback)
        best = result if result.fun < best.fun else best
        if result.status is Status.interrupted:
            best = replace(best, status=result.status)
    return best


def _run_once(
    stages: list[Problem],
    theta: np.ndarray | None,
    tol: float,
    max_iter: int,
    rng: np.random.Generator,
    callback: Callable[[Progress], Any] | None,
) -> Result:
    """Run `solve` with a trace; if it is interrupted, return the last iterate.

    Without a callback, small problems are solved by one call of a compiled function.
    """
    if callback is None and is_small(stages[-1]):
        result = solve_small(stages[-1], theta, tol, max_iter)
        if result is not None:
            return result
    log = Log(stages[-1], callback)
    theta = None if theta is None else stages[-1].coordinates.enter(theta)
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            _, status = solve(stages, theta, tol, max_iter, rng, log)
    except (KeyboardInterrupt, StopIteration):
        if not log.rows:
            raise KeyboardInterrupt from None
        status = Status.interrupted
    return log.result(status)


def _random_start(problem: Problem, unit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a start of random direction, in the given units, and random length of its margins."""
    w = unit * rng.standard_normal(len(unit))
    length = problem.evaluate(problem.join(w, 0.0)).length
    w *= 10.0 ** rng.random() / max(length, 1e-300)
    return problem.join(w, 0.0)
