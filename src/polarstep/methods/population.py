"""Halfspace learning in a Gaussian population, where expectations are exact integrals."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..losses import MarginLoss, margin_loss
from ..moments import Moments
from ..quadrature import expectation
from ..validation import complaint
from .objective import Objective, Ray


class GaussianHalfspace(Objective):
    """A halfspace in a Gaussian population: f(wt) = E phi(z^T wt) + (lam/2) ||wt||_S^2.

    Parameters
    ----------
    u : array-like, shape (d,)
        The mean of z = -y x.
    S : array-like, shape (d, d)
        The second moment of z, which is the covariance of x. It must satisfy u^T S^-1 u <= 1, as
        it does in the model where x given y is N(-y u, S - u u^T).
    loss : str or MarginLoss, default "softplus"
        The margin loss phi: a name in `polarstep.losses.LOSSES`, or your own.
    length_penalty : float, default 0
        The factor lam >= 0. A bounded loss needs it, or a cap, for a minimiser of finite length to
        exist.
    max_length : float, default infinity
        The cap on ||wt||_S.

    Attributes
    ----------
    moments : Moments
        The moments u and S.
    loss : MarginLoss
        The margin loss phi.
    curvature : float
        sup |phi''| + lam.

    Raises
    ------
    ValueError, TypeError
        If u and S are not moments of a Gaussian z, the loss is unknown, or a limit is out of range.

    Notes
    -----
    z^T wt is N(u^T wt, ||wt||_S^2 - (u^T wt)^2), so that f and its derivatives are one-dimensional
    integrals, computed to about 1e-12. By Stein's lemma grad f(wt) = c1 u + c2 S wt with
    c1 = E phi' - E phi'' (u^T wt) and c2 = E phi'' + lam.

    References
    ----------
    J. Kohler et al., "Exponential convergence rates for batch normalization", AISTATS 2019
    (arXiv:1805.10694), section 4. D. Brillinger, "A generalized linear model with Gaussian
    regressor variables", 1982.

    Examples
    --------
    >>> import polarstep as ps
    >>> f = ps.GaussianHalfspace([0.5, 0.1], [[1.0, 0.0], [0.0, 0.1]])
    >>> result = ps.minimize(f, "gdnp")
    >>> result.status.name, round(result.fun, 4)
    ('converged', 0.4795)
    """

    only_moments = True

    def __init__(
        self,
        u: Any,
        S: Any,
        loss: str | MarginLoss = "softplus",
        length_penalty: float = 0.0,
        max_length: float = np.inf,
    ) -> None:
        who = type(self).__name__
        self.loss = margin_loss(loss, who)
        self._set_limits(length_penalty, max_length)
        self.moments = Moments(u, S)
        if -self.moments.rho_star > 1 + 1e-9:
            must = "satisfy u^T S^-1 u <= 1 (S is the second moment of z, u its mean)"
            got = f"u^T S^-1 u = {-self.moments.rho_star:.6g}"
            advice = "If S is the covariance of z, add u u^T to it."
            raise ValueError(complaint(who, "u", must, got, advice))
        self.curvature = self.loss.sup_curvature + self.length_penalty

    def ray(self, v: np.ndarray) -> GaussianRay:
        return GaussianRay(self, v)


class GaussianRay(Ray):
    """A ray of `GaussianHalfspace`, along which the margins are Gaussian.

    Parameters
    ----------
    objective : GaussianHalfspace
        The objective.
    v : ndarray, shape (d,)
        The vector that the length multiplies.

    Attributes
    ----------
    sd : float
        The standard deviation of z^T v.
    """

    def __init__(self, objective: GaussianHalfspace, v: np.ndarray) -> None:
        super().__init__(objective.moments, v)
        self.objective = objective
        self.sd = float(np.sqrt(max(self.squared - self.overlap**2, 0.0)))

    def value(self, g: float) -> float:
        lam = self.objective.length_penalty
        return float(self._mean(self.objective.loss.phi, g)) + 0.5 * lam * g * g * self.squared

    def slope(self, g: float) -> float:
        # The slope is E[b phi'(g b)] for b = z^T v. By Stein's lemma it equals
        # E[b] E phi' + g Var[b] E phi'', which is accurate even for a tiny E[b]. At large g,
        # however, the two terms cancel to 1/g^2 of their size.
        dphi, width = self.objective.loss.dphi, abs(g) * self.sd
        if width <= 1:
            first, second = self._derivatives(g)
            slope = self.overlap * first + g * self.sd**2 * second
        else:
            slope = float(expectation(lambda b: b * dphi(g * b), self.overlap, self.sd, rate=width))
        return slope + self.objective.length_penalty * g * self.squared

    def curvature(self, g: float) -> float:
        d2phi, lam = self.objective.loss.d2phi, self.objective.length_penalty
        second = expectation(
            lambda b: np.square(b) * d2phi(g * b), self.overlap, self.sd, rate=abs(g) * self.sd
        )
        return float(second) + lam * self.squared

    def gradient(self, g: float) -> np.ndarray:
        c1, c2 = self.coefficients(g)
        return c1 * self.objective.moments.u + c2 * g * self.Sv

    def coefficients(self, g: float) -> tuple[float, float]:
        first, second = self._derivatives(g)
        return first - second * g * self.overlap, second + self.objective.length_penalty

    def _mean(self, f: Any, g: float) -> np.ndarray:
        """Return E f(a) for a = g z^T v."""
        return expectation(f, g * self.overlap, abs(g) * self.sd)

    def _derivatives(self, g: float) -> tuple[float, float]:
        """Return (E phi', E phi'') at a = g z^T v."""
        loss = self.objective.loss
        first, second = self._mean(lambda a: np.stack([loss.dphi(a), loss.d2phi(a)]), g)
        return float(first), float(second)
