"""Panels, legends, line styles, quantile bands and ticks, and the export of figures as images."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from .formatting import short

RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "path.simplify": True,
}
# Okabe and Ito's palette, which colour-blind readers can tell apart.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_LINESTYLES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Figure:
    """A figure of the report."""

    id: str
    title: str
    caption: str
    drawn: Canvas
    folded: bool = False  # whether the page hides it until the reader unfolds it

    @cached_property
    def svg(self) -> str:
        """The figure as an SVG element for a page."""
        return svg(self.drawn, self.id)

    def png(self, dpi: int = 150) -> bytes:
        """Return the figure as a PNG file."""
        _set_plain_ticks(self.drawn)
        buffer = io.BytesIO()
        with matplotlib.rc_context(RC):
            self.drawn.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
        return buffer.getvalue()


def canvas(rows: int, columns: int, width: float, height: float) -> tuple[Canvas, list[Axes]]:
    """Return a figure and its panels, with room for labels, titles, and a legend on top.

    Width and height are in inches.
    """
    made = Canvas(figsize=(width, height))
    panels = made.subplots(rows, columns, squeeze=False)
    made.subplots_adjust(
        left=0.75 / width,
        right=1 - 0.15 / width,
        bottom=0.6 / height,
        top=1 - 0.62 / height,
        wspace=0.24,
        hspace=0.18,
    )
    return made, list(np.ravel(panels))


def legend(drawn: Canvas, axes: Axes, columns: int = 7) -> None:
    """Draw the legend of one panel above all panels.

    The panels are moved down to make room for a legend of several lines.
    """
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    drawn.legend(unique.values(), unique.keys(), loc="upper center", ncols=columns)
    lines = -(-len(unique) // columns)
    needed = 1 - (0.42 + 0.2 * lines) / drawn.get_figheight()
    drawn.subplots_adjust(top=min(drawn.subplotpars.top, needed))


def styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return a line style for every name; the dashes change once all colours are used."""
    made = {}
    for k, name in enumerate(names):
        dashes, color = divmod(k, len(PALETTE))
        linestyle = _LINESTYLES[dashes % len(_LINESTYLES)]
        made[name] = {"color": PALETTE[color], "linestyle": linestyle}
    return made


def band(
    axes: Axes,
    x: np.ndarray,
    curves: np.ndarray,
    *,
    label: str,
    style: dict[str, Any],
    quantiles: tuple[float, float] = (0.05, 0.95),
) -> None:
    """Draw the median of the rows of `curves`, and shade the area between two quantiles.

    NaN is ignored, but no column may consist of NaN alone.
    """
    low, middle, high = np.nanquantile(curves, [quantiles[0], 0.5, quantiles[1]], axis=0)
    axes.plot(x, middle, label=label, **style)
    axes.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)


def svg(drawn: Canvas, id: str) -> str:
    """Return the figure as an SVG element whose ids start with `id`.

    One page can contain several such elements, because their ids differ.
    """
    _set_plain_ticks(drawn)
    buffer = io.StringIO()
    with matplotlib.rc_context({**RC, "svg.hashsalt": id}):
        drawn.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    # Two decimals of a point are finer than any screen, and halve the size of the text.
    text = re.sub(r"(\d\.\d\d)\d+", r"\1", buffer.getvalue())
    text = re.sub(r'((?: id="|href="#|url\(#))', rf"\g<1>{id}-", text[text.index("<svg") :])
    return text.replace("<svg ", f'<svg role="img" aria-label="{id}" ', 1)


def _set_plain_ticks(drawn: Canvas) -> None:
    """Set the ticks of all logarithmic axes."""
    for axes in drawn.axes:
        if axes.get_yscale() == "log":
            _plain_ticks(axes.yaxis, axes.get_ylim())
        if axes.get_xscale() == "log":
            _plain_ticks(axes.xaxis, axes.get_xlim())


def _plain_ticks(axis: Axis, limits: tuple[float, float]) -> None:
    """Set at most seven ticks on a logarithmic axis of any range, labelled in plain text."""
    axis.set_minor_locator(NullLocator())
    if limits[0] <= 0:  # a logarithmic axis cannot show this range
        axis.set_major_locator(NullLocator())
        return
    decades = abs(np.log10(limits[1] / limits[0]))
    narrow = axis.axes.bbox.width < 2.5 * axis.axes.figure.dpi
    if decades > (1.8 if narrow else 2.5):
        subs: tuple[float, ...] = (1,)
    elif decades > 0.8:
        subs = (1, 3) if narrow else (1, 2, 5)
    else:
        subs = (1, 2, 5) if narrow else (1, 1.5, 2, 3, 4, 5, 6, 7, 8)
    axis.set_major_locator(LogLocator(subs=subs, numticks=4 if narrow else 7))
    axis.set_major_formatter(lambda value, _: short(value))
    if decades < 0.55:
        axis.set_major_locator(MaxNLocator(3 if narrow else 6))
        axis.set_major_formatter(lambda value, _: f"{value:.4g}")
