"""Softmax models of few rows and columns, each minimised by one call of a compiled Newton method.

At this size the calls of NumPy would take longer than the arithmetic.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ...result import Progress, Status
from ..solver import kernels
from .families import Softmax
from .models import BlockResult
from .problem import BlockProblem

_MOST_UNKNOWNS = 150  # largest number of unknowns of a model
_MOST_PRODUCTS = 2_000_000  # largest number of products for a Hessian: about a millisecond


def is_small(problem: BlockProblem) -> bool:
    """Return whether the models are softmax models of few rows and columns in memory."""
    unknowns = problem.n_outputs * problem.width
    return (
        isinstance(problem.family, Softmax)
        and problem.rows.in_memory() is not None
        and unknowns <= _MOST_UNKNOWNS
        and problem.rows.n * unknowns**2 <= 2 * _MOST_PRODUCTS
    )


def solve_small(
    problem: BlockProblem, theta: np.ndarray, tol: float, max_iter: int
) -> BlockResult | None:
    """Minimise each model by Newton's method; return None if a loss or a Hessian is not finite.

    Parameters
    ----------
    problem : BlockProblem
    theta : ndarray, shape (B, k, p)
        The start.
    tol : float
    max_iter : int
    """
    clock, models, family = time.perf_counter(), problem.models, problem.family
    rows: Any = problem.rows.in_memory()
    Z = np.ascontiguousarray(rows.centred_array(problem.intercept).T)
    theta = np.ascontiguousarray(family.project(theta))
    B = len(models)
    fun, gap, n_iter = np.empty(B), np.empty(B), np.zeros(B, int)
    status, traces = [], []
    rounding = problem.magnitude(np.zeros(1))[0]
    for b in range(B):
        s = rows.weights[models.split[b]]
        used: Any = slice(None) if s.all() else np.flatnonzero(s)
        funs, decrements = np.empty((2, max_iter + 1))
        n_iter[b], converged, gap[b] = kernels.minimise_small_softmax(
            Z[:, used], rows.codes[used], s[used], problem.ridge(np.array([b]))[0], theta[b], tol,
            rounding, funs, decrements,
        )  # fmt: skip
        last = n_iter[b]
        fun[b] = funs[last]
        if not np.isfinite(gap[b]) or not np.isfinite(fun[b]):
            return None
        ended = Status.max_iter if last == max_iter else Status.stalled
        if decrements[last] <= 1e-11 * abs(fun[b]):
            ended = Status.rounding
        status.append(Status.converged if converged else ended)
        traces.append((funs[: last + 1], decrements[: last + 1]))
    theta = family.project(theta)
    seconds = time.perf_counter() - clock
    return BlockResult(
        theta, fun, gap / problem.magnitude(fun), n_iter, status,
        _progress(traces, theta, seconds), float(n_iter.mean() + 1),
    )  # fmt: skip


def _progress(
    traces: list[tuple[np.ndarray, np.ndarray]], theta: np.ndarray, seconds: float
) -> list[Progress]:
    """Return one row for each iteration; the times are shares of the whole."""
    count = max(len(funs) for funs, _ in traces)
    rows = []
    for i in range(count):
        at = [
            (funs[min(i, len(funs) - 1)], steps[min(i, len(steps) - 1)]) for funs, steps in traces
        ]
        fun, decrement = np.mean([f for f, _ in at]), max(step for _, step in at)
        rows.append(
            Progress(
                iteration=i,
                x=theta.ravel(),
                fun=float(fun),
                grad_norm=float(np.sqrt(2.0 * max(decrement, 0.0))),
                length=float("nan"),
                direction_gap=float("nan"),
                passes=i + 1,
                seconds=seconds * (i + 1) / count,
            )
        )
    return rows
