"""One self-contained HTML page from the rows of an output folder."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...validation import complaint
from ..deep.analysis import Deep
from ..deep.plan import COUPLING_ERROR, LEVELS, RATES, Network, Tuning
from ..deep.plan import RULE as RATE_RULE
from ..drawing import short
from ..halfspaces.figures import LABELS
from ..halfspaces.plan import RUNS
from ..halfspaces.tuning import RULE
from ..metric.analysis import Metrics
from ..metric.figures import name
from ..metric.plan import RULE as METRIC_RULE
from ..metric.plan import Network as Combination
from ..metric.plan import Sweep
from .figures import figures
from .rows import TARGETS, Rows
from .verdicts import verdicts

_TYPOGRAPHY = {
    "S^-1 u": "S⁻¹u",
    "(1 - mu/L)^(2t)": "(1 − μ/L)²ᵗ",
    "d_g f": "∂f/∂g",
    "kappa": "κ",
    "R^2": "R²",
    "<=": "≤",
    ">=": "≥",
}


def write_report(folder: Path) -> Path:
    """Write folder/report.html from the rows alone and return its path.

    Raises
    ------
    ValueError
        If the folder holds no rows.
    OSError
        If it cannot be written.
    """
    import jinja2

    rows = Rows.read(folder)
    if not rows.all:
        got = f"{str(folder)!r}, which holds no finished run"
        advice = "Make some: polarstep reproduce --out " + str(folder)
        raise ValueError(complaint("polarstep report", "DIR", "hold rows", got, advice))
    template = files("polarstep.experiments.report").joinpath("report.html.j2").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["typeset"] = _typeset
    drawn = list(figures(rows))
    page = environment.from_string(template).render(
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        verdicts=verdicts(rows),
        figures=drawn,
        figure_ids={figure.id for figure in drawn},
        problems=[_problem(row) for row in rows.stage("reference")],
        targets=[short(target) for target in TARGETS],
        iterations=_iterations(rows),
        steps=[_steps(row) for row in rows.stage("tuning")],
        rule=RULE,
        deep=_deep(rows.deep_networks),
        levels=LEVELS,
        coupling_error=COUPLING_ERROR,
        rates=[_rate(*pair) for pair in rows.deep_networks.tunings.items()],
        rate_rule=RATE_RULE,
        metric=_metric(rows.metrics),
        sweeps=[_sweep(rows.metrics, *pair) for pair in rows.metrics.sweeps.items()],
        metric_rule=METRIC_RULE,
        environments=_environments(rows),
        count=len(rows.all),
        presets=sorted({row["spec"]["preset"] for row in rows.all}),
    )
    path = folder / "report.html"
    unfinished = folder / "report.html.part"
    unfinished.write_text(page, encoding="utf-8")
    os.replace(unfinished, path)
    return path


def _typeset(text: str) -> str:
    """Formulas as a page shows them: superscripts, Greek letters, numbers that do not break."""
    for plain, set_ in _TYPOGRAPHY.items():
        text = text.replace(plain, set_)
    return re.sub(r"(\d)e-0*(\d)", "\\1e\N{NON-BREAKING HYPHEN}\\2", text)


def _problem(row: dict[str, Any]) -> dict[str, Any]:
    """A line of the table of problems."""
    problem, outcome = row["spec"]["problem"], row["outcome"]
    return {"data": problem["data"], "variant": problem["variant"], **outcome}


def _iterations(rows: Rows) -> list[dict[str, Any]]:
    """The table of iterations to each accuracy, one entry per problem and start."""
    tables = []
    for cell, runs in rows.runs.items():
        counts = {
            name: [rows.iterations_to(cell, name, target) for target in TARGETS]
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
                "end": short(rows.median(cell, name)[-1]),
            }
            for name, line in counts.items()
        ]
        starts = len(next(iter(runs.values())))
        tables.append({"cell": cell, "lines": lines, "starts": starts})
    return tables


def _steps(row: dict[str, Any]) -> dict[str, Any]:
    """A line of the table of tuned steps."""
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


def _metric(metrics: Metrics) -> dict[str, Any] | None:
    """What the trainings in different metrics have in common, and how many there are."""
    if not metrics.rows:
        return None
    spec, outcome = metrics.rows[0]["spec"], metrics.rows[0]["outcome"]
    seeds = {row["spec"]["seed"] for row in metrics.rows}
    sizes = {"n": outcome["n"], "d": outcome["d"], "seeds": len(seeds)}
    return {**spec, **sizes, "runs": len(metrics.rows), "diverged": metrics.diverged}


def _sweep(metrics: Metrics, network: Combination, sweep: Sweep) -> dict[str, Any]:
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


def _environments(rows: Rows) -> list[dict[str, Any]]:
    """The distinct environments that the rows were made in."""
    seen = {str(row["environment"]): row["environment"] for row in rows.all}
    return list(seen.values())
