"""The tables of the report's section on deep networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from .analysis import Deep
from .plan import COUPLING_ERROR, LEVELS, RATES, RULE, Network, Tuning


def section(deep: Deep) -> dict[str, Any]:
    """Return the variables of the template."""
    return {
        "deep": _deep(deep),
        "levels": LEVELS,
        "coupling_error": COUPLING_ERROR,
        "rates": [_rate(*pair) for pair in deep.tunings.items()],
        "rate_rule": RULE,
    }


def _deep(deep: Deep) -> dict[str, Any] | None:
    """What the runs of deep networks have in common, and how many there are."""
    runs = [row for row in deep.rows if row["spec"]["stage"] == "run"]
    if not runs:
        return None
    spec, outcome = runs[0]["spec"], runs[0]["outcome"]
    seeds = {row["spec"]["seed"] for row in runs}
    sizes = {"n": outcome["n"], "d": outcome["d"], "seeds": len(seeds), "runs": len(runs)}
    later = [t for t in spec["measured_at"] if t > 0]
    return {**spec, **sizes, "measured_at": later, "diverged": deep.diverged}


def _rate(network: Network, tuning: Tuning) -> dict[str, Any]:
    """A line of the table of learning rates."""
    edge = tuning.best in (RATES[0], RATES[-1])
    return {
        "network": ", ".join(network),
        "best": tuning.best,
        "score": tuning.scores.min(),
        "start": tuning.start,
        "decades": tuning.decades,
        "good": f"{min(tuning.good):g} to {max(tuning.good):g}" if tuning.good else "none",
        "diverged": int(np.isinf(tuning.scores).sum()),
        "notes": "at the end of the grid" if edge else "",
        "scores": [
            f"{rate:g}: {score:.4g}" for rate, score in zip(RATES, tuning.scores, strict=True)
        ],
    }
