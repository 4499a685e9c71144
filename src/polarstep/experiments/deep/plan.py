"""Experiment II: deep networks, plain, with batch and with weight normalization; what to run.

Fully connected networks with six hidden layers, trained by full-batch gradient descent
on images. Stages: every network at every learning rate of a grid; then, per activation, every
network at the tuned rate of each, so that networks can be compared at their own rates and at equal
rates, measured on the way.

How a network is trained and what is measured needs PyTorch and lives in `training`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...extras import require_torch
from ..data.images import image_data
from ..records import Row
from ..running import Spec, Stage
from .sizes import Sizes

ACTIVATIONS = ("relu", "tanh")
NORMALIZATIONS = ("plain", "batch", "weight")
HIDDEN_LAYERS = 6
LAYERS = tuple(f"linear{k}.weight" for k in range(1, HIDDEN_LAYERS + 2))
MIDDLE = 4  # the layer whose dependence on the others is measured
RATES_PER_DECADE = 4
RATES = tuple(float(f"{10 ** (k / RATES_PER_DECADE):.3g}") for k in range(-12, 5))
LEVELS = (2.0, 1.5, 1.0, 0.5, 0.1)  # losses at which networks are compared
COUPLING_ERROR = 0.01  # the relative standard error of coupling where it is estimated
STEP_FACTORS = (0.5, 1.0, 2.0)  # how far along a step the smoothness of the loss is measured
_TUNING_SEED = 10_000  # seeds of the runs count up from 0
_TAIL = 0.05  # the share of the steps whose mean loss is the score
_TOLERANCE = 0.1  # of the way from the best score back to the initial loss: still a good rate

RULE = f"""
Learning rates are 10^(k/4) from {RATES[0]:g} to {RATES[-1]:g}, tried for as many steps as the runs
take, from initial weights that no run uses. The score is the mean training loss over the last
{_TAIL:.0%} of the steps, infinite where the training diverged; the lowest wins, ties go to the
smaller rate. A rate is good if its score exceeds the best one by at most {_TOLERANCE:.0%} of the
way from the best score to the initial loss; each good rate of the grid counts as a quarter of a
decade.
"""

Network = tuple[str, str]  # (activation, normalization)


@dataclass(frozen=True)
class Tuning:
    """The scores of one network: `scores[i]` at `RATES[i]`, and the loss that it starts from."""

    scores: np.ndarray
    start: float

    @property
    def best(self) -> float:
        """The tuned learning rate."""
        return min(zip(self.scores, RATES, strict=True))[1]

    @property
    def good(self) -> list[float]:
        """The good rates, as `RULE` defines them."""
        least = self.scores.min()
        if np.isinf(least):
            return []
        limit = least + _TOLERANCE * (self.start - least)
        return [r for r, s in zip(RATES, self.scores, strict=True) if s <= limit]

    @property
    def decades(self) -> float:
        """The width of the range of good rates."""
        return len(self.good) / RATES_PER_DECADE


def score(loss: Iterable[float]) -> float:
    """The mean over the last part of the steps; infinite if one of them is not finite."""
    losses = np.array(list(loss), float)
    tail = losses[-max(1, round(_TAIL * len(losses))) :]
    return float(tail.mean()) if np.isfinite(tail).all() else np.inf


def tunings(rows: Iterable[Row]) -> dict[Network, Tuning]:
    """The tuning of every network that has been tried at all rates."""
    tried: dict[Network, dict[float, dict[str, Any]]] = defaultdict(dict)
    for row in rows:
        spec = row["spec"]
        if spec["stage"] == "tuning":
            tried[spec["activation"], spec["normalization"]][spec["rate"]] = row["outcome"]
    networks = [(a, n) for a in ACTIVATIONS for n in NORMALIZATIONS]
    return {
        network: Tuning(
            np.array([np.inf if (s := at[rate]["score"]) is None else s for rate in RATES]),
            at[RATES[0]]["start"],
        )
        for network in networks
        if (at := tried[network]).keys() >= set(RATES)
    }


def stages(sizes: Sizes, data: Path | None, seeds: int | None = None) -> list[Stage]:
    """The stages of the experiment, in order.

    Raises
    ------
    ModuleNotFoundError
        PyTorch is not installed.
    """
    require_torch("polarstep reproduce deep")
    common = {
        "data": image_data(data),
        "samples": sizes.samples,
        "units": sizes.units,
        "steps": sizes.steps,
    }
    start, *later = _measured_at(sizes.steps, sizes.points)

    def measured(own_rate: bool) -> Spec:
        """The start, which no rate changes, and equal losses are for the runs at the own rate."""
        return {
            "coupling_samples": sizes.coupling_samples,
            "measured_at": [start, *later] if own_rate else later,
            "levels": list(LEVELS) if own_rate else [],
        }

    def attempts(rows: list[Row]) -> list[Spec]:
        return [
            {
                "stage": "tuning",
                **common,
                "activation": activation,
                "normalization": normalization,
                "rate": rate,
                "seed": _TUNING_SEED,
            }
            for activation in ACTIVATIONS
            for normalization in NORMALIZATIONS
            for rate in RATES
        ]

    def runs(rows: list[Row]) -> list[Spec]:
        tuned = tunings(rows)
        return [
            {
                "stage": "run",
                **common,
                **measured(rate == tuned[activation, normalization].best),
                "activation": activation,
                "normalization": normalization,
                "rate": rate,
                "seed": seed,
            }
            for seed in range(sizes.seeds if seeds is None else seeds)
            for activation in ACTIVATIONS
            for rate in sorted({tuned[activation, n].best for n in NORMALIZATIONS})
            for normalization in NORMALIZATIONS
        ]

    return [("deep: tuning rates", attempts), ("deep: runs", runs)]


def _measured_at(steps: int, points: int) -> list[int]:
    """The start, and iterations spread evenly in log up to the last."""
    later = np.geomspace(1, steps, max(points - 1, 1)).round().astype(int)
    return [0, *np.unique(later).tolist()]
