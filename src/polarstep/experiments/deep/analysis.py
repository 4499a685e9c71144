"""The analysis of the rows on deep networks: comparisons under controls, and correlations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..networks.architecture import ACTIVATIONS
from ..networks.rates import RateSweep, loss_at_end
from ..networks.rows import NetworkRows, diverged
from ..records import Row
from .plan import NORMALIZATIONS, TAIL, Network, rate_sweeps
from .quantities import MEASURES, Point, Quantity, cross

CONTROLS = {
    "early": "tuned rates, same iterations, first tenth",
    "late": "tuned rates, same iterations, second half",
    "loss": "tuned rates, same losses",
    "rate": "same rates, same iterations",
}
_EARLY, _LATE = 0.1, 0.5  # shares of the steps at which "early" ends and "late" begins


class Dot(NamedTuple):
    """One run in the plot of a measure, taken early in the run, against the score of the run."""

    network: Network
    measure: float
    score: float  # infinite if the run diverged


@dataclass(frozen=True)
class Analysis(NetworkRows):
    """The rows on deep networks, and the quantities that the report computes from them."""

    @cached_property
    def sweeps(self) -> dict[Network, RateSweep]:
        """The learning-rate sweep of every network that has been tried at all rates."""
        return rate_sweeps(self.rows)

    @cached_property
    def runs(self) -> dict[Network, dict[float, dict[int, Row]]]:
        """The rows of the runs by network, learning rate and seed."""
        found: dict[Network, dict[float, dict[int, Row]]] = defaultdict(lambda: defaultdict(dict))
        for row in self.rows:
            spec = row["spec"]
            if spec["stage"] == "run":
                found[spec["activation"], spec["normalization"]][spec["rate"]][spec["seed"]] = row
        return {network: dict(by_rate) for network, by_rate in found.items()}

    @property
    def activations(self) -> list[str]:
        """The activations for which there are runs."""
        return [a for a in ACTIVATIONS if any(network[0] == a for network in self.runs)]

    def tuned_runs(self, network: Network) -> dict[int, Row]:
        """Return the runs at the network's tuned rate by their seeds."""
        if network not in self.sweeps:
            return {}
        return self.runs.get(network, {}).get(self.sweeps[network].best, {})

    def tuned_networks(self, activation: str) -> list[Network]:
        """Return the networks that have run at their tuned rates."""
        return [(activation, n) for n in NORMALIZATIONS if self.tuned_runs((activation, n))]

    def comparable_networks(self, activation: str) -> list[Network]:
        """Return the normalized networks that can be compared with the plain network."""
        quantity = cross("raw", "weights")
        return [
            network
            for network in self.tuned_networks(activation)
            if network[1] != "plain"
            and any(len(self.ratios(network, quantity, control)) for control in CONTROLS)
        ]

    def all_runs(self, activation: str) -> Iterator[tuple[Network, Row]]:
        """Yield all runs with an activation, at all rates."""
        for normalization in NORMALIZATIONS:
            network = activation, normalization
            for by_seed in self.runs.get(network, {}).values():
                for row in by_seed.values():
                    yield network, row

    def curves(self, network: Network, field: str) -> np.ndarray:
        """Return one curve per seed at the tuned rate, of shape (n_seeds, n_steps + 1).

        `field` is the name of a curve in the outcome, or "suboptimality". Values after a run has
        diverged are NaN.
        """
        rows = list(self.tuned_runs(network).values())
        curves = np.full((len(rows), max(r["spec"]["steps"] for r in rows) + 1), np.nan)
        for curve, row in zip(curves, rows, strict=True):
            values = row["outcome"]["loss" if field == "suboptimality" else field]
            curve[: len(values)] = values
        return curves - self.lowest_loss(network[0]) if field == "suboptimality" else curves

    def lowest_loss(self, activation: str) -> float:
        """Return the lowest loss that any run with an activation has reached."""
        return min(np.nanmin(_losses(row)) for _, row in self.all_runs(activation))

    # ------------------------------------------------------------------ comparisons

    def speed(self, network: Network, other: Network) -> float:
        """Return the speed of `network` in iterations, as a multiple of that of `other`.

        Both networks run at their tuned rates, and iterations are counted to the lowest loss that
        both reach. The result is the median over the seeds; NaN if there are no pairs of runs.
        """
        ratios = []
        for mine, theirs in _pairs(self.tuned_runs(network), self.tuned_runs(other)):
            a, b = _losses(mine), _losses(theirs)
            target = max(np.nanmin(a), np.nanmin(b))
            first, second = (max(int(np.argmax(loss <= target)), 1) for loss in (a, b))
            ratios.append(second / first)
        return float(np.median(ratios)) if ratios else np.nan

    def ratios(self, network: Network, quantity: Quantity, control: str) -> np.ndarray:
        """Return ratios of a quantity between `network` and the plain network.

        `control` says what the two have in common; see `CONTROLS`. There is one ratio for every
        seed and every iteration, loss, or rate and iteration at which both networks were measured.
        The iterations are those at which all runs are measured, without the start, where the rate
        has no effect yet. Runs that diverged are not compared.
        """
        plain = network[0], "plain"
        if control == "rate":
            mine, theirs = self.runs.get(network, {}), self.runs.get(plain, {})
            both = [(mine[rate], theirs[rate]) for rate in sorted(mine.keys() & theirs.keys())]
        else:
            both = [(self.tuned_runs(network), self.tuned_runs(plain))]
        values = []
        for one, other in (pair for some in both for pair in _pairs(*some)):
            a, b = _points(one, control), _points(other, control)
            values += [(quantity(a[k]), quantity(b[k])) for k in sorted(a.keys() & b.keys())]
        return np.array([x / y for x, y in values if x > 0 and y > 0])

    def early_and_late(self, network: Network, quantity: Quantity) -> tuple[float, float]:
        """Return a quantity in the first tenth and in the second half of the iterations.

        Both values are medians over seeds and iterations at the tuned rate; NaN without runs.
        """
        rows = self.tuned_runs(network).values()
        early, late = (
            _finite_median([quantity(p) for row in rows for p in _points(row, control).values()])
            for control in ("early", "late")
        )
        return early, late

    # ------------------------------------------------------------------ explanations

    def dots(self, activation: str, measure: str) -> list[Dot]:
        """Return, for every run, the median of a measure over its first tenth, and its score."""
        dots = []
        for network, row in self.all_runs(activation):
            values = [MEASURES[measure](point) for point in _points(row, "early").values()]
            median = _finite_median(values)
            if np.isfinite(median):
                score = np.inf if diverged(row) else loss_at_end(list(_losses(row)), TAIL)
                dots.append(Dot(network, median, score))
        return dots

    def correlation(self, measure: str, activation: str | None = None) -> float:
        """Return Spearman's rank correlation of a measure and the score over all runs.

        It is positive if a lower measure goes with a lower final loss. Without an activation, the
        result is the mean over all activations. It is NaN if there are too few runs to rank.
        """
        if activation is None:
            by_activation = [self.correlation(measure, a) for a in self.activations]
            return float(np.mean(by_activation)) if by_activation else np.nan
        from scipy.stats import spearmanr

        dots = self.dots(activation, measure)
        x, y = [dot.measure for dot in dots], [dot.score for dot in dots]
        if len(dots) < 3 or min(len(set(x)), len(set(y))) < 2:
            return np.nan
        return float(spearmanr(x, y).statistic)

    @property
    def diverged(self) -> dict[str, int]:
        """The number of training runs that diverged, by stage."""
        count = dict.fromkeys(("tuning", "run"), 0)
        for row in self.rows:
            count[row["spec"]["stage"]] += diverged(row)
        return count


def _losses(row: Row) -> np.ndarray:
    return np.array(row["outcome"]["loss"], float)


def _finite_median(values: list[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.median(finite)) if finite else np.nan


def _pairs(mine: dict[int, Row], theirs: dict[int, Row]) -> list[tuple[Row, Row]]:
    """Return pairs of runs from the same initial weights, without those that diverged."""
    pairs = [(mine[seed], theirs[seed]) for seed in sorted(mine.keys() & theirs.keys())]
    return [pair for pair in pairs if not any(map(diverged, pair))]


def _points(row: Row, control: str) -> dict[float, Point]:
    """Return the points of a run that are compared under a control, by loss or iteration."""
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
