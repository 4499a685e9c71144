"""One binary problem for each class, with the data and the preparations shared between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..design import Design
from ..losses import MarginLoss
from ..methods import loop
from ..methods.halfspace import Halfspace
from ..methods.table import find_method
from ..result import Progress, Result, Separation, Status, Trace
from ..validation import plus_minus_one
from .block.families import Margins
from .block.models import Models
from .block.problem import BlockProblem
from .block.problem import NotFinite as BlockNotFinite
from .block.rows import BlockRows
from .block.solve import is_wide, solve_block
from .least_norm import LeastNorm
from .solver import whitened
from .solver.penalty import DiagonalPenalty
from .solver.problem import NotFinite, Problem
from .solver.samples import Samples
from .solver.stages import make_stages
from .solver.weighted_rows import WeightedRows
from .unpenalised import settle, with_separation

Callback = Callable[[Progress], None]


@dataclass(frozen=True)
class ClassRun:
    """The settings of the run for one class.

    Attributes
    ----------
    start : ndarray, shape (d,) or (d + 1,), or None
        The weights, and the intercept if there is one, for features minus their centre.
    callback : callable or None
        A function that is called with a `Progress` at every iterate.
    """

    start: np.ndarray | None
    callback: Callback | None


def solve_whitened(
    samples: WeightedRows[Any],
    alpha: float,
    runs: Sequence[ClassRun],
    *,
    centre: np.ndarray,
    intercept: bool,
    tol: float,
    max_iter: int,
    n_restarts: int,
    rng: np.random.Generator,
    who: str,
) -> list[Result]:
    """Solve one problem for each run by the method "whitened"; all share subsamples and moments.

    Parameters
    ----------
    samples : Samples or DaskSamples
        The rows. Their labels are -1 and +1 if there is one run, and 0, 1, ..., K - 1 if there are
        K runs.
    alpha : float
        The l2 penalty; the weights of the samples sum to 1.
    runs : sequence of ClassRun
    centre : ndarray, shape (d,)
        The centre of the features as they were given.
    intercept : bool
    tol, max_iter, n_restarts, rng
        As for `whitened.run`.
    who : str
        The name of the caller, for error messages.

    Returns
    -------
    list of Result
        The result of each run. No run follows one that was interrupted.
    """
    together = _solve_together(
        samples, alpha, runs, intercept=intercept, tol=tol, max_iter=max_iter, rng=rng, who=who
    )
    if together is not None:
        return together
    penalty = DiagonalPenalty(np.full(samples.d, alpha))
    stages = make_stages(Problem(samples, penalty, intercept), rng)
    least_norm = LeastNorm(stages[-1].samples, intercept)
    results: list[Result] = []
    for k, run in enumerate(runs):
        binary = stages if len(runs) == 1 else [stage.one_against_rest(k) for stage in stages]
        try:
            result = whitened.run(binary, run.start, tol, max_iter, rng, run.callback, n_restarts)
        except NotFinite:
            samples.raise_not_finite(who)
            raise
        if penalty.is_zero:
            rows = samples if len(runs) == 1 else samples.one_against_rest(k)
            result = settle(result, rows, binary[-1], least_norm, centre, rng)
        results.append(result)
        if result.status is Status.interrupted:
            break
    return results


def _solve_together(
    samples: WeightedRows[Any],
    alpha: float,
    runs: Sequence[ClassRun],
    *,
    intercept: bool,
    tol: float,
    max_iter: int,
    rng: np.random.Generator,
    who: str,
) -> list[Result] | None:
    """Solve the problems of several classes as one block, if X is wide for its rows.

    The reads of such an X are most of the work, and the block shares them. The trace of each result
    is that of the block, whose time and passes are divided among the classes. The result is None
    where one class after the other is faster, or if each of them is observed.
    """
    K = len(runs)
    if K == 1 or alpha == 0 or any(run.callback is not None for run in runs):
        return None
    if not isinstance(samples, Samples) or not samples.loss.is_convex:
        return None
    rows = BlockRows(samples.matrix, samples.y, samples.weight)
    models = Models.of(np.full(K, alpha), 0, np.arange(K))
    problem = BlockProblem(rows, Margins(samples.loss), models, intercept)
    if not is_wide(problem):
        return None
    starts = [run.start for run in runs if run.start is not None]
    try:
        found = solve_block(
            rows, problem.family, models, intercept=intercept, tol=tol, max_iter=max_iter, rng=rng,
            start=np.array(starts)[:, None] if len(starts) == K else None,
        )  # fmt: skip
    except BlockNotFinite:
        samples.raise_not_finite(who)
        raise
    n_passes = round(found.passes)
    results = []
    for k in range(K):
        result = Result.from_rows(
            found.rows, status=found.status[k], method="whitened", gap=float(found.gap[k])
        )
        trace = replace(
            result.trace, seconds=result.trace.seconds / K, passes=result.trace.passes / K
        )
        results.append(
            replace(
                result, x=found.theta[k, 0], fun=float(found.fun[k]), trace=trace,
                n_iter=int(found.n_iter[k]), n_passes=n_passes // K + (k < n_passes % K),
            )
        )  # fmt: skip
    return results


def solve_by_method(
    design: Design,
    codes: np.ndarray,
    loss: MarginLoss,
    alpha: float,
    runs: Sequence[ClassRun],
    *,
    method: str,
    tol: float,
    max_iter: int,
) -> list[Result]:
    """Solve one problem for each run by a method of the paper; all share the design.

    Parameters
    ----------
    design : Design
        The data, with an intercept.
    codes : ndarray of int, shape (n,)
        The index of each row's class.
    loss : MarginLoss
    alpha : float
        The l2 penalty; the weights of the samples sum to 1.
    runs : sequence of ClassRun
        One run for two classes, of which the second is the positive one; or one for each class.
    method : str
        The name of the method.
    tol, max_iter
        As for `minimize`.

    Returns
    -------
    list of Result
        The result of each run. No run follows one that was interrupted.
    """
    positive = [1] if len(runs) == 1 else range(len(runs))
    results = []
    for k, run in zip(positive, runs, strict=True):
        labels = plus_minus_one(codes == k)
        objective = Halfspace(design, labels, loss, l2_penalty=alpha, intercept=True)
        result = loop.run(
            objective, find_method(method), run.start,
            max_iter=max_iter, tol=tol, callback=run.callback,
        )  # fmt: skip
        if alpha == 0:
            weight = np.ones(len(labels)) if design.weights is None else design.weights
            rows = Samples.from_arrays(design.X, labels, weight, design.mean, loss)
            result = with_separation(result, rows, True, design.mean, np.random.default_rng(0))
        results.append(result)
        if results[-1].status is Status.interrupted:
            break
    return results


def join_results(results: Sequence[Result]) -> Result:
    """Describe the runs of several classes by one result.

    Its ``x`` has one row for each class, ``fun`` is the mean over classes, ``length`` the root mean
    square, ``gap``, ``grad_norm`` and ``n_iter`` are the largest values, ``n_passes`` is the sum,
    and ``status`` is the worst one. A row of the trace joins the same iteration of all classes in
    this way; a class that has ended stays where it is.
    """
    if len(results) == 1:
        return results[0]
    order = list(Status)
    worst = max(results, key=lambda result: (not result.success, order.index(result.status)))
    n_rows = max(len(result.trace) for result in results)
    columns = {name: _lengthened(results, name, n_rows) for name in Trace.__annotations__}
    trace = Trace(
        iteration=np.arange(n_rows),
        seconds=columns["seconds"].sum(axis=0),
        passes=columns["passes"].sum(axis=0).astype(int),
        fun=columns["fun"].mean(axis=0),
        grad_norm=columns["grad_norm"].max(axis=0),
        length=np.sqrt(np.square(columns["length"]).mean(axis=0)),
        direction_gap=columns["direction_gap"].max(axis=0),
    )
    return Result(
        x=np.array([result.x for result in results]),
        length=float(trace.length[-1]),
        fun=float(trace.fun[-1]),
        grad_norm=float(trace.grad_norm[-1]),
        n_iter=max(result.n_iter for result in results),
        n_passes=sum(result.n_passes for result in results),
        status=worst.status,
        trace=trace,
        method=worst.method,
        separation=_join_separations(results),
        gap=max((result.gap for result in results if not np.isnan(result.gap)), default=np.nan),
    )


def _join_separations(results: Sequence[Result]) -> Separation | None:
    """Return one row for each class, which is zero if nothing separates it from the others."""
    found = [result.separation for result in results if result.separation is not None]
    if not found:
        return None
    zero = np.zeros_like(found[0].direction[0])
    rows = [zero if r.separation is None else r.separation.direction[0] for r in results]
    features = dict.fromkeys(int(j) for separation in found for j in separation.features)
    return Separation(np.array(rows), np.array([*features]))


def _lengthened(results: Sequence[Result], name: str, n_rows: int) -> np.ndarray:
    """Return a column of each trace, its last value repeated, shape (classes, n_rows)."""
    out = np.empty((len(results), n_rows))
    for row, result in zip(out, results, strict=True):
        column = getattr(result.trace, name)
        row[: len(column)] = column
        row[len(column) :] = column[-1]
    return out
