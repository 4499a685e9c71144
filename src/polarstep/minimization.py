"""The one loop that drives every method."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .methods.objectives import Halfspace, Objective, Ray
from .methods.steps import (
    Iterate,
    NoLengthRoot,
    NotANumber,
    OrthogonalStart,
    capped,
    project_to_ball,
)
from .methods.table import Method, find_method, keywords
from .moments import Moments
from .result import Progress, Result, Status
from .validation import check_callback, complaint, number, unknown, vector, whole_number


def minimize(
    objective: Objective,
    method: str | Method = "gdnp",
    w0: Any = None,
    *,
    max_iter: int = 200,
    tol: float = 1e-8,
    callback: Callable[[Progress], Any] | None = None,
    **options: Any,
) -> Result:
    """Minimise f(wt) by one of the methods of the table in `solvers`.

    Parameters
    ----------
    objective : LeastSquares, Halfspace, GaussianHalfspace, ...
    method : str
        "whitened", "gdnp", "gd", "agd", "wn" or "bn".
    w0 : array-like, shape (d,), optional
        The start: wt itself for gd and agd, the vector w (of any scale) for the others. Its part
        outside the range of S, which no margin depends on, is dropped. Default -u/||u||_S.
    max_iter : int
        Steps at most.
    tol : float
        Stop when ||grad f(wt)||_{S^-1} <= tol (a norm without units: it does not depend on the
        scale of the features). The method whitened stops on `Halfspace` when the *relative
        suboptimality* (f - f*)/f* is estimated to be at most tol; its grad_norm is in the metric of
        the method, and its iterations read the data once.
    callback : callable, optional
        Called with a `Progress` at every iterate; raise StopIteration in it to stop.
    **options
        step_size (all): constant step of the weight or direction. length (wn, bn, gdnp): starting
        g, 1 by default. length_step_size (wn, bn). bisection_steps (gdnp). See `steps` for
        what they mean and their defaults. On `Halfspace`, whitened has n_restarts (further starts
        of a loss that is not convex, the lowest end kept), seed (of the subsample), n_threads.

    Returns
    -------
    Result
        What the iteration met is in `status`; it is never raised. A KeyboardInterrupt ends the run
        with the iterates so far.

    Raises
    ------
    ValueError, TypeError
        Before any work, for arguments that do not fit: unknown names list the known ones.

    Source: Kohler et al., AISTATS 2019 (arXiv 1805.10694), Algorithm 1 and section 5.
    """
    chosen = find_method(method)
    if not isinstance(objective, Objective):
        got = f"a {type(objective).__name__}"
        advice = "Wrap your data: ps.Halfspace(X, y), ps.LeastSquares(X, y)."
        raise TypeError(complaint("minimize", "objective", "be an objective", got, advice))
    max_iter = whole_number(max_iter, "minimize", "max_iter")
    tol = number(tol, "minimize", "tol", at_least=0)
    check_callback(callback, "minimize")
    if chosen.name == "whitened" and isinstance(objective, Halfspace):
        from .linear_model.solver import whitened

        names = set(keywords(whitened.minimize_halfspace))
        for name in options:
            if name not in names:
                raise TypeError(unknown(name, names, "minimize (whitened)", "options"))
        return whitened.minimize_halfspace(objective, w0, max_iter, tol, callback, **options)
    direction_rule, length_rule, length = chosen.rules(objective, options)
    w = _start(objective.moments, chosen, w0)
    if not chosen.has_length:
        w = project_to_ball(objective.moments, w, objective.max_length)

    def arrive(w: np.ndarray, choose_length: Callable[[Ray], float]) -> Iterate:
        ray = objective.ray(chosen.parameterization.unit(objective.moments, w))
        g = float(choose_length(ray))
        gradient = ray.gradient(g)
        rim = abs(g) * np.sqrt(ray.squared) >= objective.max_length * (1 - 1e-12)
        return Iterate(w, g, ray, gradient, at_cap=bool(rim and g * (ray.v @ gradient) < 0))

    def start_length(ray: Ray) -> float:
        return capped(objective, ray, length) if chosen.has_length else 1.0

    rows: list[Progress] = []
    it: Iterate | None = None
    status = Status.max_iter
    passes_before = objective.n_passes
    seconds, clock = 0.0, time.perf_counter()
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            new = arrive(w, start_length)
            while True:
                seconds += time.perf_counter() - clock
                passes = objective.n_passes - passes_before
                row = _measure(objective, new, len(rows), passes, seconds)
                finite = np.isfinite([row.fun, row.grad_norm, row.length]).all()
                if finite or it is None:
                    it = new
                    rows.append(row)
                if not finite:
                    status = Status.diverged
                    break
                if callback is not None:
                    callback(row)
                if row.grad_norm <= tol:
                    status = Status.length_capped if it.at_cap else Status.converged
                    break
                if row.iteration == max_iter:
                    break
                clock = time.perf_counter()
                w = direction_rule(it)
                new = arrive(w, partial(length_rule, it))
    except OrthogonalStart:
        status = Status.orthogonal_start
    except NoLengthRoot:
        status = Status.no_length_root
    except NotANumber:
        status = Status.diverged
    except (KeyboardInterrupt, StopIteration):
        status = Status.interrupted
    if it is None:  # not even the start was reached
        raise KeyboardInterrupt
    return Result.from_rows(
        rows,
        status=status,
        method=chosen.name,
        n_passes=objective.n_passes - passes_before,
    )


def _start(moments: Moments, method: Method, w0: Any) -> np.ndarray:
    """The vector w to start from, in the range of S."""
    if w0 is None:
        if moments.u.any():
            return -moments.u / moments.norm(moments.u)
        # No feature is correlated with the label: wt = 0 is critical, and any direction will do.
        return moments.eigen[1][:, -1] if method.has_length else np.zeros_like(moments.u)
    w = moments.project(vector(w0, "minimize", "w0", length=len(moments.u)))
    if method.has_length:
        length = moments.norm(w)
        if not 0 < length * length < np.inf:
            must = "have a direction, and a square that is neither 0 nor infinite"
            got = f"a vector of S-norm {length:g}"
            advice = f"{method.name} starts from a direction; leave w0 out for -u."
            raise ValueError(complaint("minimize", "w0", must, got, advice))
    return w


def _measure(
    objective: Objective, it: Iterate, iteration: int, passes: int, seconds: float
) -> Progress:
    """One row of the trace. Reads no data."""
    moments, wt = objective.moments, it.wt
    length = abs(it.g) * float(np.sqrt(it.ray.squared))
    gradient = it.gradient
    if it.at_cap:  # leave out the part along S wt, which the cap holds in balance
        gradient = gradient - it.ray.Sv * (it.ray.v @ gradient / it.ray.squared)
    return Progress(
        iteration=iteration,
        x=wt,
        fun=it.ray.value(it.g),
        grad_norm=moments.dual_norm(gradient),
        length=length,
        direction_gap=moments.direction_gap(it.ray.v),
        passes=passes,
        seconds=seconds,
    )
