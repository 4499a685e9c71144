"""`solve_block`: the minima of all models of a block."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ...result import Progress, Status, add_row
from ..solver.newton_cg import FEW_ROWS
from ..solver.row_space import RowSpace
from ..solver.stages import MOST_ROWS_OF_BASIS
from .data import BlockData
from .descent import Newton, State, descend_block
from .families import Family
from .metrics import diagonal_metrics, first_metrics
from .models import BlockResult, Models
from .orthogonal_newton import iterations_before, rescue
from .problem import BlockProblem, NotFinite
from .renewal import BlockRenewal, can_be_full
from .small import is_small, solve_small

_MANY_COLUMNS = 256  # smallest number of columns of a dense X that counts as wide,
_FEW_DENSE_ROWS = 4  # and the number of rows for each column below which it does
_SUBSAMPLE = 2_000  # smallest number of rows of a subsample


class BlockLog:
    """The record of a run: one row for each iteration of the block."""

    def __init__(
        self, problem: BlockProblem, callback: Callable[[Progress], Any] | None = None
    ) -> None:
        self.problem, self.callback = problem, callback
        self.rows: list[Progress] = []
        self.state: State | None = None
        self.clock = time.perf_counter()

    def __call__(self, state: State) -> None:
        """Record the current points, and pass them to the callback."""
        self.state = state
        row = Progress(
            iteration=len(self.rows),
            x=state.theta.ravel().copy(),
            fun=float(state.fun.mean()),
            grad_norm=float(np.sqrt(2.0 * max(float(state.decrement.max()), 0.0))),
            length=float(np.nan),
            direction_gap=np.nan,
            passes=round(self.problem.passes),
            seconds=time.perf_counter() - self.clock,
        )
        add_row(self.rows, row)
        if self.callback is not None:
            self.callback(row)


def solve_block(
    rows: BlockData,
    family: Family,
    models: Models,
    *,
    intercept: bool,
    tol: float,
    max_iter: int,
    rng: np.random.Generator,
    start: np.ndarray | None = None,
    callback: Callable[[Progress], Any] | None = None,
) -> BlockResult:
    """Minimise the objective of every model of a block.

    Parameters
    ----------
    rows : BlockData
        The data, with the row weights of each split.
    family : Family
        `Softmax` or `Margins`.
    models : Models
    intercept : bool
        Whether the models have intercepts, which are not penalised.
    tol : float
        The estimated relative suboptimality at which a model leaves the block.
    max_iter : int
        The largest number of iterations on all rows.
    rng : numpy.random.Generator
        The source of random subsamples.
    start : ndarray, shape (B, k, d + intercept), optional
        The points from which the models start on all rows.
    callback : callable, optional
        A function that is called with a `Progress` at every iteration on all rows.

    Returns
    -------
    BlockResult
        The result of each model. If the run is interrupted, the models that had not ended have the
        status ``interrupted``.

    Raises
    ------
    NotFinite
        If a loss is not finite at the start; `BlockData.raise_not_finite` says why.
    KeyboardInterrupt
        If the run is interrupted before its first iterate on all rows.
    """
    inside = _in_row_space(rows, models)
    if inside is not None:
        rows, basis = inside
        start = None if start is None else _mapped(basis.enter, start)
        result = solve_block(
            rows, family, models, intercept=intercept, tol=tol, max_iter=max_iter, rng=rng,
            start=start, callback=callback,
        )  # fmt: skip
        return replace(result, theta=_mapped(basis.leave, result.theta))
    problem = BlockProblem(rows, family, models, intercept)
    if callback is None and is_small(problem):
        first = first_theta(problem) if start is None else start
        small = solve_small(problem, first, tol, iterations_before(problem, max_iter))
        if small is not None:
            return rescue(problem, small, tol, max_iter)
    log = BlockLog(problem, callback)
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            state = _solve(problem, start, tol, iterations_before(problem, max_iter), rng, log)
    except (KeyboardInterrupt, StopIteration):
        if log.state is None:
            raise KeyboardInterrupt from None
        state = log.state
        state.status = [Status.interrupted if s is Status.max_iter else s for s in state.status]
    gap = state.gap / problem.magnitude(state.fun)
    theta = family.project(state.theta)
    found = BlockResult(theta, state.fun, gap, state.n_iter, state.status, log.rows, problem.passes)
    return rescue(problem, found, tol, max_iter, callback)


def _in_row_space(rows: BlockData, models: Models) -> tuple[BlockData, RowSpace] | None:
    """Return the rows in n coordinates if X has at least twice as many columns as rows."""
    memory = rows.in_memory()
    if memory is None or rows.n > min(rows.d // 2, MOST_ROWS_OF_BASIS) or not models.alpha.all():
        return None
    found: tuple[BlockData, RowSpace] | None = memory.in_row_space()
    return found


def _mapped(change: Callable[[np.ndarray], np.ndarray], theta: np.ndarray) -> np.ndarray:
    """Apply a change of coordinates to each weight vector of each model."""
    return np.array([[change(row) for row in model] for model in theta])


def is_wide(problem: BlockProblem) -> bool:
    """Return whether X has so many columns for its rows that no affordable metric serves well."""
    rows = problem.rows
    if rows.is_sparse:
        return not problem.columns.all_single and rows.n < FEW_ROWS * rows.d
    return rows.d >= _MANY_COLUMNS and rows.n < _FEW_DENSE_ROWS * rows.d


def first_theta(problem: BlockProblem) -> np.ndarray:
    """Return weights of zero, and the intercepts that fit the class frequencies."""
    theta = np.zeros((len(problem.models), problem.n_outputs, problem.width))
    if problem.intercept:
        theta[:, :, -1] = problem.family.first_scores(problem.rows.totals, problem.models)
    return theta


def _solve(
    problem: BlockProblem,
    start: np.ndarray | None,
    tol: float,
    max_iter: int,
    rng: np.random.Generator,
    log: BlockLog,
) -> State:
    """Minimise on a subsample, and then on all rows."""
    rows = problem.rows
    smallest = max(_SUBSAMPLE, 4 * rows.d)
    sizes = [m for m in (rows.n // 32, rows.n // 4) if m >= smallest]
    stages = [problem]
    if start is None and sizes:
        stages.insert(0, problem.subsample(sizes[0], rng))
    newton: Newton = "always" if is_wide(problem) else "slow"
    # All of a small Hessian is affordable if the rows are in memory. Without a penalty it may be
    # nearly singular, and then it takes many products.
    if can_be_full(problem) and (rows.in_memory() is not None or not problem.models.alpha.all()):
        newton = "never"
    first = diagonal_metrics if newton == "always" else first_metrics
    theta = start
    metric, choice = None, None
    if theta is None:
        theta = first_theta(problem)
        metric = first(stages[0], theta)
    for stage in stages[:-1]:
        assert metric is not None
        # The error of the optimum on m rows is itself about parameters/m.
        accuracy = 0.05 * stage.columns.size / stage.rows.n
        absolute = accuracy * max(problem.n_outputs - 1, 1)
        state = State(stage, theta)
        renew = BlockRenewal(stage, choice, accuracy, rng)
        descend_block(
            stage, state, metric, accuracy, 30, absolute=absolute, newton=newton, renew=renew
        )
        theta = state.theta
    state = State(problem, theta)
    if not (np.isfinite(state.fun).all() and np.isfinite(state.gradient).all()):
        raise NotFinite
    if metric is None:
        metric = first(problem, theta)
    renew = BlockRenewal(problem, choice, tol, rng)
    descend_block(problem, state, metric, tol, max_iter, newton=newton, observe=log, renew=renew)
    return state
