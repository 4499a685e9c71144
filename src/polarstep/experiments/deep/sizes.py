"""The sizes of the experiment on deep networks, by preset."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """The sizes of one preset."""

    units: int  # in each hidden layer
    samples: int
    steps: int
    seeds: int
    coupling_samples: int
    points: int  # iterations at which a run is measured, besides those where it passes a level


SIZES = {
    "quick": Sizes(units=50, samples=400, steps=80, seeds=2, coupling_samples=250, points=5),
    "paper": Sizes(units=50, samples=2_500, steps=400, seeds=3, coupling_samples=1_000, points=11),
}
