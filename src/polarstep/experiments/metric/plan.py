"""Batch normalization's metric without batch normalization: what to run.

Plain networks whose optimizer steps in the metric of the layers' inputs, against networks that are
normalized, and against plain ones in other metrics: six hidden layers, mini-batches of images. Each
method is tried over a range of learning rates, with every seed, and the range goes on where it ends
on a rate that is still good.

How a network is trained needs PyTorch and lives in `training`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...extras import require_torch
from ..data.images import image_data
from ..deep.plan import ACTIVATIONS
from ..records import Row
from ..running import Spec, Stage
from .sizes import Sizes


class Method(NamedTuple):
    """A network and its optimizer.

    Attributes
    ----------
    normalization : None, "batch" or "weight"
    optimizer : "SGD", "AdamW" or "LengthDirection"
    options : dict
        Of the optimizer; what is not named is its default.
    smallest : float
        Learning rate that the range begins with, a power of the root of ten.
    """

    normalization: str | None
    optimizer: str
    options: dict[str, Any]
    smallest: float


def _turning(metric: str, direction: str) -> Method:
    options = {"metric": metric, "direction": direction}
    return Method(None, "LengthDirection", options, 10**-2.5)


_SGD = ("SGD", {"momentum": 0.9}, 10**-2.0)
METHODS = {
    "SGD": Method(None, *_SGD),
    "batch normalization": Method("batch", *_SGD),
    "weight normalization": Method("weight", *_SGD),
    "AdamW": Method(None, "AdamW", {}, 10**-3.0),
    "euclidean, sgd": _turning("euclidean", "sgd"),
    "covariance, sgd": _turning("covariance", "sgd"),
    "euclidean, polar": _turning("euclidean", "polar"),
    "covariance, polar": _turning("covariance", "polar"),
}
BATCH = "batch normalization"
DIRECTIONS = ("sgd", "polar")
DECADES = 1.5  # that every method is tried over
WARM_UP = 0.05  # the share of the steps over which the rate rises; then it falls to zero
TAIL = 0.1  # the share of the steps whose mean loss is the score
DIVERGED = 10.0  # times the first loss
_TOLERANCE = 0.1  # of the way from the best score of all to the first loss: still a good rate
_EXTENSIONS = 2

RULE = f"""
Every method is tried at rates 10^(k/2) or 10^(k/4) over {DECADES:g} decades, from those that the
table begins with, with every seed; where the rate at an end is good, the range goes on by one rate,
up to {_EXTENSIONS} times. All rates rise linearly over the first {WARM_UP:.0%} of the steps and
fall linearly to zero. The score is the mean loss of the mini-batches over the last {TAIL:.0%} of
the steps, mean over seeds, infinite where a training diverged (a loss that is not finite, or above
{DIVERGED:g} times the first one); the lowest wins, ties go to the smaller rate. A rate is good if
its score exceeds the method's best one by at most {_TOLERANCE:.0%} of the way from the best score
of all methods, with that activation, to the loss at the start; each good rate counts as the step
between two of them.
"""

Network = tuple[str, str]  # (activation, method)


def stages(sizes: Sizes, data: Path | None, seeds: int | None = None) -> list[Stage]:
    """The stages of the experiment, in order.

    Raises
    ------
    ModuleNotFoundError
        PyTorch is not installed.
    """
    require_torch("polarstep reproduce metric")
    name = image_data(data)
    common = {
        "data": name,
        "samples": sizes.samples,
        "side": sizes.side if name == "cifar10" else None,
        "validation": sizes.validation,
        "units": sizes.units,
        "batch": sizes.batch,
        "steps": sizes.steps,
        "points": sizes.points,
        "per_decade": sizes.rates_per_decade,
    }

    def trainings(rates: Iterable[tuple[Network, float]]) -> list[Spec]:
        return [
            {
                "stage": "training",
                **common,
                "activation": activation,
                "method": method,
                "rate": rate,
                "seed": seed,
            }
            for (activation, method), rate in rates
            for seed in range(sizes.seeds if seeds is None else seeds)
        ]

    def first(rows: list[Row]) -> list[Spec]:
        return trainings(
            ((activation, method), rate)
            for activation in ACTIVATIONS
            for method in METHODS
            for rate in first_rates(method, sizes.rates_per_decade)
        )

    def further(rows: list[Row]) -> list[Spec]:
        return trainings(
            (network, rate) for network, sweep in sweeps(rows).items() for rate in sweep.beyond
        )

    wider = [(f"metric: wider, {k + 1} of {_EXTENSIONS}", further) for k in range(_EXTENSIONS)]
    return [("metric: learning rates", first), *wider]


def first_rates(method: str, per_decade: int) -> list[float]:
    """The rates that a method is tried at first, in ascending order."""
    smallest = METHODS[method].smallest
    return [_moved(smallest, k, per_decade) for k in range(round(DECADES * per_decade) + 1)]


def _moved(rate: float, by: int, per_decade: int) -> float:
    """The rate so many places further in the grid 10^(k / per_decade), to three digits."""
    k = round(np.log10(rate) * per_decade) + by
    return float(f"{10 ** (k / per_decade):.3g}")


@dataclass(frozen=True)
class Sweep:
    """The scores of one network: `scores[i]`, the mean over seeds, at `rates[i]`, ascending."""

    rates: tuple[float, ...]
    scores: np.ndarray
    tolerance: float
    per_decade: int

    @property
    def best(self) -> float:
        """The tuned learning rate."""
        return min(zip(self.scores, self.rates, strict=True))[1]

    @property
    def limit(self) -> float:
        """The highest score of a good rate."""
        return float(self.scores.min() + self.tolerance)

    @property
    def good(self) -> list[float]:
        """The good rates, as `RULE` defines them."""
        pairs = zip(self.rates, self.scores, strict=True)
        return [rate for rate, score in pairs if np.isfinite(score) and score <= self.limit]

    @property
    def decades(self) -> float:
        """The width of the range of good rates."""
        return len(self.good) / self.per_decade

    @property
    def beyond(self) -> list[float]:
        """The next rate after each end of the range that is good."""
        ends = [(self.rates[0], -1), (self.rates[-1], 1)]
        return [_moved(r, way, self.per_decade) for r, way in ends if r in self.good]


def sweeps(rows: Iterable[Row]) -> dict[Network, Sweep]:
    """The sweep of every network that has been tried at all its first rates with all seeds."""
    tried: dict[Network, dict[float, dict[int, Row]]] = defaultdict(lambda: defaultdict(dict))
    rows = list(rows)
    for row in rows:
        spec = row["spec"]
        tried[spec["activation"], spec["method"]][spec["rate"]][spec["seed"]] = row
    seeds = {row["spec"]["seed"] for row in rows}
    scores: dict[Network, dict[float, float]] = {}
    for network in [(a, m) for a in ACTIVATIONS for m in METHODS]:
        whole = {r: by for r, by in sorted(tried[network].items()) if by.keys() >= seeds}
        if whole and whole.keys() >= set(first_rates(network[1], rows[0]["spec"]["per_decade"])):
            scores[network] = {rate: _score(by_seed.values()) for rate, by_seed in whole.items()}
    tolerance = {}
    for activation in {a for a, _ in scores}:
        starts = [r["outcome"]["start"] for r in rows if r["spec"]["activation"] == activation]
        least = min(min(s.values()) for (a, _), s in scores.items() if a == activation)
        tolerance[activation] = _TOLERANCE * max(float(np.mean(starts)) - least, 0.0)
    return {
        network: Sweep(
            tuple(by_rate),
            np.array(list(by_rate.values())),
            tolerance[network[0]],
            rows[0]["spec"]["per_decade"],
        )
        for network, by_rate in scores.items()
    }


def _score(rows: Iterable[Row]) -> float:
    scores = [row["outcome"]["score"] for row in rows]
    return np.inf if None in scores else float(np.mean(scores))
