"""The tables of the report's section on batch normalization's metric."""

from __future__ import annotations

from typing import Any

import numpy as np

from .analysis import Metrics
from .figures import name
from .plan import RULE, Network, Sweep


def section(metrics: Metrics) -> dict[str, Any]:
    """Return the variables of the template."""
    return {
        "metric": _metric(metrics),
        "sweeps": [_sweep(metrics, *pair) for pair in metrics.sweeps.items()],
        "metric_rule": RULE,
    }


def _metric(metrics: Metrics) -> dict[str, Any] | None:
    """What the trainings in different metrics have in common, and how many there are."""
    if not metrics.rows:
        return None
    spec, outcome = metrics.rows[0]["spec"], metrics.rows[0]["outcome"]
    seeds = {row["spec"]["seed"] for row in metrics.rows}
    sizes = {"n": outcome["n"], "d": outcome["d"], "seeds": len(seeds)}
    return {**spec, **sizes, "runs": len(metrics.rows), "diverged": metrics.diverged}


def _sweep(metrics: Metrics, network: Network, sweep: Sweep) -> dict[str, Any]:
    """A line of the table of learning rates in different metrics."""
    return {
        "network": f"{network[0]}, {name(network[1])}",
        "tried": f"{sweep.rates[0]:g} to {sweep.rates[-1]:g}",
        "best": sweep.best,
        "score": sweep.scores.min(),
        "decades": f"{'at least ' if sweep.beyond else ''}{sweep.decades:g}",
        "good": f"{min(sweep.good):g} to {max(sweep.good):g}" if sweep.good else "none",
        "diverged": int(np.isinf(sweep.scores).sum()),
        "accuracy": metrics.accuracy(network),
        "milliseconds": 1000 * metrics.seconds_per_step(network),
        "scores": [
            f"{rate:g}: {score:.4g}" for rate, score in zip(sweep.rates, sweep.scores, strict=True)
        ],
    }
