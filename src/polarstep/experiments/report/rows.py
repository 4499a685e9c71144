"""The rows of one output folder, and the analysis of each experiment's rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..records import Row, read_rows
from ..registry import EXPERIMENTS


@dataclass(frozen=True)
class Rows:
    """The rows of every registered experiment, by its name.

    If a folder holds rows of two presets, only those of the preset that ran last are kept.
    """

    by_experiment: Mapping[str, tuple[Row, ...]]

    @classmethod
    def read(cls, folder: Path) -> Rows:
        """Read the rows of all experiments from a folder."""
        return cls({n: tuple(_newest(read_rows(folder / f"{n}.jsonl"))) for n in EXPERIMENTS})

    def of(self, name: str) -> tuple[Row, ...]:
        """Return the rows of one experiment; there may be none."""
        return self.by_experiment.get(name, ())

    @property
    def all(self) -> tuple[Row, ...]:
        """The rows of all experiments."""
        return tuple(row for name in EXPERIMENTS for row in self.of(name))

    @cached_property
    def analyses(self) -> dict[str, Any]:
        """The analysis of every registered experiment, by its name."""
        return {name: one.analyse(self.of(name)) for name, one in EXPERIMENTS.items()}


def _newest(rows: Iterable[Row]) -> list[Row]:
    """Keep the rows of the preset that ran last, each run once."""
    by_key = {row["key"]: row for row in rows}
    if not by_key:
        return []
    preset = list(by_key.values())[-1]["spec"]["preset"]
    return [row for row in by_key.values() if row["spec"]["preset"] == preset]
