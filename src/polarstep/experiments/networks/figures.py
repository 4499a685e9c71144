"""Parts that the figures on networks share: panels that show scores against learning rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes


def mark_good_rates(axes: Axes, rates: Sequence[float], place: int, **style: Any) -> None:
    """Mark the good rates of one network along the bottom of a panel, in row number `place`."""
    height = 0.02 + 0.024 * place
    axes.plot(
        rates,
        [height] * len(rates),
        marker="s",
        markersize=3.2,
        linewidth=2.6,
        alpha=0.75,
        transform=axes.get_xaxis_transform(),
        **style,
    )


def finish_rate_panel(axes: Axes, title: str, xlabel: str, room: float) -> None:
    """Make both axes logarithmic, and leave a share of the height free for the good rates."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(low / (high / low) ** room, high)
    axes.set_title(title)
    axes.set_xlabel(xlabel)
