"""Experiment II of the paper on deep networks: the plan of its training runs.

Fully connected networks with six hidden layers are trained on images by gradient descent on all
samples: plain, with batch normalization and with weight normalization. The first stage trains every
network at every learning rate of a grid. The second stage trains and measures every network at
its own tuned rate and at those of the other networks with the same activation, so that networks
can be compared at their tuned rates and at equal rates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ...extras import require_torch
from ..data.images import image_data
from ..networks.architecture import ACTIVATIONS
from ..networks.rates import RateSweep
from ..records import Row
from ..running import Spec, Stage
from .sizes import Sizes

NORMALIZATIONS = ("plain", "batch", "weight")
MIDDLE = 4  # number of the layer whose coupling with the other layers is measured
RATES_PER_DECADE = 4
RATES = tuple(float(f"{10 ** (k / RATES_PER_DECADE):.3g}") for k in range(-12, 5))
LEVELS = (2.0, 1.5, 1.0, 0.5, 0.1)  # losses at which networks are compared
COUPLING_ERROR = 0.01  # relative standard error of a coupling that is estimated
STEP_FACTORS = (0.5, 1.0, 2.0)  # multiples of the step at which the smoothness is measured
TAIL = 0.05  # the score is the mean loss over this last share of the steps
_TUNING_SEED = 10_000  # the seeds of the runs count up from 0
_TOLERANCE = 0.1  # limit of good scores, as a share of the way from the best score to the start

RULE = f"""
The learning rates are 10^(k/4) from {RATES[0]:g} to {RATES[-1]:g}. Each is tried for as many steps
as the runs take, from initial weights that no run uses. The score is the mean training loss over
the last {TAIL:.0%} of the steps, and infinite if the training diverged. The lowest score wins, and
the smaller rate wins a tie. A rate is good if its score exceeds the best one by at most
{_TOLERANCE:.0%} of the way from the best score to the initial loss. Each good rate of the grid
counts as a quarter of a decade.
"""

Network = tuple[str, str]  # (activation, normalization)


def rate_sweeps(rows: Iterable[Row]) -> dict[Network, RateSweep]:
    """Return the sweep of every network that has been tried at all rates."""
    tried: dict[Network, dict[float, dict[str, Any]]] = defaultdict(dict)
    for row in rows:
        spec = row["spec"]
        if spec["stage"] == "tuning":
            tried[spec["activation"], spec["normalization"]][spec["rate"]] = row["outcome"]
    networks = [(a, n) for a in ACTIVATIONS for n in NORMALIZATIONS]
    return {n: _sweep(at) for n in networks if (at := tried[n]).keys() >= set(RATES)}


def _sweep(outcomes: dict[float, dict[str, Any]]) -> RateSweep:
    scores = np.array([np.inf if (s := outcomes[r]["score"]) is None else s for r in RATES])
    start = outcomes[RATES[0]]["start"]
    tolerance = _TOLERANCE * (start - scores.min())
    return RateSweep(RATES, scores, start, tolerance, RATES_PER_DECADE)


def stages(sizes: Sizes, data: Path | None, seeds: int | None = None) -> list[Stage]:
    """Return the stages of the experiment in order.

    Raises
    ------
    ModuleNotFoundError
        If PyTorch is not installed.
    """
    require_torch("polarstep reproduce deep")
    common = {
        "data": image_data(data),
        "samples": sizes.samples,
        "units": sizes.units,
        "steps": sizes.steps,
    }
    start, *later = _measured_at(sizes.steps, sizes.points)

    def measured(at_tuned_rate: bool) -> Spec:
        # The start is the same at every rate, so only the run at the tuned rate measures it. Only
        # these runs are compared at equal losses.
        return {
            "coupling_samples": sizes.coupling_samples,
            "measured_at": [start, *later] if at_tuned_rate else later,
            "levels": list(LEVELS) if at_tuned_rate else [],
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
        sweeps = rate_sweeps(rows)
        return [
            {
                "stage": "run",
                **common,
                **measured(rate == sweeps[activation, normalization].best),
                "activation": activation,
                "normalization": normalization,
                "rate": rate,
                "seed": seed,
            }
            for seed in range(sizes.seeds if seeds is None else seeds)
            for activation in ACTIVATIONS
            for rate in sorted({sweeps[activation, n].best for n in NORMALIZATIONS})
            for normalization in NORMALIZATIONS
        ]

    return [("deep: tuning rates", attempts), ("deep: runs", runs)]


def _measured_at(steps: int, points: int) -> list[int]:
    """Return iteration 0 and iterations that are spaced evenly on a logarithmic scale."""
    later = np.geomspace(1, steps, max(points - 1, 1)).round().astype(int)
    return [0, *np.unique(later).tolist()]
