"""Objectives of every kind, for the tests of their common interface."""

import numpy as np
import pytest

import polarstep as ps
from problems import ARCTAN, LOSS_NAMES, population, skewed


def objectives():
    """Return objectives of every kind, with every loss, with and without a penalty."""
    X, y = skewed(3, 60, 3)
    p = population(4, 3, kappa=4.0, separation=0.4)
    line = np.linalg.solve(p.S, p.u)
    cases = {}
    for lam in (0.0, 0.3):
        cases[f"least squares-{lam}"] = ps.LeastSquares(X, 2 * y + 0.3, lam)
        for loss in [*LOSS_NAMES, ARCTAN]:
            cases[f"data-{loss}-{lam}"] = ps.Halfspace(X, y, loss, lam)
            cases[f"population-{loss}-{lam}"] = ps.GaussianHalfspace(p.u, p.S, loss, lam)
        for loss in ("softplus", "sigmoid", "squared", ARCTAN):
            network = ps.TanhNetwork(
                X, y, 3, loss=loss, output_weights=[1, -2, 0.5], length_penalty=lam
            )
            weights = 0.4 * p.rng.standard_normal((3, 3))
            cases[f"unit on data-{loss}-{lam}"] = network.unit(1, weights)
        for loss in ("softplus", "normal_cdf", "squared"):
            network = ps.TanhNetwork.gaussian(
                p.u, p.S, 3, loss=loss, output_weights=[1, 2, -0.5], length_penalty=lam
            )
            weights = np.outer([-0.5, 0.0, 1.2], line)
            cases[f"unit in population-{loss}-{lam}"] = network.unit(1, weights)
    return [pytest.param(objective, id=name) for name, objective in cases.items()]


OBJECTIVES = objectives()
WT = np.array([0.7, -0.4, 0.2])
