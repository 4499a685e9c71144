"""The sizes of the experiment on the network with one hidden layer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """The sizes of one preset."""

    dimension: int
    kappa: float
    sweeps: int
    samples: int
    real_rows: int | None  # None for all rows of the real data set
    data_sweeps: int
    data_iterations: int
    seeds: None = None  # the network has no random starts


SIZES = {
    "quick": Sizes(
        dimension=10,
        kappa=10.0,
        sweeps=20,
        samples=3_000,
        real_rows=3_000,
        data_sweeps=5,
        data_iterations=100,
    ),
    "paper": Sizes(
        dimension=25,
        kappa=30.0,
        sweeps=30,
        samples=10_000,
        real_rows=None,
        data_sweeps=6,
        data_iterations=100,
    ),
}
