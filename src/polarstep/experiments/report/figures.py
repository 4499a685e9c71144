"""The figures of all experiments, in the report's order."""

from __future__ import annotations

import matplotlib

from ..drawing import RC, Figure
from ..registry import EXPERIMENTS
from .rows import Rows


def figures(rows: Rows) -> dict[str, list[Figure]]:
    """Draw every figure for which there are rows, by the name of its experiment."""
    with matplotlib.rc_context(RC):
        return {name: list(e.figures(rows.analyses[name])) for name, e in EXPERIMENTS.items()}
