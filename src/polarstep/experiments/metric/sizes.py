"""The sizes of the experiment on the metric of batch normalization, by preset."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """The sizes of one preset."""

    units: int  # in each hidden layer
    samples: int
    validation: int  # the number of images for validation
    side: int  # the width to which CIFAR-10's images are shrunk, in pixels
    batch: int  # the number of images in a mini-batch
    steps: int
    points: int  # the number of measurements of a run
    seeds: int
    rates_per_decade: int  # even, because ranges begin at half decades


SIZES = {
    "quick": Sizes(
        units=50,
        samples=1_500,
        validation=400,
        side=8,
        batch=64,
        steps=50,
        points=10,
        seeds=2,
        rates_per_decade=2,
    ),
    "paper": Sizes(
        units=50,
        samples=20_000,
        validation=2_000,
        side=16,
        batch=128,
        steps=400,
        points=25,
        seeds=3,
        rates_per_decade=4,
    ),
}
