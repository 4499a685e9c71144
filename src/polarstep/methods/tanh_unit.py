"""One tanh unit of a network as an objective: f as a function of one wt_i, the others held fixed.

With Gaussian z its gradient is again c1 u + c2 S wt, so that GDNP applies (Theorem 3).
Source: Kohler et al. 2019, section 4.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..losses import MarginLoss
from ..quadrature import expectation_2d
from .objectives import DataRay, GaussianHalfspace, Halfspace, Objective, Ray


def _sech2(a: np.ndarray) -> np.ndarray:
    """The derivative of tanh, without cancellation."""
    e = np.exp(-2.0 * np.abs(a))
    return 4.0 * e / np.square(1.0 + e)


def unit_loss(loss: MarginLoss, theta: float, others: Any = 0.0) -> MarginLoss:
    """phi(a) = l(others + theta tanh(a)), what one unit sees while the other units stand still.

    `others` is the output of the other units, a number or one value per sample.
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


class UnitOnData(Halfspace):
    """f as a function of one unit's weight: a halfspace with the loss that the unit sees."""

    def __init__(
        self,
        network: Halfspace,
        loss: MarginLoss,
        theta: float,
        others: list[tuple[float, np.ndarray]],
    ) -> None:
        vars(self).update(vars(network))
        self.curvature = np.inf
        margins = [(t, -network.labels * network.design.matvec(wt), wt) for t, wt in others]
        self.output = sum((t * np.tanh(a) for t, a, _ in margins), np.zeros(len(self.labels)))
        # dF_others/d(S^-1 u line), the part of c1 that comes from the units on that line.
        separation = -self.moments.rho_star or 1.0  # where u is zero, so is what it scales
        self.drift = sum(
            (t * _sech2(a) * float(self.moments.u @ wt) for t, a, wt in margins),
            np.zeros(len(self.labels)),
        ) * ((1.0 - separation) / separation)
        self.theta, self.outer = theta, loss
        self.loss = unit_loss(loss, theta, self.output)

    def ray(self, v: np.ndarray) -> DataRay:
        return _UnitDataRay(self, v)


class _UnitDataRay(DataRay):
    objective: UnitOnData

    def coefficients(self, g: float) -> tuple[float, float]:
        unit, a = self.objective, g * self.margins
        F = unit.output + unit.theta * np.tanh(a)
        extra = unit.design.average(unit.theta * _sech2(a) * unit.outer.d2phi(F) * unit.drift)
        c1, c2 = super().coefficients(g)
        return c1 + extra, c2


# --------------------------------------------------------------------------- in a population


class UnitInPopulation(Objective):
    """The same for Gaussian z, when the other units lie on the line S^-1 u.

    With b = z^T v*, v* = S^-1 u/||S^-1 u||_S, the output of the others is a function of b alone,
    and f is an integral over the Gaussian pair (a, b), a = z^T wt.
    """

    def __init__(
        self,
        network: GaussianHalfspace,
        loss: MarginLoss,
        theta: float,
        others: list[tuple[float, float]],
    ) -> None:
        vars(self).update(vars(network))
        self.curvature = np.inf
        self.theta, self.outer, self.others = theta, loss, others
        self.separation = -self.moments.rho_star

    def output(self, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the other units add up to at b, and its derivative."""
        zero = np.zeros_like(b)
        value = sum((t * np.tanh(g * b) for t, g in self.others), zero)
        return value, sum((t * g * _sech2(g * b) for t, g in self.others), zero)

    def ray(self, v: np.ndarray) -> Ray:
        return _UnitPopulationRay(self, v)


class _UnitPopulationRay(Ray):
    def __init__(self, objective: UnitInPopulation, v: np.ndarray) -> None:
        super().__init__(objective.moments, v)
        self.objective = objective
        t = objective.separation
        self.root_t, self.sd_b = np.sqrt(t), np.sqrt(1.0 - t)
        # a1 = z^T v = overlap + along x1 + across x2 and b = sqrt(t) + sd_b x1, x1, x2 standard.
        self.along = self.overlap * self.sd_b / self.root_t
        self.across = np.sqrt(max(self.squared - self.overlap**2 / t, 0.0))

    def _mean(self, g: float, f: Callable[..., np.ndarray]) -> np.ndarray:
        """E f(a1, b) for integrands with the scales of a = g a1 and of the other units."""
        unit = self.objective
        fastest = max([abs(g * self.along), *(abs(h) * self.sd_b for _, h in unit.others)])
        # F grows off the real axis like a sum of tangents: l(F) has its first singularity where
        # sum |theta_j| tan(y) = pi, closer than that of l itself.
        sharpness = 1.1 / np.arctan(np.pi / (abs(unit.theta) + sum(abs(t) for t, _ in unit.others)))

        def integrand(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
            a1 = self.overlap + self.along * x1 + self.across * x2
            return f(a1, self.root_t + self.sd_b * x1)

        return expectation_2d(integrand, (sharpness * fastest, sharpness * abs(g) * self.across))

    def _penalty(self, g: float) -> float:
        return self.objective.length_penalty * g * self.squared

    def value(self, g: float) -> float:
        unit = self.objective

        def loss(a1: np.ndarray, b: np.ndarray) -> np.ndarray:
            return unit.outer.phi(unit.output(b)[0] + unit.theta * np.tanh(g * a1))

        return float(self._mean(g, loss)) + 0.5 * g * self._penalty(g)

    def slope(self, g: float) -> float:
        unit = self.objective

        def integrand(a1: np.ndarray, b: np.ndarray) -> np.ndarray:
            return a1 * unit_loss(unit.outer, unit.theta, unit.output(b)[0]).dphi(g * a1)

        return float(self._mean(g, integrand)) + self._penalty(g)

    def curvature(self, g: float) -> float:
        unit = self.objective

        def integrand(a1: np.ndarray, b: np.ndarray) -> np.ndarray:
            return a1 * a1 * unit_loss(unit.outer, unit.theta, unit.output(b)[0]).d2phi(g * a1)

        return float(self._mean(g, integrand)) + unit.length_penalty * self.squared

    def gradient(self, g: float) -> np.ndarray:
        c1, c2 = self.coefficients(g)
        return c1 * self.objective.moments.u + c2 * g * self.Sv

    def coefficients(self, g: float) -> tuple[float, float]:
        # Stein's lemma for psi(a, b) = dl/da with Cov(z) v* = u (1 - t)/sqrt(t):
        # c1 = E psi - (u^T wt) E d psi/da + (1 - t)/sqrt(t) E d psi/db,  c2 = E d psi/da.
        unit = self.objective

        def integrand(a1: np.ndarray, b: np.ndarray) -> np.ndarray:
            output, drift = unit.output(b)
            seen, a = unit_loss(unit.outer, unit.theta, output), g * a1
            outer = unit.outer.d2phi(output + unit.theta * np.tanh(a))
            return np.stack([seen.dphi(a), seen.d2phi(a), unit.theta * _sech2(a) * outer * drift])

        psi, psi_a, psi_b = self._mean(g, integrand)
        c1 = psi - g * self.overlap * psi_a + self.sd_b**2 / self.root_t * psi_b
        return float(c1), float(psi_a) + unit.length_penalty
