"""The objective of a hidden layer of tanh units, as a function of one unit at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..validation import complaint, whole_number
from .halfspace import Halfspace
from .objective import Objective
from .population import GaussianHalfspace
from .tanh_unit import UnitInPopulation, UnitOnData


class HiddenLayer:
    """The objective of a layer, as a function of the weights (m, d) of all its units.

    A row of zeros is a unit that is off.

    Parameters
    ----------
    objective : Halfspace or GaussianHalfspace
        The data or the population, the outer loss, the length penalty and the cap.
    n_units : int
        The number m of units.
    output_weights : float or array-like, shape (m,)
        The output weights theta.

    Attributes
    ----------
    objective : Halfspace or GaussianHalfspace
        The data or the population.
    moments : Moments
        The moments u and S.
    n_units : int
        The number m of units.
    output_weights : ndarray, shape (m,)
        The output weights theta.
    """

    def __init__(self, objective: Objective, n_units: int, output_weights: Any) -> None:
        self.objective, self.moments = objective, objective.moments
        self.n_units = whole_number(n_units, "TanhNetwork", "n_units", at_least=1)
        self.output_weights = _output_weights(output_weights, self.n_units)

    def unit(self, i: int, weights: np.ndarray) -> Objective:
        """Return f as a function of the weight of one unit.

        Parameters
        ----------
        i : int
            The index of the unit.
        weights : ndarray, shape (m, d)
            The weights of all units.

        Returns
        -------
        Objective
            The objective of the unit.
        """
        raise NotImplementedError

    def value(self, weights: np.ndarray) -> float:
        """Return f at the given weights.

        Parameters
        ----------
        weights : ndarray, shape (m, d)
            The weights of all units.

        Returns
        -------
        float
            The value of the objective, its penalties included.
        """
        lam = self.objective.length_penalty
        rest = sum(float(wt @ (self.moments.S @ wt)) for wt in weights[1:])
        return self.unit(0, weights).value(weights[0]) + 0.5 * lam * rest

    def criticality(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how far each unit is from a critical point; zeros for units that are off.

        Parameters
        ----------
        weights : ndarray, shape (m, d)
            The weights of all units.

        Returns
        -------
        tuple of (ndarray, ndarray)
            The slopes d_g f and the norms ||grad f||_{S^-1} of every unit.
        """
        slopes, norms = np.zeros(self.n_units), np.zeros(self.n_units)
        for i in map(int, np.flatnonzero(weights.any(axis=1))):
            gradient = self.unit(i, weights).gradient(weights[i])
            slopes[i] = weights[i] @ gradient / self.moments.norm(weights[i])
            norms[i] = self.moments.dual_norm(gradient)
        return slopes, norms

    def is_admissible(self, wt: np.ndarray) -> bool:
        """Return whether the objectives of the other units allow this weight of a unit.

        Parameters
        ----------
        wt : ndarray, shape (d,)
            The weight.

        Returns
        -------
        bool
            Always True on a sample.
        """
        return True

    def moved_to_line(self, wt: np.ndarray) -> np.ndarray:
        """Return a weight, moved onto the line S^-1 u if it is almost there and f requires that.

        Parameters
        ----------
        wt : ndarray, shape (d,)
            The weight.

        Returns
        -------
        ndarray, shape (d,)
            On a sample, the weight itself.
        """
        return wt

    def others(self, i: int, weights: np.ndarray) -> list[int]:
        """Return the indices of the other units that are on.

        Parameters
        ----------
        i : int
            The index of the unit.
        weights : ndarray, shape (m, d)
            The weights of all units.

        Returns
        -------
        list of int
            The indices.
        """
        return [j for j in range(self.n_units) if j != i and weights[j].any()]


class SampleLayer(HiddenLayer):
    """The objective of a layer on a sample.

    Parameters
    ----------
    halfspace : Halfspace
        The data, the outer loss, the length penalty and the cap.
    n_units : int
        The number m of units.
    output_weights : float or array-like, shape (m,)
        The output weights theta.
    """

    def __init__(self, halfspace: Halfspace, n_units: int, output_weights: Any) -> None:
        super().__init__(halfspace, n_units, output_weights)
        self.halfspace = halfspace

    def unit(self, i: int, weights: np.ndarray) -> Objective:
        theta = self.output_weights
        others = [(float(theta[j]), weights[j]) for j in self.others(i, weights)]
        return UnitOnData(self.halfspace, float(theta[i]), others)


class PopulationLayer(HiddenLayer):
    """The objective of a layer in a Gaussian population, whose units lie on the line S^-1 u.

    Parameters
    ----------
    population : GaussianHalfspace
        The moments, the outer loss, the length penalty and the cap.
    n_units : int
        The number m of units.
    output_weights : float or array-like, shape (m,)
        The output weights theta.
    """

    def __init__(self, population: GaussianHalfspace, n_units: int, output_weights: Any) -> None:
        super().__init__(population, n_units, output_weights)
        self.population = population

    def unit(self, i: int, weights: np.ndarray) -> Objective:
        others = []
        for j in self.others(i, weights):
            if not self.is_admissible(weights[j]):
                gap = self.moments.direction_gap(weights[j])
                must = "have all other rows on the line S^-1 u or equal to zero"
                got = f"row {j} with a direction gap of {gap:.2g}"
                advice = "Train that unit with more iterations first."
                raise ValueError(complaint("TanhNetwork.unit", "weights", must, got, advice))
            others.append((float(self.output_weights[j]), self._length_on_line(weights[j])))
        return UnitInPopulation(self.population, float(self.output_weights[i]), others)

    def is_admissible(self, wt: np.ndarray) -> bool:
        return not wt.any() or self.moments.direction_gap(wt) <= -1e-8 * self.moments.rho_star

    def moved_to_line(self, wt: np.ndarray) -> np.ndarray:
        # The objectives of the other units neglect a direction gap below the tolerance.
        if not self.is_admissible(wt):
            return wt
        direction = self.moments.solve(self.moments.u)
        return self._length_on_line(wt) * (direction / self.moments.norm(direction))

    def _length_on_line(self, wt: np.ndarray) -> float:
        """Return g with wt = g S^-1 u/||S^-1 u||_S, for a weight wt on that line."""
        return float(np.copysign(self.moments.norm(wt), self.moments.u @ wt))


def _output_weights(theta: Any, n_units: int) -> np.ndarray:
    try:
        result = np.broadcast_to(np.asarray(theta, float), (n_units,)).copy()
    except (TypeError, ValueError):
        must = f"be a number or {n_units} numbers"
        raise ValueError(complaint("TanhNetwork", "output_weights", must, repr(theta))) from None
    if not (np.isfinite(result).all() and result.all()):
        must = "be finite and not zero"
        raise ValueError(complaint("TanhNetwork", "output_weights", must, repr(theta)))
    return result
