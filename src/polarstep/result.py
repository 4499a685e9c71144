"""What a method returns: status, result, trace."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np


class Status(Enum):
    """How a run ended; the value says what to do about it."""

    converged = "Reached tol."
    rounding = "Reached the limits of double precision before tol: there is nothing left to gain."
    stalled = (
        "No step along a descent direction lowers f, though its gradient is not zero: numbers are "
        "too far apart for double precision. Bring the most extreme columns nearer to one another."
    )
    max_iter = "Stopped at max_iter before it reached tol: raise max_iter, or tol."
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
    gap : float
        What is left to gain, as a share: an estimate from above of (f(x) - f*)/|f(x)|, near a
        local minimum f*. Only of the method whitened; NaN of the others.
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
    gap: float = float("nan")

    @property
    def success(self) -> bool:
        """Whether the run converged, if need be on the cap."""
        return self.status in (Status.converged, Status.length_capped, Status.rounding)

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


def trace_of(rows: list[Progress]) -> Trace:
    """The rows as columns."""
    columns = {
        name: np.array([getattr(row, name) for row in rows]) for name in Trace.__annotations__
    }
    return Trace(**columns)
