"""The one loop that drives every method, and what it returns."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .moments import Moments
from .objectives import Objective, Ray
from .solvers import Method, find_method
from .steps import Iterate, NoLengthRoot, NotANumber, OrthogonalStart, capped, project_to_ball
from .validation import check_callback, complaint, number, vector, whole_number


class Status(Enum):
    """How a run ended; the value says what to do about it."""

    converged = "The gradient norm is at most tol."
    max_iter = "Stopped at max_iter before the gradient norm reached tol: raise max_iter, or tol."
    diverged = (
        "The iteration left the finite numbers: lower step_size (1/(curvature * L) is safe). "
        "The result is the last finite iterate."
    )
    orthogonal_start = (
        "u^T w0 is zero to rounding, where the direction step is not defined: start elsewhere, for "
        "instance at w0=None. If u itself is zero, no feature is correlated with the label."
    )
    no_length_root = (
        "f keeps falling along the direction, so that no finite length is best (a bounded loss, or "
        "data that the direction separates): give the objective a length_penalty or a max_length."
    )
    length_capped = (
        "Converged on the cap: ||wt||_S = max_length and f would fall further out. "
        "Raise max_length, or use a length_penalty, if that is not what you want."
    )
    interrupted = "Interrupted; the result is the last complete iterate."


class Progress(NamedTuple):
    """What a callback sees at every iterate."""

    iteration: int
    x: np.ndarray
    fun: float
    grad_norm: float
    length: float
    direction_gap: float
    passes: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Trace:
    """One entry per iterate, the start included; arrays of equal length.

    Attributes
    ----------
    iteration : int
    seconds : float
        Time in the method itself; the clock stands still while this trace is filled.
    passes : int
        Products that read all of X since the start of `minimize`.
    fun : float
        f(wt).
    grad_norm : float
        ||grad f(wt)||_{S^-1}; on the cap, without the part that points out of it.
    length : float
        ||wt||_S.
    direction_gap : float
        rho(wt) - rho*, zero where the direction is S^-1 u.
    """

    iteration: np.ndarray
    seconds: np.ndarray
    passes: np.ndarray
    fun: np.ndarray
    grad_norm: np.ndarray
    length: np.ndarray
    direction_gap: np.ndarray

    def as_dict(self) -> dict[str, np.ndarray]:
        """The arrays by name, ready for a data frame."""
        return dict(vars(self))

    def __len__(self) -> int:
        return len(self.iteration)


@dataclass(frozen=True, eq=False)
class Result:
    """The end of a run.

    Attributes
    ----------
    x : ndarray, shape (d,)
        The weight wt = length * direction, for centred x.
    direction : ndarray, shape (d,)
        wt/||wt||_S. (The sign of g is in here.)
    length : float
        ||wt||_S.
    fun : float
        f(x).
    grad_norm : float
        ||grad f(x)||_{S^-1}, as in `Trace`.
    n_iter, n_passes : int
        Steps taken, and products that read all of X: two a step and two for the start.
    status : Status
    message : str
        What happened, and what to do about it.
    success : bool
        Whether the run converged, if need be on the cap.
    trace : Trace
    method : str
    """

    x: np.ndarray
    direction: np.ndarray
    length: float
    fun: float
    grad_norm: float
    n_iter: int
    n_passes: int
    status: Status
    trace: Trace
    method: str

    @property
    def success(self) -> bool:
        """Whether the run converged, if need be on the cap."""
        return self.status in (Status.converged, Status.length_capped)

    @property
    def message(self) -> str:
        """What happened, and what to do about it."""
        return f"{self.method}: {self.status.value}"

    def __repr__(self) -> str:
        return (
            f"Result({self.method}: {self.status.name} after {self.n_iter} iterations, "
            f"{self.n_passes} passes; fun={self.fun:.10g}, grad_norm={self.grad_norm:.2g}, "
            f"length={self.length:.6g})"
        )


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
        "gd", "agd", "wn", "bn" or "gdnp".
    w0 : array-like, shape (d,), optional
        The start: wt itself for gd and agd, the vector w (of any scale) for the others. Its part
        outside the range of S, which no margin depends on, is dropped. Default -u/||u||_S.
    max_iter : int
        Steps at most.
    tol : float
        Stop when ||grad f(wt)||_{S^-1} <= tol (a norm without units: it does not depend on the
        scale of the features).
    callback : callable, optional
        Called with a `Progress` at every iterate; raise StopIteration in it to stop.
    **options
        step_size (all): constant step of the weight or direction. length (wn, bn, gdnp): starting
        g, 1 by default. length_step_size (wn, bn). bisection_steps (gdnp). See `steps` for
        what they mean and their defaults.

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
    last = rows[-1]
    return Result(
        x=last.x,
        direction=last.x / last.length if last.length > 0 else np.zeros_like(last.x),
        length=last.length,
        fun=last.fun,
        grad_norm=last.grad_norm,
        n_iter=last.iteration,
        n_passes=objective.n_passes - passes_before,
        status=status,
        trace=_trace(rows),
        method=chosen.name,
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


def _trace(rows: list[Progress]) -> Trace:
    columns = {
        name: np.array([getattr(row, name) for row in rows]) for name in Trace.__annotations__
    }
    return Trace(**columns)
