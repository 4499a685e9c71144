"""The tables of the report's section on batch normalization's metric."""

from __future__ import annotations

from typing import Any

from ..networks.rates import RateSweep
from .analysis import Analysis
from .plan import RULE, Case, rates_beyond
from .wording import full_name


def section(analysis: Analysis) -> dict[str, Any]:
    """Return the variables of the template."""
    return {
        "metric": _common_facts(analysis),
        "sweeps": [_sweep(analysis, *pair) for pair in analysis.sweeps.items()],
        "metric_rule": RULE,
    }


def _common_facts(analysis: Analysis) -> dict[str, Any] | None:
    """Return the facts that all runs share and how many runs there are; None without runs."""
    if not analysis.rows:
        return None
    spec, outcome = analysis.rows[0]["spec"], analysis.rows[0]["outcome"]
    seeds = {row["spec"]["seed"] for row in analysis.rows}
    sizes = {"n": outcome["n"], "d": outcome["d"], "seeds": len(seeds)}
    return {**spec, **sizes, "runs": len(analysis.rows), "diverged": analysis.diverged}


def _sweep(analysis: Analysis, case: Case, sweep: RateSweep) -> dict[str, Any]:
    """Return one line of the table of learning rates."""
    return {
        **sweep.table_row(),
        "network": f"{case[0]}, {full_name(case[1])}",
        "tried": f"{sweep.rates[0]:g} to {sweep.rates[-1]:g}",
        "decades": f"{'at least ' if rates_beyond(sweep) else ''}{sweep.decades:g}",
        "accuracy": analysis.accuracy(case),
        "milliseconds": 1000 * analysis.seconds_per_step(case),
    }
