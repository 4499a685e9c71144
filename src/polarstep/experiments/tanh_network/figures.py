"""The figure on the network with one hidden layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..drawing import Figure, canvas, legend
from ..records import Row
from .plan import N_UNITS


def figures(rows: Sequence[Row]) -> Iterator[Figure]:
    """Draw the figure if there are rows."""
    if rows:
        yield training(rows)


def training(rows: Sequence[Row]) -> Figure:
    """Draw f and |d_g f| after the training of every unit in every sweep."""
    drawn, (left, right) = canvas(1, 2, width=11, height=3.8)
    for row in rows:
        spec, trace = row["spec"], row["outcome"]["trace"]
        if spec["loss"] == "squared":
            continue
        if spec["stage"] == "population":
            label, color = "Gaussian population", "#000000"
        elif spec["data"] == "gaussian":
            label, color = "Gaussian sample", "#0072B2"
        else:
            label, color = spec["data"], "#D55E00"
        step = np.arange(1, len(trace["fun"]) + 1)
        left.plot(
            [0, *step], [row["outcome"]["start"], *trace["fun"]], ".-", color=color, label=label
        )
        own = np.maximum(np.array(trace["slope"], float), 1e-18)
        right.plot(step, trace["largest_slope"], ".-", color=color, label=label)
        right.plot(step, own, "x", color=color, markersize=4, alpha=0.7)
    for axes in (left, right):
        axes.set_xlabel(f"unit trainings (one sweep is {N_UNITS})")
        axes.set_xticks(np.arange(0, axes.get_xlim()[1], 6))
    left.set_ylabel("f")
    right.set_ylabel("|∂f/∂g|")
    right.set_yscale("log")
    legend(drawn, left, columns=3)
    return Figure(
        "network",
        "One hidden layer, unit by unit",
        f"{N_UNITS} tanh units with the loss softplus, trained one after another by gdnp, and "
        "then again in further sweeps. Left: f falls with every unit of the first sweep. Right: "
        "dots are the largest |∂f/∂g| over all units, crosses that of the unit just trained. What "
        "to look for: each unit is at a critical point when it has been trained; training later "
        "units makes the earlier lengths suboptimal; further sweeps bring the whole network to a "
        "critical point, more slowly on data, where the directions keep moving, than in the "
        "population.",
        drawn,
    )
