"""The tables of the report's section on deep networks."""

from __future__ import annotations

from typing import Any

from ..networks.rates import RateSweep
from .analysis import Analysis
from .plan import COUPLING_ERROR, LEVELS, RATES, RULE, Network


def section(analysis: Analysis) -> dict[str, Any]:
    """Return the variables of the template."""
    return {
        "deep": _common_facts(analysis),
        "levels": LEVELS,
        "coupling_error": COUPLING_ERROR,
        "rates": [_rate(*pair) for pair in analysis.sweeps.items()],
        "rate_rule": RULE,
    }


def _common_facts(analysis: Analysis) -> dict[str, Any] | None:
    """Return the facts that all runs share and how many runs there are; None without runs."""
    runs = [row for row in analysis.rows if row["spec"]["stage"] == "run"]
    if not runs:
        return None
    spec, outcome = runs[0]["spec"], runs[0]["outcome"]
    seeds = {row["spec"]["seed"] for row in runs}
    sizes = {"n": outcome["n"], "d": outcome["d"], "seeds": len(seeds), "runs": len(runs)}
    later = [t for t in spec["measured_at"] if t > 0]
    return {**spec, **sizes, "measured_at": later, "diverged": analysis.diverged}


def _rate(network: Network, sweep: RateSweep) -> dict[str, Any]:
    """Return one line of the table of learning rates."""
    at_edge = sweep.best in (RATES[0], RATES[-1])
    return {
        **sweep.table_row(),
        "network": ", ".join(network),
        "start": sweep.start,
        "decades": f"{sweep.decades:g}",
        "notes": "at the end of the grid" if at_edge else "",
    }
