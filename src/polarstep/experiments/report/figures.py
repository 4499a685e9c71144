"""Every figure of the report, in its order."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib

from ..deep.figures import deep_figures
from ..drawing import RC, Figure
from ..halfspaces.figures import halfspace_figures, network_training
from ..metric.figures import metric_figures
from .rows import Rows


def figures(rows: Rows) -> Iterator[Figure]:
    """Every figure that the rows can fill."""
    with matplotlib.rc_context(RC):
        yield from halfspace_figures(rows)
        if rows.network:
            yield network_training(rows)
        yield from deep_figures(rows.deep_networks)
        yield from metric_figures(rows.metrics)
