"""What the rows on metrics say: curves, and how soon one method is where another one is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..deep.plan import ACTIVATIONS
from ..formatting import short
from ..records import Row
from .plan import BATCH, METHODS, Network, Sweep, sweeps

Numbers = dict[Network, float]
HALF = 0.5  # of the steps: when the loss that the others are to reach is taken


@dataclass(frozen=True)
class Metrics:
    """The rows; where they are of two data sets, those of the one run last."""

    all_rows: tuple[Row, ...]

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of one data set."""
        return [r for r in self.all_rows if r["spec"]["data"] == self.all_rows[-1]["spec"]["data"]]

    @cached_property
    def sweeps(self) -> dict[Network, Sweep]:
        """The sweep of every network that has been tried at all its first rates."""
        return sweeps(self.rows)

    @property
    def activations(self) -> list[str]:
        """The activations that there are sweeps of."""
        return [a for a in ACTIVATIONS if any(network[0] == a for network in self.sweeps)]

    def methods(self, activation: str) -> list[str]:
        """The methods with a sweep."""
        return [m for m in METHODS if (activation, m) in self.sweeps]

    @cached_property
    def _trainings(self) -> dict[tuple[Network, float], dict[int, Row]]:
        found: dict[tuple[Network, float], dict[int, Row]] = defaultdict(dict)
        for row in self.rows:
            spec = row["spec"]
            found[(spec["activation"], spec["method"]), spec["rate"]][spec["seed"]] = row
        return found

    def trainings(self, network: Network, rate: float | None = None) -> dict[int, Row]:
        """seed -> the training at a rate; without one, at the tuned rate."""
        if rate is None:
            if network not in self.sweeps:
                return {}
            rate = self.sweeps[network].best
        return self._trainings.get((network, rate), {})

    def curves(self, network: Network, field: str) -> tuple[np.ndarray, np.ndarray]:
        """(steps, one curve for each seed) at the tuned rate; NaN after a training diverged.

        `field` is "loss", at the middle of the steps that it is the mean over, or
        "validation_loss" or "accuracy", at their end.
        """
        rows = list(self.trainings(network).values())
        longest: list[dict[str, Any]] = max((r["outcome"]["points"] for r in rows), key=len)
        curves = np.full((len(rows), len(longest)), np.nan)
        for curve, row in zip(curves, rows, strict=True):
            values = [point[field] for point in row["outcome"]["points"]]
            curve[: len(values)] = np.array(values, float)
        spans = np.array([point["steps"] for point in longest], float).reshape(-1, 2)
        return spans.mean(axis=1) if field == "loss" else spans[:, 1], curves

    def of_all(self, quantity: Callable[[Network], float]) -> Numbers:
        """A quantity of every network that has one."""
        found = {network: quantity(network) for network in self.sweeps}
        return {network: value for network, value in found.items() if not np.isnan(value)}

    def seconds_per_step(self, network: Network) -> float:
        """Of training alone, median over all rates and seeds; NaN without trainings."""
        seconds = [
            row["outcome"]["seconds_per_step"]
            for (of, _), by_seed in self._trainings.items()
            if of == network
            for row in by_seed.values()
        ]
        return float(np.median(seconds)) if seconds else np.nan

    def steps_ratio(self, network: Network, other: str = BATCH, field: str = "loss") -> float:
        """Steps to the loss that `other` has half-way, over those it takes; median over seeds.

        Infinite where half of the seeds do not get there, NaN where one of the two did not run or
        `other` diverged. Both are at their tuned rates, and seeds are compared with themselves.
        `field` is "loss" or "validation_loss".
        """
        mine, theirs = self.trainings(network), self.trainings((network[0], other))
        ratios = []
        for seed in sorted(mine.keys() & theirs.keys()):
            t, loss = _curve(theirs[seed], field)
            half = HALF * theirs[seed]["spec"]["steps"]
            if not len(t) or t[-1] < half:
                continue
            level = float(np.exp(np.interp(half, t, np.log(np.maximum(loss, _TINY)))))
            if np.isfinite(level):
                steps = _first(*_curve(mine[seed], field), level)
                ratios.append(steps / _first(t, loss, level))
        return float(np.median(ratios)) if ratios else np.nan

    def seconds_ratio(self, network: Network, other: str = BATCH) -> float:
        """`steps_ratio`, in seconds."""
        seconds = [self.seconds_per_step(n) for n in (network, (network[0], other))]
        return self.steps_ratio(network, other) * seconds[0] / seconds[1]

    def decades_as_good(self, network: Network, other: str = BATCH) -> float:
        """The decades of rates at which a method scores as well as `other` does at its good ones.

        NaN without a sweep of `other`, and where that diverged at every rate.
        """
        theirs, mine = self.sweeps.get((network[0], other)), self.sweeps[network]
        if theirs is None or not theirs.good:
            return np.nan
        return float((mine.scores <= theirs.limit).sum()) / mine.per_decade

    def best_accuracy(self, network: Network) -> float:
        """The `accuracy` at the rate where it is highest."""
        return max(self.accuracy(network, rate) for rate in self.sweeps[network].rates)

    def accuracy(self, network: Network, rate: float | None = None) -> float:
        """On the validation images at the end, median over seeds; of one that diverged it is zero.

        At a rate; without one, at the tuned rate.
        """
        outcomes = [row["outcome"] for row in self.trainings(network, rate).values()]
        ends = [o["points"][-1]["accuracy"] if _finished(o) else 0.0 for o in outcomes]
        return float(np.median(ends)) if ends else np.nan

    def angles(self, network: Network) -> np.ndarray:
        """By how much the rows of each layer turn in one step half-way, median over seeds.

        At the tuned rate, in radians; empty where nothing was measured there.
        """
        found = []
        for row in self.trainings(network).values():
            half = HALF * row["spec"]["steps"]
            at = [p["angles"] for p in row["outcome"]["points"] if p["steps"][1] >= half]
            found += at[:1]
        return np.median(np.array(found, float), axis=0) if found else np.array([])

    @property
    def diverged(self) -> int:
        """How many trainings diverged, at any rate."""
        return sum(not _finished(row["outcome"]) for row in self.rows)


def listed(numbers: Numbers) -> str:
    """ "relu: SGD 3, covariance + polar 2; tanh: ..."."""
    return "; ".join(
        f"{activation}: "
        + ", ".join(
            f"{m.replace(', ', ' + ')} {number(numbers[activation, m])}"
            for m in METHODS
            if (activation, m) in numbers
        )
        for activation in dict.fromkeys(a for a, _ in numbers)
    )


def number(ratio: float) -> str:
    """A ratio in two or three characters; of steps, an infinite one is never."""
    return "never" if np.isinf(ratio) else short(ratio)


_TINY = 1e-12  # losses below are taken for this, so that they have a logarithm


def _finished(outcome: dict[str, Any]) -> bool:
    return bool(outcome["status"] == "finished")


def _curve(row: Row, field: str) -> tuple[np.ndarray, np.ndarray]:
    """(steps, losses): of mini-batches at the middle of their steps, of validation at the end."""
    points = row["outcome"]["points"]
    spans = np.array([point["steps"] for point in points], float).reshape(-1, 2)
    t = spans.mean(axis=1) if field == "loss" else spans[:, 1]
    return t, np.array([point[field] for point in points], float)


def _first(t: np.ndarray, loss: np.ndarray, level: float) -> float:
    """When the loss is first at the level, its logarithm being linear between two points."""
    reached = np.flatnonzero(loss <= level * (1 + 1e-9))
    if not len(reached):
        return np.inf
    k = reached[0]
    if k == 0:
        return float(t[0])
    high, low, aim = np.log(np.maximum([loss[k - 1], loss[k], level], _TINY))
    share = (high - aim) / (high - low) if high > low else 1.0
    return float(t[k - 1] + min(share, 1.0) * (t[k] - t[k - 1]))
