"""The tables of the report's section on halfspaces."""

from __future__ import annotations

from typing import Any

from ..formatting import short
from .analysis import TARGETS, Analysis
from .figures import LABELS
from .plan import RUNS
from .tuning import RULE


def section(analysis: Analysis) -> dict[str, Any]:
    """Return the variables of the template."""
    return {
        "targets": [short(target) for target in TARGETS],
        "iterations": _iterations(analysis),
        "problems": [_problem(row) for row in analysis.stage("reference")],
        "steps": [_steps(row) for row in analysis.stage("tuning")],
        "rule": RULE,
    }


def _problem(row: dict[str, Any]) -> dict[str, Any]:
    """Return one line of the table of problems."""
    problem, outcome = row["spec"]["problem"], row["outcome"]
    return {"data": problem["data"], "variant": problem["variant"], **outcome}


def _iterations(analysis: Analysis) -> list[dict[str, Any]]:
    """Return the tables of iterations to each accuracy, one per problem and start."""
    tables = []
    for cell, runs in analysis.runs.items():
        counts = {
            name: [analysis.iterations_to(cell, name, target) for target in TARGETS]
            for name in RUNS
            if name in runs
        }
        best = [min(column) for column in zip(*counts.values(), strict=True)]
        lines = [
            {
                "name": LABELS[name],
                "counts": [
                    {
                        "text": "–" if count == float("inf") else f"{count:g}",
                        "best": count == least < float("inf"),
                    }
                    for count, least in zip(line, best, strict=True)
                ],
                "end": short(analysis.median(cell, name)[-1]),
            }
            for name, line in counts.items()
        ]
        starts = len(next(iter(runs.values())))
        tables.append({"cell": cell, "lines": lines, "starts": starts})
    return tables


def _steps(row: dict[str, Any]) -> dict[str, Any]:
    """Return one line of the table of tuned steps."""
    spec, outcome = row["spec"], row["outcome"]
    tried = [score for *_, score in outcome["attempts"]]
    notes = ["no factor was stable"] if not outcome["stable"] else []
    notes += ["at the end of the coarse grid"] if outcome["edge"] else []
    return {
        "problem": f"{spec['problem']['data']}, {spec['problem']['variant']}, {spec['start']}",
        "method": spec["method"],
        "factor": outcome["factor"],
        "length_factor": outcome["length_factor"],
        "tried": len(tried),
        "unstable": sum(score is None for score in tried),
        "notes": ", ".join(notes),
    }
