"""Objectives f(wt), and their restriction to rays g -> f(g v)."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import numpy as np

from ..moments import Moments
from ..validation import complaint, number


class Ray:
    """The function g -> f(g v) for a fixed vector v.

    Every evaluation of an objective goes through a ray. A ray projects the data onto v once. The
    value, the slope and the curvature at any length g then cost O(n), and only `gradient` reads X
    again. Each objective has its own subclass.

    Parameters
    ----------
    moments : Moments
        The moments of the objective.
    v : ndarray, shape (d,)
        The vector that the length multiplies.

    Attributes
    ----------
    v : ndarray, shape (d,)
        The vector that the length multiplies.
    Sv : ndarray, shape (d,)
        S v.
    squared : float
        ||v||_S^2.
    overlap : float
        u^T v.
    stationary : float or None
        The root of the slope, if there is a formula for it.
    """

    stationary: float | None = None

    def __init__(self, moments: Moments, v: np.ndarray) -> None:
        self.v = v = np.asarray(v)
        self.Sv = moments.S @ v
        self.squared = max(float(v @ self.Sv), 0.0)
        self.overlap = float(moments.u @ v)

    def value(self, g: float) -> float:
        """Return f(g v).

        Parameters
        ----------
        g : float
            The length.

        Returns
        -------
        float
            The value of the objective.
        """
        raise NotImplementedError

    def slope(self, g: float) -> float:
        """Return the first derivative with respect to the length, v^T grad f(g v).

        Parameters
        ----------
        g : float
            The length.

        Returns
        -------
        float
            The derivative of g -> f(g v).
        """
        raise NotImplementedError

    def curvature(self, g: float) -> float:
        """Return the second derivative with respect to the length.

        Parameters
        ----------
        g : float
            The length.

        Returns
        -------
        float
            The second derivative of g -> f(g v).
        """
        raise NotImplementedError

    def gradient(self, g: float) -> np.ndarray:
        """Return grad f(g v), in one pass over the data.

        Parameters
        ----------
        g : float
            The length.

        Returns
        -------
        ndarray, shape (d,)
            The gradient with respect to the weight.
        """
        raise NotImplementedError

    def coefficients(self, g: float) -> tuple[float, float]:
        """Return (c1, c2) such that grad f(g v) = c1 u + c2 g S v for Gaussian data.

        Parameters
        ----------
        g : float
            The length.

        Returns
        -------
        tuple of (float, float)
            The coefficients c1 and c2.
        """
        raise NotImplementedError

    def step_scale(self, g: float) -> float:
        """Return the number by which gdnp divides its step, c1 u^T v in the theorems.

        Parameters
        ----------
        g : float
            The length.

        Returns
        -------
        float
            The divisor. A subclass may return another number where the theorems do not apply.
        """
        return self.coefficients(g)[0] * self.overlap


class Objective:
    """The interface of all objectives; a subclass supplies the rays.

    Attributes
    ----------
    moments : Moments
        The moments u and S; lengths are norms in the metric S.
    length_penalty : float
        The factor lam of the penalty (lam/2) ||wt||_S^2.
    max_length : float
        The cap on ||wt||_S; infinity if there is none.
    curvature : float
        An upper bound on the curvature of f in the metric S: the Hessian is at most curvature * S.
    only_moments : bool
        Whether f depends on the data through u and S alone. If it does, every critical point lies
        on the line S^-1 u.
    """

    length_penalty: float
    max_length: float
    only_moments: ClassVar[bool] = False

    @cached_property
    def moments(self) -> Moments:
        """The moments u and S; lengths are norms in the metric S."""
        raise NotImplementedError

    @cached_property
    def curvature(self) -> float:
        """An upper bound on the curvature of f in the metric S."""
        raise NotImplementedError

    def ray(self, v: np.ndarray) -> Ray:
        """Return the function g -> f(g v), prepared by one pass over the data.

        Parameters
        ----------
        v : ndarray, shape (d,)
            The vector that the length multiplies, of any scale.

        Returns
        -------
        Ray
            The restriction of f to the ray.
        """
        raise NotImplementedError

    def along(self, w: np.ndarray) -> Ray:
        """Return the function g -> f(g w/||w||_S), where g is the length in the metric S.

        Parameters
        ----------
        w : ndarray, shape (d,)
            The direction, of any scale.

        Returns
        -------
        Ray
            The restriction of f to the ray.

        Raises
        ------
        ValueError
            If ||w||_S is zero.
        """
        length = self.moments.norm(w)
        if not length > 0:
            who = f"{type(self).__name__}.along"
            raise ValueError(complaint(who, "w", "have a direction", "a vector of S-norm zero"))
        return self.ray(w / length)

    def value(self, wt: np.ndarray) -> float:
        """Return f(wt).

        Parameters
        ----------
        wt : ndarray, shape (d,)
            The weight.

        Returns
        -------
        float
            The value of the objective, its penalties included.
        """
        return self.ray(wt).value(1.0)

    def gradient(self, wt: np.ndarray) -> np.ndarray:
        """Return grad f(wt).

        Parameters
        ----------
        wt : ndarray, shape (d,)
            The weight.

        Returns
        -------
        ndarray, shape (d,)
            The gradient.
        """
        return self.ray(wt).gradient(1.0)

    def coefficients(self, wt: np.ndarray) -> tuple[float, float]:
        """Return (c1, c2) such that grad f(wt) = c1 u + c2 S wt for Gaussian data.

        Parameters
        ----------
        wt : ndarray, shape (d,)
            The weight.

        Returns
        -------
        tuple of (float, float)
            The coefficients c1 and c2.
        """
        return self.ray(wt).coefficients(1.0)

    @property
    def n_passes(self) -> int:
        """The number of products with all of the data so far."""
        return 0

    @property
    def smoothness(self) -> float:
        """An upper bound on the largest eigenvalue of the Hessian of f."""
        return self.curvature * self.moments.L

    def _set_limits(self, length_penalty: float, max_length: float) -> None:
        who = type(self).__name__
        self.length_penalty = number(length_penalty, who, "length_penalty", at_least=0)
        self.max_length = number(max_length, who, "max_length", above=0, finite=False)
