"""Curves, iterations to an accuracy and speeds, computed from the rows on halfspaces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..records import Row
from .plan import RUNS

FLOOR = 1e-13  # a smaller suboptimality is a rounding error
TARGETS = (1e-2, 1e-4, 1e-6, 1e-8)

Problem = tuple[str, str]  # (data, variant)
Cell = tuple[str, str, str]  # (data, variant, start)


@dataclass(frozen=True)
class Analysis:
    """The rows on halfspaces."""

    rows: tuple[Row, ...]

    def stage(self, name: str) -> list[Row]:
        """Return the rows of one stage."""
        return [row for row in self.rows if row["spec"]["stage"] == name]

    @cached_property
    def runs(self) -> dict[Cell, dict[str, list[dict[str, Any]]]]:
        """The outcomes of all random starts, by cell and then by the name of the run.

        Cells in which some method has not run yet are left out, because they allow no comparison.
        """
        cells: dict[Cell, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
        for row in self.stage("run"):
            spec = row["spec"]
            cell = (spec["problem"]["data"], spec["problem"]["variant"], spec["start"])
            cells[cell][spec["run"]].append(row["outcome"])
        return {cell: dict(names) for cell, names in cells.items() if RUNS.keys() <= names.keys()}

    @cached_property
    def best_known(self) -> dict[Problem, float]:
        """The lowest value that the reference solver or any run found, by problem."""
        lowest: dict[Problem, float] = {}
        for row in self.stage("reference"):
            problem = row["spec"]["problem"]
            lowest[problem["data"], problem["variant"]] = row["outcome"]["fun"]
        for (data, variant, _), names in self.runs.items():
            values = [min(o["fun"]) for outcomes in names.values() for o in outcomes]
            lowest[data, variant] = min([*values, lowest.get((data, variant), np.inf)])
        return lowest

    def curves(self, cell: Cell, run: str, field: str) -> np.ndarray:
        """Return one curve per random start, of shape (starts, iterations + 1).

        The last value of a run that ended early is repeated. `field` is "suboptimality",
        "grad_norm", "direction_gap" or "passes".
        """
        outcomes = self.runs[cell][run]
        name = "fun" if field == "suboptimality" else field
        longest = max(len(o["fun"]) for names in self.runs[cell].values() for o in names)
        curves = np.array([[*o[name], *[o[name][-1]] * (longest - len(o[name]))] for o in outcomes])
        if field == "suboptimality":
            curves = curves - self.best_known[cell[:2]]
        return curves if field == "passes" else np.maximum(curves, FLOOR if name == "fun" else 0.0)

    def median(self, cell: Cell, run: str) -> np.ndarray:
        """Return the median suboptimality over the random starts at every iteration."""
        return np.median(self.curves(cell, run, "suboptimality"), axis=0)

    def iterations_to(self, cell: Cell, run: str, target: float) -> float:
        """Return the median number of iterations that it takes to reach a suboptimality.

        It is infinite if half of the random starts do not reach it.
        """
        reached = self.curves(cell, run, "suboptimality") <= target
        first = np.where(reached.any(axis=1), reached.argmax(axis=1), np.inf)
        return float(np.median(first))

    def speed(self, cell: Cell, run: str, other: str) -> float:
        """Return the ratio of the iterations that `other` needs to those that `run` needs.

        Iterations are counted to the lowest suboptimality that both medians reach and never
        exceed again. A run that ends no lower than it started needs infinitely many.
        """
        medians = [self.median(cell, name) for name in (other, run)]
        target = max(*(curve[-1] for curve in medians), 1e-12)
        theirs, mine = (
            max(int(np.argmax(_from_now_on(curve) <= target)), 1)
            if curve[-1] < curve[0]
            else np.inf
            for curve in medians
        )
        return 1.0 if mine == theirs else theirs / mine

    def cells(self, keep: Callable[[Cell], bool]) -> list[Cell]:
        """Return the cells for which `keep` is true."""
        return [cell for cell in self.runs if keep(cell)]

    @property
    def losses(self) -> list[str]:
        """The losses that have runs in the exact population."""
        return list(dict.fromkeys(row["spec"]["loss"] for row in self.stage("population")))

    def population(self, method: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Return (spec, outcome) of every run of a method in the exact population."""
        found = [(row["spec"], row["outcome"]) for row in self.stage("population")]
        return [pair for pair in found if pair[0]["method"] == method]


def _from_now_on(curve: np.ndarray) -> np.ndarray:
    """Return, for each iteration, the largest value of the curve from there to the end."""
    return np.maximum.accumulate(curve[::-1])[::-1]


def is_gaussian(cell: Cell) -> bool:
    """Return whether a cell is a problem on the Gaussian sample."""
    return cell[0] == "gaussian"


def straightness(curve: np.ndarray) -> tuple[float, float]:
    """Fit a line to log10 of a curve where it lies between 1e-2 and 1e-8.

    Returns
    -------
    (float, float)
        R^2 of the fit, and the iterations that one decimal digit takes; (0, inf) where the curve
        does not get below 1e-6 or has too few points in that range.
    """
    inside = np.flatnonzero((curve <= 1e-2) & (curve >= 1e-8))
    if len(inside) < 5 or curve.min() > 1e-6:
        return 0.0, np.inf
    logs = np.log10(curve[inside])
    slope, intercept = np.polyfit(inside, logs, 1)
    residual = logs - slope * inside - intercept
    return float(1.0 - residual.var() / logs.var()), float(-1.0 / slope)
