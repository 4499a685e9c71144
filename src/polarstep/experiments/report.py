"""One self-contained HTML page from the rows of an output folder."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from .. import __version__
from ..validation import complaint
from .analysis import TARGETS, Rows
from .figures import LABELS, figures, short
from .halfspaces import RUNS
from .tuning import RULE
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
    if not rows.halfspaces and not rows.network:
        got = f"{str(folder)!r}, which holds no finished run"
        advice = "Make some: polarstep reproduce --out " + str(folder)
        raise ValueError(complaint("polarstep report", "DIR", "hold rows", got, advice))
    template = files("polarstep.experiments").joinpath("report.html.j2").read_text("utf-8")
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
        environments=_environments(rows),
        counts={"halfspaces": len(rows.halfspaces), "network": len(rows.network)},
        presets=sorted({row["spec"]["preset"] for row in (*rows.halfspaces, *rows.network)}),
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


def _environments(rows: Rows) -> list[dict[str, Any]]:
    """The distinct environments that the rows were made in."""
    seen = {
        str(row["environment"]): row["environment"] for row in (*rows.halfspaces, *rows.network)
    }
    return list(seen.values())
