"""The sizes of the experiment on halfspaces."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """The sizes of one preset."""

    population_dimension: int
    population_iterations: dict[int, int]  # by condition number
    samples: int  # of the Gaussian problem
    features: int
    kappa: float
    iterations: int
    real_rows: int | None  # None for all rows of the real data set
    real_iterations: int
    seeds: int


SIZES = {
    "quick": Sizes(
        population_dimension=20,
        population_iterations={10: 100, 100: 800, 10_000: 2_000},
        samples=3_000,
        features=20,
        kappa=30.0,
        iterations=300,
        real_rows=3_000,
        real_iterations=300,
        seeds=10,
    ),
    "paper": Sizes(
        population_dimension=50,
        population_iterations={10: 200, 100: 2_000, 10_000: 30_000},
        samples=10_000,
        features=50,
        kappa=50.0,
        iterations=500,
        real_rows=None,
        real_iterations=300,
        seeds=10,
    ),
}
