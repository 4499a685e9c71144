"""Rows of trained networks, and which of them belong together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ..records import Row


@dataclass(frozen=True)
class NetworkRows:
    """The rows of an experiment on networks; its analyses derive from this class."""

    all_rows: tuple[Row, ...]

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of one data set: if there are rows of two, those of the one that ran last."""
        return [r for r in self.all_rows if r["spec"]["data"] == self.all_rows[-1]["spec"]["data"]]


def diverged(row: Row) -> bool:
    """Whether the training of a row diverged."""
    return bool(row["outcome"]["status"] == "diverged")
