"""Least squares, the objective of Theorem 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..moments import Moments
from .objective import Objective, Ray


class LeastSquares(Objective):
    """Least squares on centred data: f(wt) = E (y - x^T wt)^2 + (lam/2) ||wt||_S^2.

    f depends on the data through their moments alone, so that no iteration reads X.

    Parameters
    ----------
    X : array-like or scipy sparse, shape (n, d)
        The data matrix. It is centred implicitly.
    y : array-like, shape (n,)
        Real targets. They are not centred; an offset adds a constant to f.
    length_penalty : float, default 0
        The factor lam >= 0.
    max_length : float, default infinity
        The cap on ||wt||_S.

    Attributes
    ----------
    moments : Moments
        The moments u and S of the data.
    curvature : float
        2 + lam: the Hessian of f is (2 + lam) S.

    Raises
    ------
    ValueError, TypeError
        If X or y is not finite and real, if their shapes do not match, or if a limit is out of
        range.

    Notes
    -----
    For a direction w the optimal length is g* = -r with r = u^T w/||w||_S, up to the length
    penalty. At that length f = E y^2 - r^2, a Rayleigh quotient in w, whose minimum lies on the
    line S^-1 u. The gradient is c1 u + c2 S wt with (c1, c2) = (2, 2 + lam).

    References
    ----------
    J. Kohler et al., "Exponential convergence rates for batch normalization", AISTATS 2019
    (arXiv:1805.10694), section 3 and Theorem 1.

    Examples
    --------
    >>> import numpy as np
    >>> import polarstep as ps
    >>> X = np.random.default_rng(0).standard_normal((50, 3))
    >>> result = ps.minimize(ps.LeastSquares(X, X @ [1.0, -2.0, 0.5]), "gdnp")
    >>> result.x.round(6)
    array([ 1. , -2. ,  0.5])
    """

    only_moments = True

    def __init__(
        self, X: Any, y: Any, length_penalty: float = 0.0, max_length: float = np.inf
    ) -> None:
        self._set(Moments.from_data(X, y), length_penalty, max_length)

    @classmethod
    def from_moments(
        cls, moments: Moments, length_penalty: float = 0.0, max_length: float = np.inf
    ) -> LeastSquares:
        """Return the objective with the given moments, for instance those of a population.

        Parameters
        ----------
        moments : Moments
            The moments u, S and E[y^2].
        length_penalty : float, default 0
            The factor lam >= 0.
        max_length : float, default infinity
            The cap on ||wt||_S.

        Returns
        -------
        LeastSquares
            The objective.
        """
        self = cls.__new__(cls)
        self._set(moments, length_penalty, max_length)
        return self

    def _set(self, moments: Moments, length_penalty: float, max_length: float) -> None:
        self.moments = moments
        self._set_limits(length_penalty, max_length)
        self.curvature = 2.0 + self.length_penalty
        # Near the minimum, f = lowest + (curvature/2) ||wt - best||_S^2 loses no digits.
        self._best = -2.0 / self.curvature * moments.solve(moments.u)
        self._lowest = moments.y_squared + 2.0 / self.curvature * moments.rho_star

    def ray(self, v: np.ndarray) -> QuadraticRay:
        return QuadraticRay(self, v)


class QuadraticRay(Ray):
    """A ray of `LeastSquares`, along which f is a parabola.

    Parameters
    ----------
    objective : LeastSquares
        The objective.
    v : ndarray, shape (d,)
        The vector that the length multiplies.
    """

    def __init__(self, objective: LeastSquares, v: np.ndarray) -> None:
        super().__init__(objective.moments, v)
        self.objective = objective
        if self.squared > 0:
            self.stationary = -2.0 * self.overlap / (objective.curvature * self.squared)

    def value(self, g: float) -> float:
        excess = self.objective.moments.norm(g * self.v - self.objective._best)
        return self.objective._lowest + 0.5 * self.objective.curvature * excess * excess

    def slope(self, g: float) -> float:
        return 2.0 * self.overlap + self.objective.curvature * g * self.squared

    def curvature(self, g: float) -> float:
        return self.objective.curvature * self.squared

    def gradient(self, g: float) -> np.ndarray:
        return 2.0 * self.objective.moments.u + self.objective.curvature * g * self.Sv

    def coefficients(self, g: float) -> tuple[float, float]:
        return 2.0, self.objective.curvature
