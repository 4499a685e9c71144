"""The base class of option objects, and the options of gains and angles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ..validation import complaint, flag, number, type_of, unknown
from .spheres import MATRIX, ROWS, Sphere


@dataclass(frozen=True)
class Option:
    """An immutable option object that checks its fields; ``name`` is its name as an argument."""

    name: ClassVar[str]


def check_below_one(value: Any, who: str, argument: str) -> None:
    """Raise an error unless the value is a number in [0, 1)."""
    if number(value, who, argument, at_least=0) >= 1:
        raise ValueError(complaint(who, argument, "be a number < 1", value))


def check_betas(value: Any, who: str) -> None:
    """Raise an error unless the value holds the two decay rates of Adam."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(complaint(who, "betas", "be two numbers in [0, 1)", repr(value)))
    for beta in value:
        check_below_one(beta, who, "betas")


@dataclass(frozen=True)
class Gains(Option):
    """The lengths of a matrix: which vectors have one, and how they are constrained.

    Parameters
    ----------
    axes : {"row", "matrix", "both"}, optional
        "row": one gain for each row. "matrix": one gain for the whole matrix, in the Frobenius
        metric only. "both": gains for rows and for columns, W = diag(g) U diag(h), in the Euclidean
        and the Frobenius metric. Default: "matrix" in the Frobenius metric, else "row".
    positive : bool, default=False
        Whether gains are kept positive: the length rule updates the argument of a softplus.
    decay : float, default=0.0
        Decoupled weight decay of the gains, g <- (1 - lr decay) g, with the lengths' learning rate.

    Examples
    --------
    >>> Gains("both", positive=True)
    Gains(axes='both', positive=True, decay=0.0)
    """

    axes: str | None = None
    positive: bool = False
    decay: float = 0.0

    name: ClassVar[str] = "gains"
    known: ClassVar[tuple[str, ...]] = ("row", "matrix", "both")

    def __post_init__(self) -> None:
        if self.axes is not None and self.axes not in self.known:
            raise ValueError(unknown(self.axes, self.known, "Gains", "axes"))
        flag(self.positive, "Gains", "positive")
        number(self.decay, "Gains", "decay", at_least=0)

    def slopes(self, G: Tensor, U: Tensor) -> Tensor:
        """Compute the derivatives with respect to the gains of rows, or to that of the matrix.

        Parameters
        ----------
        G : Tensor of shape (matrices, rows, columns)
            The gradient with respect to W.
        U : Tensor of shape (matrices, rows, columns)
            The directions.

        Returns
        -------
        Tensor of shape (matrices, rows, 1) or (matrices, 1, 1)
            The inner products <G, U>.
        """
        return (MATRIX if self.axes == "matrix" else ROWS).inner(G, U)


@dataclass(frozen=True)
class Angle(Option):
    """How the learning rate of directions is measured, limited and scheduled.

    Parameters
    ----------
    measure : {"auto", "each", "rms", "off"}, default="auto"
        "each": every row turns by arctan(lr); in the Frobenius metric, the matrix does. "rms": rows
        turn by arctan(lr) in the root mean square; polar factors are scaled by their known norm,
        which for rows is Muon's factor sqrt(max(1, rows/columns)). "off": the step is lr times the
        output of the direction rule. "auto": "rms" for polar factors, else "each".
    largest : float, optional
        Upper bound on the norm of a direction's step relative to the norm of the direction. Angles
        are then at most arcsin(largest). Default: no bound.
    schedule : callable, optional
        Function of the number of steps taken so far that returns a factor for the learning rate of
        the directions alone. It is not saved in checkpoints.

    Examples
    --------
    >>> Angle("each", largest=0.05).largest
    0.05
    """

    measure: str = "auto"
    largest: float | None = None
    schedule: Callable[[int], float] | None = None

    name: ClassVar[str] = "angle"
    known: ClassVar[tuple[str, ...]] = ("auto", "each", "off", "rms")

    def __post_init__(self) -> None:
        if self.measure not in self.known:
            raise ValueError(unknown(self.measure, self.known, "Angle", "measure"))
        if self.largest is not None:
            number(self.largest, "Angle", "largest", above=0)
        if self.schedule is not None and not callable(self.schedule):
            must = "be a function or None"
            raise TypeError(complaint("Angle", "schedule", must, type_of(self.schedule)))

    def factor(self, steps: int) -> float:
        """Return the factor of the schedule.

        Parameters
        ----------
        steps : int
            Number of steps taken so far.

        Returns
        -------
        float
            The factor, which is one without a schedule.
        """
        return 1.0 if self.schedule is None else self.schedule(steps)

    def scale(
        self,
        update: Tensor,
        sphere: Sphere,
        radius: Tensor | float,
        polar: tuple[int, int] | None = None,
    ) -> Tensor:
        """Scale an update so that a step of size lr turns directions by the angle arctan(lr).

        Parameters
        ----------
        update : Tensor of shape (matrices, rows, columns)
            The output of the direction rule.
        sphere : Sphere
            The sphere of the directions.
        radius : Tensor or float
            The norm of the directions.
        polar : tuple of int, optional
            Shape (rows, columns) of the whole matrices, if the update holds polar factors.

        Returns
        -------
        Tensor
            The update, scaled as `measure` says.
        """
        measure = self.measure
        if measure == "auto":
            measure = "each" if polar is None else "rms"
        if measure == "off":
            return update
        if measure == "each":
            return sphere.unit(update) * radius
        if polar is not None:
            return update * (sphere.polar_scale(*polar) * radius)
        return MATRIX.unit(update) * sphere.rms_norm(update.shape[-2], radius)
