"""The table of the report's section on the network with one hidden layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..records import Row


def section(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the variables of the template."""
    return {"trainings": [_training(row) for row in rows]}


def _training(row: Row) -> dict[str, Any]:
    """Return one line of the table of trainings."""
    spec, outcome = row["spec"], row["outcome"]
    data = "Gaussian population" if spec["stage"] == "population" else spec["data"]
    return {
        "data": data,
        "loss": spec["loss"],
        "sweeps": spec.get("sweeps", ""),
        "start": outcome["start"],
        "fun": outcome["fun"],
        "status": outcome.get("status", ""),
    }
