"""A `Summary` as text, as HTML and as a data frame; it is what every function here takes."""

from __future__ import annotations

import textwrap
from html import escape
from typing import Any

import numpy as np

from ...extras import require_pandas

_WIDTH = 88
_LONGEST_NAME = 30
_MOST_ROWS = 100
_NAMES = {"model": "from the model", "cluster": "clustered"}


def text(summary: Any) -> str:
    """Return the summary as lines of text."""
    head = _two_columns(_facts(summary))
    header, rows = _header(summary), _rows(summary)
    names = [_shortened(row[0]) for row in rows]
    first = max(map(len, [*names, *map(str, _titles(summary))]))
    widths = [max(len(header[j]), *(len(row[j + 1]) for row in rows)) for j in range(len(header))]
    line = "-" * max(len(head[0]), first + sum(widths) + 2 * len(widths))
    lines = [_title(summary), line, *head, line]
    lines.append(" " * first + _joined(header, widths))
    per_equation = len(summary.terms)
    for k, name in enumerate(names):
        if len(summary.equations) > 1 and k % per_equation == 0:
            lines.append(str(summary.equations[k // per_equation]))
        lines.append(f"{name:<{first}}" + _joined(rows[k][1:], widths))
    lines += [_rest(summary)] if len(summary.coef) > _MOST_ROWS else []
    lines.append(line)
    for note in summary.notes:
        lines += textwrap.wrap(
            note, max(len(line), _WIDTH), initial_indent="* ", subsequent_indent="  "
        )
    return "\n".join(lines)


def html(summary: Any) -> str:
    """Return the summary as an HTML table."""
    facts = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in _facts(summary)
    )
    header = "".join(f"<th>{escape(name)}</th>" for name in ["", *_header(summary)])
    per_equation, body = len(summary.terms), []
    for k, (name, *values) in enumerate(_rows(summary)):
        if len(summary.equations) > 1 and k % per_equation == 0:
            label = escape(str(summary.equations[k // per_equation]))
            body.append(f'<tr><th colspan="{len(values) + 1}">{label}</th></tr>')
        cells = "".join(f"<td>{escape(value)}</td>" for value in values)
        body.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    if len(summary.coef) > _MOST_ROWS:
        body.append(f'<tr><th colspan="{len(_header(summary)) + 1}">{_rest(summary)}</th></tr>')
    notes = "".join(f"<li>{escape(note)}</li>" for note in summary.notes)
    return (
        f"<p>{escape(_title(summary))}</p><table>{facts}</table>"
        f"<table><thead><tr>{header}</tr></thead><tbody>{''.join(body)}</tbody></table>"
        f"<ul>{notes}</ul>"
    )


def frame(summary: Any) -> Any:
    """Return the coefficients as a pandas data frame."""
    pandas = require_pandas("Summary.to_frame")
    index = pandas.Index(summary.terms, name="term")
    if len(summary.equations) > 1:
        levels = [list(summary.equations), list(summary.terms)]
        index = pandas.MultiIndex.from_product(levels, names=["class", "term"])
    columns = {
        "coef": summary.coef,
        "std_err": summary.std_err,
        "z": summary.z,
        "p_value": summary.p_value,
        "lower": summary.interval[:, 0],
        "upper": summary.interval[:, 1],
    }
    return pandas.DataFrame(columns, index=index)


# --------------------------------------------------------------------------- parts of the table


def _title(summary: Any) -> str:
    if len(summary.equations) == 1:
        return f"Logistic regression of class {summary.equations[0]!s} against {summary.base!s}"
    return f"Softmax regression of {len(summary.equations)} classes against {summary.base!s}"


def _titles(summary: Any) -> list[Any]:
    return list(summary.equations) if len(summary.equations) > 1 else []


def _facts(summary: Any) -> list[tuple[str, str]]:
    """Return names and values of what describes the whole model."""
    kind = _NAMES.get(summary.covariance_kind, f"robust, {summary.covariance_kind}")
    facts = [
        ("Rows", f"{summary.n:,}"),
        ("Log-likelihood", f"{summary.log_likelihood:.6g}"),
        ("Total weight", f"{summary.total_weight:,.6g}"),
        ("Null log-likelihood", f"{summary.null_log_likelihood:.6g}"),
        ("Coefficients", f"{len(summary.coef)}"),
        ("Likelihood ratio", f"{summary.lr_statistic:.6g} ({summary.lr_df:g} df)"),
        ("Residual df", f"{summary.df_resid:,.6g}"),
        ("P(larger ratio)", _probability(summary.lr_p_value)),
        ("Standard errors", kind),
        ("Pseudo R2 (McFadden)", f"{summary.pseudo_r2:.4f}"),
        ("Penalty 1/C", f"{summary.ridge:.4g}" if summary.ridge else "none"),
        ("AIC", f"{summary.aic:.6g}"),
        ("Groups", f"{summary.n_groups}" if summary.n_groups else "none"),
        ("BIC", f"{summary.bic:.6g}"),
    ]
    return facts


def _two_columns(facts: list[tuple[str, str]]) -> list[str]:
    left, right = facts[::2], facts[1::2]
    widths = [max(len(name) for name, _ in side) for side in (left, right)]
    values = [max(len(value) for _, value in side) for side in (left, right)]
    return [
        f"{a:<{widths[0]}}  {x:>{values[0]}}    {b:<{widths[1]}}  {y:>{values[1]}}"
        for (a, x), (b, y) in zip(left, right, strict=True)
    ]


def _header(summary: Any) -> list[str]:
    percent = f"{100 * summary.level:g}%"
    kind = "" if summary.interval_kind == "wald" else f" {summary.interval_kind}"
    return ["coef", "std err", "z", "p", f"{percent}{kind} from", "to"]


def _rows(summary: Any) -> list[list[str]]:
    """Return the names of the first coefficients and their formatted numbers."""
    columns = [summary.coef, summary.std_err, summary.z, summary.p_value, *summary.interval.T]
    numbers = zip(*(column[:_MOST_ROWS] for column in columns), strict=True)
    names = (summary.terms * len(summary.equations))[:_MOST_ROWS]
    return [
        [name, f"{w:.5g}", f"{se:.4g}", f"{z:.3f}", _probability(p), f"{low:.5g}", f"{high:.5g}"]
        for name, (w, se, z, p, low, high) in zip(names, numbers, strict=True)
    ]


def _rest(summary: Any) -> str:
    return f"... and {len(summary.coef) - _MOST_ROWS:,} more, which to_frame() shows"


def _probability(p: float) -> str:
    if np.isnan(p):
        return "nan"
    return f"{p:.4f}" if p >= 5e-5 else f"{p:.1e}"


def _joined(cells: list[str], widths: list[int]) -> str:
    return "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _shortened(name: str) -> str:
    if len(name) <= _LONGEST_NAME:
        return name
    return name[: _LONGEST_NAME // 2] + "..." + name[-(_LONGEST_NAME // 2 - 3) :]
