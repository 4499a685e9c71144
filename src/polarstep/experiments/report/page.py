"""The report: one self-contained HTML page, made from the rows of an output folder."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ... import __version__
from ...validation import complaint
from ..drawing import Figure
from ..experiment import Experiment
from ..registry import EXPERIMENTS
from .export import export
from .figures import figures
from .rows import Rows
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


def write_report(folder: Path, export_to: Path | None = None) -> Path:
    """Write folder/report.html from the rows alone.

    Parameters
    ----------
    folder
        The folder with the rows.
    export_to
        A folder to which the figures and the rows are also exported, or None.

    Returns
    -------
    Path
        The path of the page.

    Raises
    ------
    ValueError
        The folder holds no rows.
    OSError
        The page or an exported file cannot be written.
    """
    rows = Rows.read(folder)
    if not rows.all:
        got = f"{str(folder)!r}, which holds no finished run"
        advice = f"Run: polarstep reproduce --out {folder}"
        raise ValueError(complaint("polarstep report", "DIR", "hold rows", got, advice))
    drawn = figures(rows)
    if export_to is not None:
        export(rows, drawn, export_to)
    page = _template("polarstep.experiments.report", "report.html.j2").render(
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        verdicts=verdicts(rows),
        figure_ids={figure.id for some in drawn.values() for figure in some},
        sections=[
            _section(experiment, rows.analyses[name], drawn[name])
            for name, experiment in EXPERIMENTS.items()
            if rows.of(name)
        ],
        environments=_environments(rows),
        count=len(rows.all),
        presets=sorted({row["spec"]["preset"] for row in rows.all}),
    )
    path = folder / "report.html"
    unfinished = folder / "report.html.part"
    unfinished.write_text(page, encoding="utf-8")
    os.replace(unfinished, path)
    return path


def _template(package: str, name: str) -> jinja2.Template:
    """Load a template of a package; its variables are escaped."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["typeset"] = _typeset
    return environment.from_string(files(package).joinpath(name).read_text("utf-8"))


def _section(
    experiment: Experiment[Any, Any], analysis: Any, drawn: list[Figure]
) -> dict[str, Any]:
    """Return the section of one experiment: its title, its figures and its rendered template."""
    template = _template(experiment.package, "section.html.j2")
    return {
        "id": f"experiment-{experiment.name}",
        "title": experiment.title,
        "figures": drawn,
        "body": Markup(template.render(experiment.section(analysis))),
    }


def _typeset(text: str) -> str:
    """Write formulas with superscripts and Greek letters, and keep numbers on one line."""
    for plain, set_ in _TYPOGRAPHY.items():
        text = text.replace(plain, set_)
    return re.sub(r"(\d)e-0*(\d)", "\\1e\N{NON-BREAKING HYPHEN}\\2", text)


def _environments(rows: Rows) -> list[dict[str, Any]]:
    """Return the distinct environments in which the rows were made."""
    seen = {str(row["environment"]): row["environment"] for row in rows.all}
    return list(seen.values())
