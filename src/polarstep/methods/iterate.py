"""The iterate that the loop passes to the rules, and the exception that ends a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..result import Status
from .objective import Ray


@dataclass(frozen=True)
class Iterate:
    """A point wt = g * ray.v of a trajectory, and the gradient at it.

    Attributes
    ----------
    w : ndarray, shape (d,)
        The vector w of the parameterization.
    g : float
        The length that multiplies the ray.
    ray : Ray
        The objective along the direction of w.
    gradient : ndarray, shape (d,)
        grad f(wt).
    at_cap : bool
        Whether wt is on the sphere ||wt||_S = max_length and f decreases outwards.
    """

    w: np.ndarray
    g: float
    ray: Ray
    gradient: np.ndarray
    at_cap: bool = False

    @property
    def wt(self) -> np.ndarray:
        """The weight that multiplies x."""
        return self.g * self.ray.v


class Stopped(Exception):
    """Raised by a rule that cannot go on; the loop turns it into the status of the result.

    Parameters
    ----------
    status : Status
        How the run ended.
    """

    def __init__(self, status: Status) -> None:
        super().__init__(status.value)
        self.status = status
