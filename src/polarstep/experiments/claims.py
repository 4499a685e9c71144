"""What a verdict is."""

from __future__ import annotations

from dataclasses import dataclass

HOLDS, PART, FAILS, UNKNOWN = "holds", "holds in part", "does not hold", "not measured"


@dataclass(frozen=True)
class Verdict:
    """One line of the report's first table."""

    group: str
    claim: str
    verdict: str
    numbers: str
    rule: str
    figure: str | None  # the id of the figure that shows it


def share(good: int, total: int) -> str:
    """holds if all, in part if some, not if none; not measured if there is nothing."""
    if total == 0:
        return UNKNOWN
    return HOLDS if good == total else PART if good else FAILS


def times(ratio: float) -> str:
    """A ratio in two or three characters."""
    return f"{ratio:.2g}" if ratio < 10 else f"{ratio:.0f}"
