"""What the rows say: curves, medians, iterations to an accuracy. Shared by figures and verdicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..deep.analysis import Deep
from ..halfspaces.plan import RUNS
from ..metric.analysis import Metrics
from ..records import Row, read_rows

FLOOR = 1e-13  # suboptimality below this is rounding
TARGETS = (1e-2, 1e-4, 1e-6, 1e-8)

Problem = tuple[str, str]  # (data, variant)
Cell = tuple[str, str, str]  # (data, variant, start)


@dataclass(frozen=True)
class Rows:
    """The rows of one output folder; where it holds two presets, those of the one run last."""

    halfspaces: tuple[Row, ...]
    network: tuple[Row, ...]
    deep: tuple[Row, ...] = ()
    metric: tuple[Row, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Rows:
        """All rows of a folder."""
        names = ("halfspaces", "network", "deep", "metric")
        return cls(*(tuple(_newest(read_rows(folder / f"{n}.jsonl"))) for n in names))

    @property
    def all(self) -> tuple[Row, ...]:
        """The rows of all experiments."""
        return (*self.halfspaces, *self.network, *self.deep, *self.metric)

    @cached_property
    def deep_networks(self) -> Deep:
        """What the rows of deep networks say."""
        return Deep(self.deep)

    @cached_property
    def metrics(self) -> Metrics:
        """What the rows of optimizers in their metrics say."""
        return Metrics(self.metric)

    def stage(self, name: str) -> list[Row]:
        """The rows of a stage of the halfspace experiment."""
        return [row for row in self.halfspaces if row["spec"]["stage"] == name]

    @cached_property
    def runs(self) -> dict[Cell, dict[str, list[dict[str, Any]]]]:
        """cell -> run name -> the outcomes of its random starts.

        An interruption leaves cells without some of the methods: there is nothing to compare yet,
        and they are left out.
        """
        cells: dict[Cell, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
        for row in self.stage("run"):
            spec = row["spec"]
            cell = (spec["problem"]["data"], spec["problem"]["variant"], spec["start"])
            cells[cell][spec["run"]].append(row["outcome"])
        return {cell: dict(names) for cell, names in cells.items() if RUNS.keys() <= names.keys()}

    @cached_property
    def best_known(self) -> dict[Problem, float]:
        """The lowest value that the reference solver or any run has found."""
        lowest: dict[Problem, float] = {}
        for row in self.stage("reference"):
            problem = row["spec"]["problem"]
            lowest[problem["data"], problem["variant"]] = row["outcome"]["fun"]
        for (data, variant, _), names in self.runs.items():
            values = [min(o["fun"]) for outcomes in names.values() for o in outcomes]
            lowest[data, variant] = min([*values, lowest.get((data, variant), np.inf)])
        return lowest

    def curves(self, cell: Cell, run: str, field: str) -> np.ndarray:
        """One curve per random start, shape (starts, iterations + 1); an ended run stays put.

        `field` is "suboptimality", "grad_norm", "direction_gap" or "passes".
        """
        outcomes = self.runs[cell][run]
        name = "fun" if field == "suboptimality" else field
        longest = max(len(o["fun"]) for names in self.runs[cell].values() for o in names)
        curves = np.array([[*o[name], *[o[name][-1]] * (longest - len(o[name]))] for o in outcomes])
        if field == "suboptimality":
            curves = curves - self.best_known[cell[:2]]
        return curves if field == "passes" else np.maximum(curves, FLOOR if name == "fun" else 0.0)

    def median(self, cell: Cell, run: str) -> np.ndarray:
        """The median suboptimality over the random starts, per iteration."""
        return np.median(self.curves(cell, run, "suboptimality"), axis=0)

    def iterations_to(self, cell: Cell, run: str, target: float) -> float:
        """The median number of iterations to a suboptimality; infinity if half do not reach it."""
        reached = self.curves(cell, run, "suboptimality") <= target
        first = np.where(reached.any(axis=1), reached.argmax(axis=1), np.inf)
        return float(np.median(first))

    def speed(self, cell: Cell, run: str, other: str) -> float:
        """How many times fewer iterations `run` needs than `other`.

        Counted to the tightest suboptimality that both medians reach for good: passing through a
        low value and leaving it again does not count. One that ends no lower than it started needs
        infinitely many.
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


def _from_now_on(curve: np.ndarray) -> np.ndarray:
    """The largest value of the curve from each iteration to the last."""
    return np.maximum.accumulate(curve[::-1])[::-1]


def _newest(rows: Iterable[Row]) -> list[Row]:
    """The rows of the preset that was run last: one preset's rows are not mixed with another's."""
    by_key = {row["key"]: row for row in rows}
    if not by_key:
        return []
    preset = list(by_key.values())[-1]["spec"]["preset"]
    return [row for row in by_key.values() if row["spec"]["preset"] == preset]
