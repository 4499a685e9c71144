"""The loop that drives every method of the paper."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..moments import Moments
from ..result import Progress, Result, Status, add_row
from ..validation import complaint, vector
from .cap import cap_length, project_to_ball
from .iterate import Iterate, Stopped
from .objective import Objective, Ray
from .plateau import is_on_plateau
from .table import Method


def run(
    objective: Objective,
    method: Method,
    w0: Any = None,
    *,
    max_iter: int = 200,
    tol: float = 1e-8,
    callback: Callable[[Progress], Any] | None = None,
    options: dict[str, Any] | None = None,
) -> Result:
    """Minimise an objective by a method of the table.

    `polarstep.minimize` checks its arguments and calls this function.

    Parameters
    ----------
    objective : Objective
        The objective f(wt).
    method : Method
        The parameterization and the two rules.
    w0 : array-like, shape (d,), optional
        The start, as for `polarstep.minimize`.
    max_iter : int, default 200
        The largest number of steps.
    tol : float, default 1e-8
        The run converges when ||grad f(wt)||_{S^-1} <= tol.
    callback : callable, optional
        A function that is called with a `Progress` at every iterate. It may raise StopIteration.
    options : dict, optional
        The options of the two rules, and the initial `length`.

    Returns
    -------
    Result
        The result; its status tells how the run ended.

    Raises
    ------
    ValueError, TypeError
        If the start or an option is not valid. They are checked before the run starts.
    """
    direction_rule, length_rule, length = method.rules(objective, options or {})
    w = _start(objective.moments, method, w0)
    if not method.has_length:
        w = project_to_ball(objective.moments, w, objective.max_length)

    def start_length(ray: Ray) -> float:
        return cap_length(objective, ray, length) if method.has_length else 1.0

    rows: list[Progress] = []
    it: Iterate | None = None
    status = Status.max_iter
    passes_before = objective.n_passes
    seconds, clock = 0.0, time.perf_counter()
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            new = _evaluate(objective, method, w, start_length)
            while True:
                seconds += time.perf_counter() - clock
                passes = objective.n_passes - passes_before
                row = _measure(objective.moments, new, len(rows), passes, seconds)
                finite = np.isfinite([row.fun, row.grad_norm, row.length]).all()
                if finite or it is None:
                    it = new
                    add_row(rows, row)
                if not finite:
                    status = Status.diverged
                    break
                if callback is not None:
                    callback(row)
                if row.grad_norm <= tol:
                    status = Status.length_capped if it.at_cap else Status.converged
                    if status is Status.converged and is_on_plateau(it, tol):
                        status = Status.plateau
                    break
                if row.iteration == max_iter:
                    break
                clock = time.perf_counter()
                w = direction_rule(it)
                new = _evaluate(objective, method, w, partial(length_rule, it))
    except Stopped as stop:
        status = stop.status
    except (KeyboardInterrupt, StopIteration):
        status = Status.interrupted
    if it is None:  # the run was interrupted before it had an iterate
        raise KeyboardInterrupt
    passes = objective.n_passes - passes_before
    return Result.from_rows(rows, status=status, method=method.name, n_passes=passes)


def _start(moments: Moments, method: Method, w0: Any) -> np.ndarray:
    """Return the vector w to start from, projected onto the range of S."""
    if w0 is None:
        if moments.u.any():
            return -moments.u / moments.norm(moments.u)
        # No feature is correlated with the label: wt = 0 is critical, and any direction will do.
        return moments.eigen[1][:, -1] if method.has_length else np.zeros_like(moments.u)
    w = moments.project(vector(w0, "minimize", "w0", length=len(moments.u)))
    if method.has_length:
        length = moments.norm(w)
        if not 0 < length * length < np.inf:
            must = "have a direction and an S-norm whose square is finite and not zero"
            got = f"a vector of S-norm {length:g}"
            advice = f"{method.name} starts from a direction; leave w0 out to start from -u."
            raise ValueError(complaint("minimize", "w0", must, got, advice))
    return w


def _evaluate(
    objective: Objective, method: Method, w: np.ndarray, choose_length: Callable[[Ray], float]
) -> Iterate:
    """Return the iterate with the direction of w; this costs two passes over the data."""
    ray = objective.ray(method.parameterization.unit(objective.moments, w))
    g = float(choose_length(ray))
    gradient = ray.gradient(g)
    on_sphere = abs(g) * np.sqrt(ray.squared) >= objective.max_length * (1 - 1e-12)
    falls_outwards = g * (ray.v @ gradient) < 0
    return Iterate(w, g, ray, gradient, at_cap=bool(on_sphere and falls_outwards))


def _measure(
    moments: Moments, it: Iterate, iteration: int, passes: int, seconds: float
) -> Progress:
    """Return one row of the trace, without reading data."""
    gradient = it.gradient
    if it.at_cap:  # leave out the component along S wt, which the cap balances
        gradient = gradient - it.ray.Sv * (it.ray.v @ gradient / it.ray.squared)
    return Progress(
        iteration=iteration,
        x=it.wt,
        fun=it.ray.value(it.g),
        grad_norm=moments.dual_norm(gradient),
        length=abs(it.g) * float(np.sqrt(it.ray.squared)),
        direction_gap=moments.direction_gap(it.ray.v),
        passes=passes,
        seconds=seconds,
    )
