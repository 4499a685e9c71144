"""What the rows of deep networks say: tuned rates, comparisons under controls, explanations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..records import Row
from .plan import ACTIVATIONS, MIDDLE, NORMALIZATIONS, STEP_FACTORS, Network, Tuning, score, tunings

Point = dict[str, Any]
Quantity = Callable[[Point], float]
"""A number read from what was measured at one iterate."""

SCALES = {
    "raw": "‖∂²f/∂W₄∂Wᵢ‖",
    "relative": "‖W₄‖ ‖Wᵢ‖ ‖∂²f/∂W₄∂Wᵢ‖",
    "own": "‖∂²f/∂W₄∂Wᵢ‖ / ‖∂²f/∂W₄²‖",
}
COORDINATES = ("weights", "directions")
CONTROLS = {
    "early": "own rates, same iterations, first tenth",
    "late": "own rates, same iterations, second half",
    "loss": "own rates, same losses",
    "rate": "same rates, same iterations",
}
_EARLY, _LATE = 0.1, 0.5  # shares of the steps


def blocks(point: Point, scale: str, coordinates: str) -> np.ndarray:
    """The coupling of the middle layer with every layer, itself included, in a scale."""
    found = point[coordinates]
    raw, sizes = (np.array(found[name], float) for name in ("raw", "sizes"))
    if scale == "relative":
        return raw * sizes * sizes[MIDDLE - 1]
    return raw / _own(found) if scale == "own" else raw


def cross(scale: str, coordinates: str) -> Quantity:
    """The mean coupling of the middle layer with the others."""
    return lambda point: float(np.delete(blocks(point, scale, coordinates), MIDDLE - 1).mean())


def own_block(coordinates: str) -> Quantity:
    """The norm of the middle layer's own block."""
    return lambda point: _own(point[coordinates])


def _own(found: dict[str, Any]) -> float:
    return float(found["own"] or np.nan)  # of a dead layer nothing is a multiple


_FULL_STEP = STEP_FACTORS.index(1.0)
MEASURES: dict[str, Quantity] = {
    "coupling": cross("own", "directions"),
    "covariate shift": lambda point: float(np.mean(np.array(point["shift"], float))),
    "gradient shift": lambda point: _number(point["gradient_shift"]),
    "loss roughness": lambda point: _number(point["loss_roughness"][_FULL_STEP]),
    "gradient roughness": lambda point: _number(point["gradient_roughness"][_FULL_STEP]),
}
RIVALS = tuple(MEASURES)[1:]


def _number(value: float | None) -> float:
    return np.nan if value is None else value


class Dot(NamedTuple):
    """One run: what was measured early in it, and its score (infinite if it diverged)."""

    network: Network
    measure: float
    score: float


@dataclass(frozen=True)
class Deep:
    """The rows of deep networks; where they are of two data sets, those of the one run last."""

    all_rows: tuple[Row, ...]

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of one data set."""
        return [r for r in self.all_rows if r["spec"]["data"] == self.all_rows[-1]["spec"]["data"]]

    @cached_property
    def tunings(self) -> dict[Network, Tuning]:
        """The tuning of every network that has been tried at all rates."""
        return tunings(self.rows)

    @cached_property
    def runs(self) -> dict[Network, dict[float, dict[int, Row]]]:
        """network -> rate -> seed -> the row of the run."""
        found: dict[Network, dict[float, dict[int, Row]]] = defaultdict(lambda: defaultdict(dict))
        for row in self.rows:
            spec = row["spec"]
            if spec["stage"] == "run":
                found[spec["activation"], spec["normalization"]][spec["rate"]][spec["seed"]] = row
        return {network: dict(by_rate) for network, by_rate in found.items()}

    @property
    def activations(self) -> list[str]:
        """The activations that there are runs of."""
        return [a for a in ACTIVATIONS if any(network[0] == a for network in self.runs)]

    def own(self, network: Network) -> dict[int, Row]:
        """seed -> the run at the network's tuned rate."""
        if network not in self.tunings:
            return {}
        return self.runs.get(network, {}).get(self.tunings[network].best, {})

    def every(self, activation: str) -> Iterator[tuple[Network, Row]]:
        """All runs with an activation, at all rates."""
        for normalization in NORMALIZATIONS:
            network = activation, normalization
            for by_seed in self.runs.get(network, {}).values():
                for row in by_seed.values():
                    yield network, row

    def curves(self, network: Network, field: str) -> np.ndarray:
        """One curve per seed at the tuned rate, (seeds, steps + 1); NaN where a run diverged."""
        rows = list(self.own(network).values())
        curves = np.full((len(rows), max(r["spec"]["steps"] for r in rows) + 1), np.nan)
        for curve, row in zip(curves, rows, strict=True):
            values = row["outcome"]["loss" if field == "suboptimality" else field]
            curve[: len(values)] = values
        return curves - self.lowest(network[0]) if field == "suboptimality" else curves

    def lowest(self, activation: str) -> float:
        """The lowest loss that any run with an activation has reached."""
        return min(np.nanmin(_losses(row)) for _, row in self.every(activation))

    # ------------------------------------------------------------------ comparisons

    def speed(self, network: Network, other: Network) -> float:
        """How many times fewer iterations `network` needs than `other`, median over seeds.

        Both at their tuned rates, counted to the lowest loss that both reach. NaN without runs.
        """
        ratios = []
        for mine, theirs in self._pairs(self.own(network), self.own(other)):
            a, b = _losses(mine), _losses(theirs)
            target = max(np.nanmin(a), np.nanmin(b))
            first, second = (max(int(np.argmax(loss <= target)), 1) for loss in (a, b))
            ratios.append(second / first)
        return float(np.median(ratios)) if ratios else np.nan

    def ratios(self, network: Network, quantity: Quantity, control: str) -> np.ndarray:
        """A quantity of `network` over that of the plain network, wherever both were measured.

        `control` says what is equal between the two; see `CONTROLS`. One ratio for every seed, and
        every iteration, loss, or rate and iteration. Iterations are those that all runs are
        measured at, after the start, where the rate has come into play. Runs that diverged are not
        compared.
        """
        plain = network[0], "plain"
        if control == "rate":
            mine, theirs = self.runs.get(network, {}), self.runs.get(plain, {})
            both = [(mine[rate], theirs[rate]) for rate in sorted(mine.keys() & theirs.keys())]
        else:
            both = [(self.own(network), self.own(plain))]
        values = []
        for one, other in (pair for some in both for pair in self._pairs(*some)):
            a, b = _points(one, control), _points(other, control)
            values += [(quantity(a[k]), quantity(b[k])) for k in sorted(a.keys() & b.keys())]
        return np.array([x / y for x, y in values if x > 0 and y > 0])

    @staticmethod
    def _pairs(mine: dict[int, Row], theirs: dict[int, Row]) -> list[tuple[Row, Row]]:
        """The runs from the same initial weights, those that diverged left out."""
        both = [(mine[seed], theirs[seed]) for seed in sorted(mine.keys() & theirs.keys())]
        return [pair for pair in both if not any(map(_diverged, pair))]

    def over_time(self, network: Network, quantity: Quantity) -> tuple[float, float]:
        """(early, late) at the tuned rate: medians over seeds and iterations; NaN without runs."""
        ends = []
        for control in ("early", "late"):
            points = [p for r in self.own(network).values() for p in _points(r, control).values()]
            values = np.array([quantity(point) for point in points])
            values = values[np.isfinite(values)]
            ends.append(float(np.median(values)) if len(values) else np.nan)
        return ends[0], ends[1]

    # ------------------------------------------------------------------ explanations

    def dots(self, activation: str, measure: str) -> list[Dot]:
        """Every run with an activation: the median of a measure over its first tenth, its score."""
        dots = []
        for network, row in self.every(activation):
            values = np.array([MEASURES[measure](p) for p in _points(row, "early").values()])
            values = values[np.isfinite(values)]
            if len(values):
                ended = np.inf if _diverged(row) else score(_losses(row))
                dots.append(Dot(network, float(np.median(values)), ended))
        return dots

    def correlation(self, measure: str, activation: str | None = None) -> float:
        """Spearman's rank correlation of a measure and the score, over runs with an activation.

        Positive where less of the measure goes with a lower loss at the end. Without an
        activation, the mean over both. NaN where there is nothing to rank.
        """
        if activation is None:
            both = [self.correlation(measure, a) for a in self.activations]
            return float(np.mean(both)) if both else np.nan
        from scipy.stats import spearmanr

        dots = self.dots(activation, measure)
        x, y = [dot.measure for dot in dots], [dot.score for dot in dots]
        if len(dots) < 3 or min(len(set(x)), len(set(y))) < 2:
            return np.nan
        return float(spearmanr(x, y).statistic)

    @property
    def diverged(self) -> dict[str, int]:
        """How many trainings diverged, by stage."""
        of = dict.fromkeys(("tuning", "run"), 0)
        for row in self.rows:
            of[row["spec"]["stage"]] += _diverged(row)
        return of


def _diverged(row: Row) -> bool:
    return bool(row["outcome"]["status"] == "diverged")


def _losses(row: Row) -> np.ndarray:
    return np.array(row["outcome"]["loss"], float)


def _points(row: Row, control: str) -> dict[float, Point]:
    """The points that a comparison is made at, by what is equal there."""
    spec, points = row["spec"], row["outcome"]["points"]
    if control == "loss":
        return {level: point for point in points for level in point["levels"]}
    first, last = {
        "early": (1, _EARLY * spec["steps"]),
        "late": (_LATE * spec["steps"], spec["steps"]),
        "rate": (1, spec["steps"]),
    }[control]
    common = set(spec["measured_at"])
    return {
        t: point for point in points if (t := point["iteration"]) in common and first <= t <= last
    }
