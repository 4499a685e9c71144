"""The figures of a report as image files, and its rows as tables."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..drawing import Figure
from ..records import Row
from .rows import Rows


def export(rows: Rows, figures: Mapping[str, Sequence[Figure]], folder: Path) -> list[Path]:
    """Write every figure as SVG and PNG, and the rows of every experiment as CSV.

    Parameters
    ----------
    rows
        The rows of all experiments. A file NAME.csv holds those of the experiment NAME; see
        `flatten` for its columns.
    figures
        The figures, by the name of their experiment. The files are named after the ids that
        figures have in the report, such as overview.svg and overview.png.
    folder
        The folder to write to. It is created if it does not exist, and files of the same name are
        replaced.

    Returns
    -------
    list of Path
        The files that were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for figure in (figure for some in figures.values() for figure in some):
        path = folder / re.sub(r"[^\w.-]+", "-", figure.id)
        written += [path.with_name(f"{path.name}.svg"), path.with_name(f"{path.name}.png")]
        written[-2].write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{figure.svg}', "utf-8")
        written[-1].write_bytes(figure.png())
    for name, some in rows.by_experiment.items():
        if some:
            written.append(folder / f"{name}.csv")
            _write_table(some, written[-1])
    return written


def _write_table(rows: Iterable[Row], path: Path) -> None:
    """Write one line per row, with an empty cell for every column that the row lacks."""
    lines = [flatten(row) for row in rows]
    columns = dict.fromkeys(column for line in lines for column in line)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, restval="")
        table.writeheader()
        table.writerows(lines)


def flatten(row: Row) -> dict[str, Any]:
    """Return a row as the cells of one line of a table.

    Nested objects become columns with dots in their names, such as spec.problem.data and
    outcome.status. Lists, for instance curves, become JSON text, which json.loads reads back. Cells
    of missing values and of numbers that are not finite are empty.

    Examples
    --------
    >>> flatten({"key": "a1", "spec": {"problem": {"d": 3}}, "outcome": {"fun": [0.5, 0.25]}})
    {'key': 'a1', 'spec.problem.d': 3, 'outcome.fun': '[0.5, 0.25]'}
    """
    cells: dict[str, Any] = {}

    def visit(value: Any, name: str) -> None:
        if isinstance(value, dict):
            for part, inner in value.items():
                visit(inner, f"{name}.{part}" if name else part)
        else:
            cells[name] = json.dumps(value) if isinstance(value, list) else value

    visit(row, "")
    return cells
