"""One tanh unit of a network as an objective: f as a function of one wt_i, the others held fixed.

For Gaussian z its gradient is c1 u + c2 S wt, as for a halfspace, so that GDNP applies (Theorem 3).
Source: J. Kohler et al., AISTATS 2019 (arXiv:1805.10694), section 4.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..losses import MarginLoss
from ..quadrature import expectation_2d
from .halfspace import Halfspace, SampleRay
from .objective import Objective, Ray
from .population import GaussianHalfspace


def _sech2(a: np.ndarray) -> np.ndarray:
    """Return the derivative of tanh, without cancellation."""
    e = np.exp(-2.0 * np.abs(a))
    return 4.0 * e / np.square(1.0 + e)


def unit_loss(loss: MarginLoss, theta: float, others: Any = 0.0) -> MarginLoss:
    """Return phi(a) = l(others + theta tanh(a)), the loss of one unit if the others are fixed.

    Parameters
    ----------
    loss : MarginLoss
        The outer loss l.
    theta : float
        The output weight of the unit.
    others : float or ndarray, default 0
        The output of the other units: a number, or one value per sample.

    Returns
    -------
    MarginLoss
        The loss as a function of the margin a of the unit.
    """

    def phi(a: np.ndarray) -> np.ndarray:
        return loss.phi(others + theta * np.tanh(a))

    def dphi(a: np.ndarray) -> np.ndarray:
        return theta * _sech2(a) * loss.dphi(others + theta * np.tanh(a))

    def d2phi(a: np.ndarray) -> np.ndarray:
        tanh, slope = np.tanh(a), _sech2(a)
        F = others + theta * tanh
        return theta * slope * (theta * slope * loss.d2phi(F) - 2.0 * tanh * loss.dphi(F))

    return MarginLoss(phi, dphi, d2phi, f"{loss.name} of a tanh unit", np.inf)


# --------------------------------------------------------------------------- one unit on data


class UnitOnData(Objective):
    """The objective f as a function of the weight of one unit, on a sample.

    Parameters
    ----------
    halfspace : Halfspace
        The data, the outer loss, the length penalty and the cap.
    theta : float
        The output weight of the unit.
    others : list of (float, ndarray)
        The output weight and the weight (d,) of every other unit that is on.
    """

    def __init__(
        self, halfspace: Halfspace, theta: float, others: list[tuple[float, np.ndarray]]
    ) -> None:
        self.halfspace, self.theta = halfspace, theta
        self.moments = halfspace.moments
        self.length_penalty, self.max_length = halfspace.length_penalty, halfspace.max_length
        self.curvature = np.inf
        zero = np.zeros(len(halfspace.labels))
        margins = [(t, -halfspace.labels * halfspace.design.matvec(wt), wt) for t, wt in others]
        self.output = sum((t * np.tanh(a) for t, a, _ in margins), zero)
        # The other units, on the line S^-1 u, add the slope of their output along it to c1.
        separation = -self.moments.rho_star or 1.0  # any number will do if u is zero
        self.drift = sum(
            (t * _sech2(a) * float(self.moments.u @ wt) for t, a, wt in margins), zero
        ) * ((1.0 - separation) / separation)
        self.loss = unit_loss(halfspace.loss, theta, self.output)

    @property
    def n_passes(self) -> int:
        return self.halfspace.n_passes

    def ray(self, v: np.ndarray) -> UnitSampleRay:
        return UnitSampleRay(self, v)


class UnitSampleRay(SampleRay):
    """A ray of `UnitOnData`.

    Parameters
    ----------
    unit : UnitOnData
        The objective.
    v : ndarray, shape (d,)
        The vector that the length multiplies.
    """

    def __init__(self, unit: UnitOnData, v: np.ndarray) -> None:
        super().__init__(unit.halfspace, v, unit.loss)
        self.unit = unit

    def coefficients(self, g: float) -> tuple[float, float]:
        unit, a, outer = self.unit, g * self.margins, self.halfspace.loss
        F = unit.output + unit.theta * np.tanh(a)
        drift = unit.theta * _sech2(a) * outer.d2phi(F) * unit.drift
        c1, c2 = super().coefficients(g)
        return c1 + self.halfspace.design.average(drift), c2


# --------------------------------------------------------------------------- in a population


class UnitInPopulation(Objective):
    """The objective f as a function of the weight of one unit, in a Gaussian population.

    The other units must lie on the line S^-1 u.

    Parameters
    ----------
    halfspace : GaussianHalfspace
        The moments, the outer loss, the length penalty and the cap.
    theta : float
        The output weight of the unit.
    others : list of (float, float)
        The output weight and the signed length along the line of every other unit that is on.

    Notes
    -----
    With b = z^T v* and v* = S^-1 u/||S^-1 u||_S, the output of the others is a function of b alone,
    and f is an integral over the Gaussian pair (a, b) with a = z^T wt.
    """

    def __init__(
        self, halfspace: GaussianHalfspace, theta: float, others: list[tuple[float, float]]
    ) -> None:
        self.loss, self.theta, self.others = halfspace.loss, theta, others
        self.moments = halfspace.moments
        self.length_penalty, self.max_length = halfspace.length_penalty, halfspace.max_length
        self.curvature = np.inf
        self.separation = -self.moments.rho_star

    def output(self, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the sum of the other units' outputs at b, and its derivative.

        Parameters
        ----------
        b : ndarray
            Margins along the line.

        Returns
        -------
        tuple of (ndarray, ndarray)
            The sum and its derivative, of the shape of b.
        """
        zero = np.zeros_like(b)
        value = sum((t * np.tanh(g * b) for t, g in self.others), zero)
        return value, sum((t * g * _sech2(g * b) for t, g in self.others), zero)

    def ray(self, v: np.ndarray) -> UnitPopulationRay:
        return UnitPopulationRay(self, v)


class UnitPopulationRay(Ray):
    """A ray of `UnitInPopulation`.

    Parameters
    ----------
    unit : UnitInPopulation
        The objective.
    v : ndarray, shape (d,)
        The vector that the length multiplies.
    """

    def __init__(self, unit: UnitInPopulation, v: np.ndarray) -> None:
        super().__init__(unit.moments, v)
        self.unit = unit
        t = unit.separation
        self._root_t, self._sd_b = np.sqrt(t), np.sqrt(1.0 - t)
        # For independent standard normal x1, x2: a1 = z^T v = overlap + along x1 + across x2, and
        # b = sqrt(t) + sd_b x1.
        self._along = self.overlap * self._sd_b / self._root_t
        self._across = np.sqrt(max(self.squared - self.overlap**2 / t, 0.0))

    def value(self, g: float) -> float:
        unit = self.unit

        def loss(a1: np.ndarray, b: np.ndarray) -> np.ndarray:
            return unit.loss.phi(unit.output(b)[0] + unit.theta * np.tanh(g * a1))

        return float(self._mean(g, loss)) + 0.5 * g * self._penalty_slope(g)

    def slope(self, g: float) -> float:
        unit = self.unit

        def integrand(a1: np.ndarray, b: np.ndarray) -> np.ndarray:
            return a1 * unit_loss(unit.loss, unit.theta, unit.output(b)[0]).dphi(g * a1)

        return float(self._mean(g, integrand)) + self._penalty_slope(g)

    def curvature(self, g: float) -> float:
        unit = self.unit

        def integrand(a1: np.ndarray, b: np.ndarray) -> np.ndarray:
            return a1 * a1 * unit_loss(unit.loss, unit.theta, unit.output(b)[0]).d2phi(g * a1)

        return float(self._mean(g, integrand)) + unit.length_penalty * self.squared

    def gradient(self, g: float) -> np.ndarray:
        c1, c2 = self.coefficients(g)
        return c1 * self.unit.moments.u + c2 * g * self.Sv

    def coefficients(self, g: float) -> tuple[float, float]:
        # Stein's lemma for psi(a, b) = dl/da, with Cov(z) v* = u (1 - t)/sqrt(t), gives
        # c1 = E psi - (u^T wt) E d psi/da + (1 - t)/sqrt(t) E d psi/db and c2 = E d psi/da.
        unit = self.unit

        def integrand(a1: np.ndarray, b: np.ndarray) -> np.ndarray:
            output, drift = unit.output(b)
            inner, a = unit_loss(unit.loss, unit.theta, output), g * a1
            outer = unit.loss.d2phi(output + unit.theta * np.tanh(a))
            return np.stack([inner.dphi(a), inner.d2phi(a), unit.theta * _sech2(a) * outer * drift])

        psi, psi_a, psi_b = self._mean(g, integrand)
        c1 = psi - g * self.overlap * psi_a + self._sd_b**2 / self._root_t * psi_b
        return float(c1), float(psi_a) + unit.length_penalty

    def _penalty_slope(self, g: float) -> float:
        return self.unit.length_penalty * g * self.squared

    def _mean(self, g: float, f: Callable[..., np.ndarray]) -> np.ndarray:
        """Return E f(a1, b); f varies on the scales of a = g a1 and of the other units."""
        unit = self.unit
        fastest = max([abs(g * self._along), *(abs(h) * self._sd_b for _, h in unit.others)])
        # F grows off the real axis like a sum of tangents. l(F) has its first singularity where
        # sum |theta_j| tan(y) = pi, closer to the axis than that of l itself.
        sharpness = 1.1 / np.arctan(np.pi / (abs(unit.theta) + sum(abs(t) for t, _ in unit.others)))

        def integrand(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
            a1 = self.overlap + self._along * x1 + self._across * x2
            return f(a1, self._root_t + self._sd_b * x1)

        return expectation_2d(integrand, (sharpness * fastest, sharpness * abs(g) * self._across))
