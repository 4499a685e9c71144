"""The result of a method: its status, the solution and the trace of the iterates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import numpy as np


class Status(Enum):
    """How a run ended. The value of each member tells the user what to do about it.

    Examples
    --------
    >>> Status.interrupted.value
    'The run was interrupted. The result is the last complete iterate.'
    """

    converged = "The run converged: the tolerance tol was reached."
    rounding = (
        "Rounding errors ended the run before tol was reached. The result is as accurate as "
        "double precision allows, and a larger tol would report convergence."
    )
    stalled = (
        "No step along a descent direction lowers f, although the gradient is not zero: the scales "
        "of the columns differ by too much for double precision. Rescale the most extreme columns."
    )
    max_iter = "The run stopped at max_iter before tol was reached. Raise max_iter or tol."
    diverged = (
        "The iterates overflowed or became NaN. Lower step_size; 1/(curvature * L) is safe. "
        "The result is the last finite iterate."
    )
    orthogonal_start = (
        "The start w0 is orthogonal to u up to rounding, and the direction step is not defined "
        "there. Pass another w0, or leave it out. If u itself is zero, no feature is correlated "
        "with the label."
    )
    no_length_root = (
        "f keeps falling along the direction, so that no finite length is optimal. The loss is "
        "bounded, or the direction separates the data. Give the objective a length_penalty or a "
        "max_length."
    )
    length_capped = (
        "The run converged on the cap ||wt||_S = max_length, and f would fall further beyond it. "
        "If you do not want the cap to decide, raise max_length or use a length_penalty instead."
    )
    separable = (
        "A hyperplane separates the classes, wholly or in part, so that f keeps falling along one "
        "direction and no finite weights are optimal without a penalty. Use a finite C or a "
        "penalty, or drop the features that separate."
    )
    plateau = (
        "The gradient vanishes on a plateau of the loss, but f is lower elsewhere on the ray "
        "through the weights. Start closer to zero or from another w0, or use a convex loss first."
    )
    interrupted = "The run was interrupted. The result is the last complete iterate."

    @property
    def is_success(self) -> bool:
        """Whether the run converged to tol, to rounding or on the cap."""
        return self in (Status.converged, Status.length_capped, Status.rounding)


@dataclass(frozen=True, eq=False)
class Separation:
    """A direction along which hyperplanes separate the classes, wholly or in part.

    Attributes
    ----------
    direction : ndarray, shape (1, d + 1) or (n_classes, d + 1)
        The weights v and, in the last column, the offset c. With two classes there is one row, and
        x_i^T v + c is >= 0 for the rows of the second class, <= 0 for those of the first one, and
        not zero for some. With more classes there is one row for each of them, and the score of a
        row's own class is never below that of another one.
    features : ndarray of int
        The columns of the largest weights, relative to the standard deviations of the features, in
        descending order.
    """

    direction: np.ndarray
    features: np.ndarray

    def describe(self, names: Sequence[str] | None = None) -> str:
        """Return the features that separate the classes, in words.

        Parameters
        ----------
        names : sequence of str, optional
            The names of the features; x0, x1, ... by default.

        Returns
        -------
        str
            Up to three names, with the signs of their weights if there are two classes.
        """
        labels = []
        for j in self.features[:3]:
            name = f"x{j}" if names is None else str(names[j])
            sign = "+" if self.direction[0, j] > 0 else "-"
            labels.append(sign + name if len(self.direction) == 1 < len(self.features) else name)
        more = len(self.features) - len(labels)
        return ", ".join(labels) + (f" and {more} more" if more else "")


class Progress(NamedTuple):
    """One iterate, as a callback receives it.

    Attributes
    ----------
    iteration : int
        The number of steps taken so far; the start is 0.
    x : ndarray, shape (d,)
        The weight wt.
    fun, grad_norm, length, direction_gap, passes, seconds
        The values that `Trace` documents.
    """

    iteration: int
    x: np.ndarray
    fun: float
    grad_norm: float
    length: float
    direction_gap: float
    passes: int
    seconds: float


def add_row(rows: list[Progress], row: Progress) -> None:
    """Append a row to those of a run, and drop the weight of the row before.

    A result needs the last weight only; with many features, those of all iterates would take much
    more memory than the solver.
    """
    if rows:
        rows[-1] = rows[-1]._replace(x=_DROPPED)
    rows.append(row)


_DROPPED = np.empty(0)


@dataclass(frozen=True, eq=False)
class Trace:
    """The history of a run: arrays of equal length with one entry per iterate.

    Attributes
    ----------
    iteration : ndarray of int
        The number of steps taken; the first entry, 0, is the start.
    seconds : ndarray of float
        The time spent in the method. The clock stops while the trace is filled and while a
        callback runs.
    passes : ndarray of int
        The number of products with all of X since the start of the run.
    fun : ndarray of float
        f(wt).
    grad_norm : ndarray of float
        ||grad f(wt)||_{S^-1}. On the cap the component that points outwards is left out.
    length : ndarray of float
        ||wt||_S.
    direction_gap : ndarray of float
        rho(wt) - rho*, which is zero where wt has the direction of S^-1 u.

    Examples
    --------
    >>> import polarstep as ps
    >>> problem = ps.GaussianHalfspace([0.5, 0.1], [[1.0, 0.0], [0.0, 0.1]])
    >>> trace = ps.minimize(problem, "gdnp", max_iter=3).trace
    >>> len(trace), sorted(trace.as_dict())[:3]
    (4, ['direction_gap', 'fun', 'grad_norm'])
    """

    iteration: np.ndarray
    seconds: np.ndarray
    passes: np.ndarray
    fun: np.ndarray
    grad_norm: np.ndarray
    length: np.ndarray
    direction_gap: np.ndarray

    def as_dict(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, ready for a data frame.

        Returns
        -------
        dict of ndarray
            One array per attribute.
        """
        return dict(vars(self))

    def __len__(self) -> int:
        return len(self.iteration)


@dataclass(frozen=True, eq=False)
class Result:
    """The result of a run: the solution, its status and its trace.

    Attributes
    ----------
    x : ndarray, shape (d,)
        The weight wt = length * direction, for centred x.
    length : float
        ||wt||_S.
    fun : float
        f(x).
    grad_norm : float
        ||grad f(x)||_{S^-1}, as in `Trace`.
    n_iter : int
        The number of steps taken.
    n_passes : int
        The number of products with all of X: two per step and two for the start.
    status : Status
        How the run ended.
    trace : Trace
        The history of the run.
    method : str
        The name of the method.
    gap : float
        The estimated upper bound on the relative suboptimality (f(x) - f*)/(|f(x)| + 1e-14 f(0)),
        where f* is a local minimum. The run converges when it is at most `tol`. It is an estimate,
        not a guaranteed bound, and NaN for all methods but whitened on data.
    separation : Separation or None
        The direction that separates the classes if the status is `separable`; otherwise None. The
        linear models set it.

    See Also
    --------
    Status : The ways in which a run can end.
    """

    x: np.ndarray
    length: float
    fun: float
    grad_norm: float
    n_iter: int
    n_passes: int
    status: Status
    trace: Trace
    method: str
    gap: float = float("nan")
    separation: Separation | None = None

    @classmethod
    def from_rows(
        cls,
        rows: Sequence[Progress],
        *,
        status: Status,
        method: str,
        n_passes: int | None = None,
        gap: float = float("nan"),
    ) -> Result:
        """Build the result of a run from its iterates, of which the last is the solution.

        Parameters
        ----------
        rows : sequence of Progress
            The iterates, the start included.
        status : Status
            How the run ended.
        method : str
            The name of the method.
        n_passes : int, optional
            The number of passes over X; by default the number in the last row. It is larger if a
            step failed after that row.
        gap : float, optional
            The estimated upper bound on the relative suboptimality; NaN by default.

        Returns
        -------
        Result
            The result.
        """
        last = rows[-1]
        return cls(
            x=last.x,
            length=last.length,
            fun=last.fun,
            grad_norm=last.grad_norm,
            n_iter=last.iteration,
            n_passes=last.passes if n_passes is None else n_passes,
            status=status,
            trace=Trace(
                **{
                    name: np.array([getattr(r, name) for r in rows])
                    for name in Trace.__annotations__
                }
            ),
            method=method,
            gap=gap,
        )

    @property
    def direction(self) -> np.ndarray:
        """The direction wt/||wt||_S, which includes the sign of g; zero if wt is zero."""
        return np.zeros_like(self.x) if self.length == 0 else self.x / self.length

    @property
    def success(self) -> bool:
        """Whether the run converged to tol, to rounding or on the cap."""
        return self.status.is_success

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


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Return the rows of a trace as one array per name."""
    return {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}
