"""Newton's method for few rows and columns, as one call of a compiled function.

At this size the calls of NumPy take longer than the arithmetic. The steps, the estimate of the
suboptimality and the statuses are those of `lbfgs` with a new metric of all rows at every step.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ...result import Progress, Result, Status
from . import kernels
from .problem import NotFinite, Problem
from .samples import Samples

_MOST_VALUES = 100_000  # largest number of values of X, which becomes dense if it is sparse
_MOST_PRODUCTS = 3_000_000  # largest number of products for a Hessian and its factorization
_MOST_STEPS = 200  # largest number of steps; a run that needs more is made by other methods
_PASSES = 3  # reads of X in a step: for the gradient, the Hessian, and the change of the margins


def is_small(problem: Problem) -> bool:
    """Return whether the problem is convex, has few rows in memory and a compiled loss."""
    samples, d = problem.samples, problem.samples.d
    return (
        isinstance(samples, Samples)
        and samples.n * d <= _MOST_VALUES
        and samples.n * d**2 + d**3 <= _MOST_PRODUCTS
        and samples.loss.kernel is not None
        and problem.convex
        and problem.penalty.is_separable
    )


def solve_small(
    problem: Problem, theta: np.ndarray | None, tol: float, max_iter: int
) -> Result | None:
    """Minimise f by Newton's method.

    Parameters
    ----------
    problem : Problem
        A problem for which `is_small` is true.
    theta : ndarray or None
        The start, as weights of the columns of X and an intercept; by default zero.
    tol : float
        The estimated relative suboptimality at which the run stops.
    max_iter : int
        The largest number of steps.

    Returns
    -------
    Result or None
        The result, in whose trace the times are equal shares of the whole; None if the run needs
        more steps than are worth compiling for.

    Raises
    ------
    NotFinite
        If f is not finite at the start.
    """
    clock = time.perf_counter()
    samples: Any = problem.samples
    d, intercept = samples.d, problem.intercept
    Z = np.empty((d + intercept, samples.n))
    X = samples.X.toarray() if samples.is_sparse else samples.X
    with np.errstate(over="ignore", invalid="ignore"):  # the kernel reports what is not finite
        np.subtract(X.T, samples.centre[:, None], out=Z[:d])
    Z[d:] = 1.0
    alpha = np.append(problem.penalty.diagonal, np.zeros(int(intercept)))
    most = min(max_iter, _MOST_STEPS)
    iterates, trace = np.zeros((most + 1, d + intercept)), np.empty((most + 1, 3))
    if theta is not None:
        iterates[0] = problem.coordinates.enter(theta)
    kernel: Any = samples.loss.kernel
    last, ended, gap = kernels.minimise_small_margins(
        Z, samples.y, samples.weight, alpha, intercept, *kernel, samples.least_curvature, tol,
        problem.magnitude(0.0), iterates, trace,
    )  # fmt: skip
    if ended == 3 and last == 0:
        raise NotFinite
    if ended == 3 or (ended == 1 and most < max_iter):
        return None
    fun, decrement, _ = trace[last]
    status = (Status.converged, Status.max_iter, Status.stalled)[ended]
    if status is Status.stalled and decrement <= 1e-11 * abs(fun):
        status = Status.rounding
    seconds = (time.perf_counter() - clock) / (last + 1)
    problem.passes += _PASSES * (last + 1)
    rows = [
        Progress(
            iteration=k,
            x=problem.coordinates.leave(iterates[k]),
            fun=float(value),
            grad_norm=float(np.sqrt(2.0 * max(step, 0.0))),
            length=float(length),
            direction_gap=np.nan,
            passes=_PASSES * (k + 1),
            seconds=seconds * (k + 1),
        )
        for k, (value, step, length) in enumerate(trace[: last + 1])
    ]
    return Result.from_rows(
        rows, status=status, method="whitened", gap=gap / problem.magnitude(float(fun))
    )
