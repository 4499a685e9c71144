"""The rows of an experiment on networks, restricted to one data set."""

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
        """The rows of one data set; if there are several, the one that ran last."""
        return [r for r in self.all_rows if r["spec"]["data"] == self.all_rows[-1]["spec"]["data"]]


def diverged(row: Row) -> bool:
    """Return whether the run that a row describes diverged."""
    return bool(row["outcome"]["status"] == "diverged")
