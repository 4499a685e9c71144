"""The analysis of the rows on metrics: curves, and how fast one recipe reaches another's loss."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..networks.architecture import ACTIVATIONS
from ..networks.rates import RateSweep
from ..networks.rows import NetworkRows, diverged
from ..records import Row
from .plan import BATCH, RECIPES, Case, rate_sweeps
from .wording import Numbers

HALF = 0.5  # recipes are timed to the loss that another one has after this share of its steps
_TINY = 1e-12  # replaces lower losses, so that every loss has a logarithm


@dataclass(frozen=True)
class Analysis(NetworkRows):
    """The rows on metrics, and the quantities that the report computes from them."""

    @cached_property
    def sweeps(self) -> dict[Case, RateSweep]:
        """The learning-rate sweep of every case that has been tried at all of its first rates."""
        return rate_sweeps(self.rows)

    @property
    def activations(self) -> list[str]:
        """The activations for which there are sweeps."""
        return [a for a in ACTIVATIONS if any(case[0] == a for case in self.sweeps)]

    def recipes(self, activation: str) -> list[str]:
        """Return the recipes for which there is a sweep with an activation."""
        return [r for r in RECIPES if (activation, r) in self.sweeps]

    @cached_property
    def _runs(self) -> dict[tuple[Case, float], dict[int, Row]]:
        found: dict[tuple[Case, float], dict[int, Row]] = defaultdict(dict)
        for row in self.rows:
            spec = row["spec"]
            found[(spec["activation"], spec["method"]), spec["rate"]][spec["seed"]] = row
        return found

    def runs(self, case: Case, rate: float | None = None) -> dict[int, Row]:
        """Return the runs at a rate by their seeds; by default, at the tuned rate."""
        if rate is None:
            if case not in self.sweeps:
                return {}
            rate = self.sweeps[case].best
        return self._runs.get((case, rate), {})

    def curves(self, case: Case, field: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the steps, and one curve for each seed, at the tuned rate.

        `field` is "loss", which belongs to the middle of the steps that it is averaged over, or
        "validation_loss" or "accuracy", which belong to the last of these steps. Values after a
        run has diverged are NaN.
        """
        rows = list(self.runs(case).values())
        longest = max(rows, key=lambda row: len(row["outcome"]["points"]))
        t, _ = _curve(longest, field)
        curves = np.full((len(rows), len(t)), np.nan)
        for curve, row in zip(curves, rows, strict=True):
            values = _curve(row, field)[1]
            curve[: len(values)] = values
        return t, curves

    def by_case(self, quantity: Callable[[Case], float]) -> Numbers:
        """Return a quantity by case, for every case for which it is defined."""
        found = {case: quantity(case) for case in self.sweeps}
        return {case: value for case, value in found.items() if not np.isnan(value)}

    def seconds_per_step(self, case: Case) -> float:
        """Return the median time of a training step over all rates and seeds; NaN without any."""
        seconds = [
            row["outcome"]["seconds_per_step"]
            for (other, _), by_seed in self._runs.items()
            if other == case
            for row in by_seed.values()
        ]
        return float(np.median(seconds)) if seconds else np.nan

    def steps_ratio(self, case: Case, other: str = BATCH, field: str = "loss") -> float:
        """Return the steps that a case needs, relative to those of another recipe.

        Both are at their tuned rates, and steps are counted to the loss that `other` has half-way
        through its training. The result is the median over the seeds. It is infinite if half of
        the seeds do not reach that loss, and NaN if one of the two did not run or `other`
        diverged. `field` is "loss" or "validation_loss".
        """
        mine, theirs = self.runs(case), self.runs((case[0], other))
        ratios = []
        for seed in sorted(mine.keys() & theirs.keys()):
            t, loss = _curve(theirs[seed], field)
            half = HALF * theirs[seed]["spec"]["steps"]
            if not len(t) or t[-1] < half:
                continue
            level = float(np.exp(np.interp(half, t, np.log(np.maximum(loss, _TINY)))))
            if np.isfinite(level):
                steps = _steps_to_reach(*_curve(mine[seed], field), level)
                ratios.append(steps / _steps_to_reach(t, loss, level))
        return float(np.median(ratios)) if ratios else np.nan

    def seconds_ratio(self, case: Case, other: str = BATCH) -> float:
        """Return `steps_ratio` in seconds instead of steps."""
        seconds = [self.seconds_per_step(c) for c in (case, (case[0], other))]
        return self.steps_ratio(case, other) * seconds[0] / seconds[1]

    def decades_as_good(self, case: Case, other: str = BATCH) -> float:
        """Return the decades of rates at which a case scores as well as `other` at its good rates.

        The result is NaN if there is no sweep of `other`, or if it diverged at every rate.
        """
        theirs, mine = self.sweeps.get((case[0], other)), self.sweeps[case]
        if theirs is None or not theirs.good:
            return np.nan
        return float((mine.scores <= theirs.limit).sum()) / mine.per_decade

    def best_accuracy(self, case: Case) -> float:
        """Return the highest `accuracy` over all rates."""
        return max(self.accuracy(case, rate) for rate in self.sweeps[case].rates)

    def accuracy(self, case: Case, rate: float | None = None) -> float:
        """Return the final accuracy on the validation images at a rate, median over seeds.

        By default, the rate is the tuned one. The accuracy of a run that diverged is zero.
        """
        rows = self.runs(case, rate).values()
        ends = [0.0 if diverged(r) else r["outcome"]["points"][-1]["accuracy"] for r in rows]
        return float(np.median(ends)) if ends else np.nan

    def angles(self, case: Case) -> np.ndarray:
        """Return the angles, in radians, by which a step in mid-training turns each layer's rows.

        The angles are medians over the seeds at the tuned rate. The array is empty if no run was
        measured there.
        """
        found = []
        for row in self.runs(case).values():
            half = HALF * row["spec"]["steps"]
            at = [p["angles"] for p in row["outcome"]["points"] if p["steps"][1] >= half]
            found += at[:1]
        return np.median(np.array(found, float), axis=0) if found else np.array([])

    @property
    def diverged(self) -> int:
        """The number of runs that diverged, over all rates."""
        return sum(map(diverged, self.rows))


def _curve(row: Row, field: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps and the values of a curve, as `Analysis.curves` documents them."""
    points: list[dict[str, Any]] = row["outcome"]["points"]
    spans = np.array([point["steps"] for point in points], float).reshape(-1, 2)
    t = spans.mean(axis=1) if field == "loss" else spans[:, 1]
    return t, np.array([point[field] for point in points], float)


def _steps_to_reach(t: np.ndarray, loss: np.ndarray, level: float) -> float:
    """Return the step at which the loss first reaches a level; log(loss) is interpolated."""
    reached = np.flatnonzero(loss <= level * (1 + 1e-9))
    if not len(reached):
        return np.inf
    k = reached[0]
    if k == 0:
        return float(t[0])
    high, low, aim = np.log(np.maximum([loss[k - 1], loss[k], level], _TINY))
    share = (high - aim) / (high - low) if high > low else 1.0
    return float(t[k - 1] + min(share, 1.0) * (t[k] - t[k - 1]))
