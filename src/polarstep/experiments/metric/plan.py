"""The experiment on the metric of batch normalization: the plan of its training runs.

Plain networks whose optimizer works in the metric of the layers' inputs are compared with
normalized networks and with plain networks in other metrics. All networks have six hidden layers
and are trained on mini-batches of images. Each recipe is tried over a range of learning rates with
every seed, and the range is extended where it ends at a rate that is still good.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...extras import require_torch
from ..data.images import image_data
from ..networks.architecture import ACTIVATIONS
from ..networks.rates import RateSweep
from ..records import Row
from ..running import Spec, Stage
from .sizes import Sizes


class Recipe(NamedTuple):
    """How a network is trained: its normalization and its optimizer.

    Attributes
    ----------
    normalization : {None, "batch", "weight"}
        The normalization, as `polarstep.nn.mlp` names it.
    optimizer : {"SGD", "AdamW", "LengthDirection"}
        The name of the optimizer's class.
    options : dict
        Options of the optimizer that differ from its defaults.
    smallest : float
        The learning rate at which the range begins, a power of the square root of ten.
    """

    normalization: str | None
    optimizer: str
    options: dict[str, Any]
    smallest: float


def _length_direction(metric: str, direction: str) -> Recipe:
    options = {"metric": metric, "direction": direction}
    return Recipe(None, "LengthDirection", options, 10**-2.5)


_SGD = ("SGD", {"momentum": 0.9}, 10**-2.0)
RECIPES = {
    "SGD": Recipe(None, *_SGD),
    "batch normalization": Recipe("batch", *_SGD),
    "weight normalization": Recipe("weight", *_SGD),
    "AdamW": Recipe(None, "AdamW", {}, 10**-3.0),
    "euclidean, sgd": _length_direction("euclidean", "sgd"),
    "covariance, sgd": _length_direction("covariance", "sgd"),
    "euclidean, polar": _length_direction("euclidean", "polar"),
    "covariance, polar": _length_direction("covariance", "polar"),
}
BATCH = "batch normalization"
DIRECTIONS = ("sgd", "polar")
DECADES = 1.5  # the width of the range of rates before it is extended
WARM_UP = 0.05  # share of the steps in which the rate rises, before it falls to zero
TAIL = 0.1  # the score is the mean loss over this last share of the steps
DIVERGED = 10.0  # a run has diverged if its loss exceeds this multiple of its first loss
_TOLERANCE = 0.1  # limit of good scores, as a share of the way from the best score to the start
_EXTENSIONS = 2

RULE = f"""
Every recipe is tried with every seed at the rates 10^(k/2) or 10^(k/4) over {DECADES:g} decades,
from the first rate in the table. If the rate at an end of the range is good, the range is extended
by one rate, up to {_EXTENSIONS} times. All rates rise linearly over the first {WARM_UP:.0%} of the
steps and then fall linearly to zero. The score is the mean loss of the mini-batches over the last
{TAIL:.0%} of the steps, averaged over the seeds. It is infinite if a run diverged, which means
that a loss was not finite or exceeded {DIVERGED:g} times the first one. The lowest score wins, and
the smaller rate wins a tie. A rate is good if its score exceeds the best score of the recipe by at
most {_TOLERANCE:.0%} of the way from the best score of all recipes with the same activation to the
initial loss. Each good rate counts as one step of the grid.
"""

Case = tuple[str, str]  # (activation, name of the recipe)


def stages(sizes: Sizes, data: Path | None, seeds: int | None = None) -> list[Stage]:
    """Return the stages of the experiment in order.

    Raises
    ------
    ModuleNotFoundError
        If PyTorch is not installed.
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

    def specs(rates: Iterable[tuple[Case, float]]) -> list[Spec]:
        return [
            {
                "stage": "training",
                **common,
                "activation": activation,
                "method": recipe,
                "rate": rate,
                "seed": seed,
            }
            for (activation, recipe), rate in rates
            for seed in range(sizes.seeds if seeds is None else seeds)
        ]

    def first(rows: list[Row]) -> list[Spec]:
        return specs(
            ((activation, recipe), rate)
            for activation in ACTIVATIONS
            for recipe in RECIPES
            for rate in first_rates(recipe, sizes.rates_per_decade)
        )

    def further(rows: list[Row]) -> list[Spec]:
        sweeps = rate_sweeps(rows)
        return specs((case, rate) for case, sweep in sweeps.items() for rate in rates_beyond(sweep))

    wider = [
        (f"metric: wider ranges, {k + 1} of {_EXTENSIONS}", further) for k in range(_EXTENSIONS)
    ]
    return [("metric: learning rates", first), *wider]


def first_rates(recipe: str, per_decade: int) -> list[float]:
    """Return the rates at which a recipe is tried first, in ascending order."""
    smallest = RECIPES[recipe].smallest
    return [_neighbour(smallest, k, per_decade) for k in range(round(DECADES * per_decade) + 1)]


def rates_beyond(sweep: RateSweep) -> list[float]:
    """Return the next rate beyond each end of the range at which the rate is good."""
    ends = [(sweep.rates[0], -1), (sweep.rates[-1], 1)]
    return [_neighbour(r, step, sweep.per_decade) for r, step in ends if r in sweep.good]


def _neighbour(rate: float, steps: int, per_decade: int) -> float:
    """Return the rate `steps` steps further along the grid 10^(k / per_decade), to three digits."""
    k = round(np.log10(rate) * per_decade) + steps
    return float(f"{10 ** (k / per_decade):.3g}")


def rate_sweeps(rows: Iterable[Row]) -> dict[Case, RateSweep]:
    """Return the sweep of every case that has been tried at all first rates with all seeds."""
    rows = list(rows)
    tried: dict[Case, dict[float, dict[int, Row]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        spec = row["spec"]
        tried[spec["activation"], spec["method"]][spec["rate"]][spec["seed"]] = row
    seeds = {row["spec"]["seed"] for row in rows}
    scores: dict[Case, dict[float, float]] = {}
    for case in [(a, r) for a in ACTIVATIONS for r in RECIPES]:
        complete = {r: by for r, by in sorted(tried[case].items()) if by.keys() >= seeds}
        if complete and complete.keys() >= set(first_rates(case[1], rows[0]["spec"]["per_decade"])):
            scores[case] = {rate: _score(by_seed.values()) for rate, by_seed in complete.items()}
    return {
        case: RateSweep(
            tuple(by_rate),
            np.array(list(by_rate.values())),
            start := _mean_start(rows, case[0]),
            _tolerance(scores, case[0], start),
            rows[0]["spec"]["per_decade"],
        )
        for case, by_rate in scores.items()
    }


def _score(rows: Iterable[Row]) -> float:
    scores = [row["outcome"]["score"] for row in rows]
    return np.inf if None in scores else float(np.mean(scores))


def _mean_start(rows: list[Row], activation: str) -> float:
    starts = [r["outcome"]["start"] for r in rows if r["spec"]["activation"] == activation]
    return float(np.mean(starts))


def _tolerance(scores: dict[Case, dict[float, float]], activation: str, start: float) -> float:
    """Return the tolerance of good rates, which all recipes with an activation share."""
    least = min(min(s.values()) for (a, _), s in scores.items() if a == activation)
    return _TOLERANCE * max(start - least, 0.0)
