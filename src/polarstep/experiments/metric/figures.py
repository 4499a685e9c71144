"""The figures on batch normalization's metric: training curves, learning rates, and angles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..drawing import Figure, band, canvas, legend
from ..networks.architecture import LAYERS
from ..networks.figures import finish_rate_panel, mark_good_rates
from .analysis import Analysis
from .plan import Case
from .wording import STEPS_TO_HALF_WAY_LOSS, Numbers, full_name, listed

# LengthDirection has one color for each direction rule and one line style for each metric.
_LINES: dict[str, dict[str, Any]] = {
    "SGD": {"color": "#000000", "linestyle": "-"},
    "batch normalization": {"color": "#CC79A7", "linestyle": "-", "linewidth": 2.6},
    "weight normalization": {"color": "#009E73", "linestyle": "-"},
    "AdamW": {"color": "#E69F00", "linestyle": "-"},
    "euclidean, sgd": {"color": "#D55E00", "linestyle": "--"},
    "covariance, sgd": {"color": "#D55E00", "linestyle": "-", "linewidth": 2.2},
    "euclidean, polar": {"color": "#0072B2", "linestyle": "--"},
    "covariance, polar": {"color": "#0072B2", "linestyle": "-", "linewidth": 2.2},
}
_CURVES = {"steps": "loss", "seconds": "loss", "accuracy": "accuracy"}
_TITLES = {
    "steps": "training loss",
    "seconds": "training loss against seconds",
    "accuracy": "validation accuracy",
}


def figures(analysis: Analysis) -> Iterator[Figure]:
    """Draw every figure for which there are rows."""
    if analysis.sweeps:
        yield training(analysis)
        yield rates(analysis)
        yield angles(analysis)


# --------------------------------------------------------------------------- training


def training(analysis: Analysis) -> Figure:
    """Draw loss and accuracy at the tuned rates."""
    activations = analysis.activations
    height = 3.2 * len(activations) + 0.4
    drawn, panels = canvas(len(activations), 3, width=11, height=height)
    drawn.subplots_adjust(hspace=0.4, top=1 - 0.85 / height)
    for i, activation in enumerate(activations):
        for axes, kind in zip(panels[3 * i : 3 * i + 3], _CURVES, strict=True):
            for recipe in analysis.recipes(activation):
                _plot_band(axes, analysis, (activation, recipe), kind)
            axes.set_title(f"{activation}: {_TITLES[kind]}")
            axes.set_xlabel("processor time in seconds" if kind == "seconds" else "step")
            if kind == "seconds":
                axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            if kind != "accuracy":
                axes.set_yscale("log")
    legend(drawn, panels[0], columns=4)
    ratios = analysis.by_case(analysis.steps_ratio)
    return Figure(
        "metric-training",
        "Training",
        "Every recipe at its tuned learning rate: the loss on the mini-batches, averaged between "
        "two points, against steps and against seconds, and the share of the validation images "
        "that are classified correctly. Lines are medians over the random starts, and bands reach "
        "from the lowest to the highest. Networks are plain unless the legend says batch or weight "
        "normalization. "
        + (
            f"{STEPS_TO_HALF_WAY_LOSS}: {listed(ratios)}."
            if ratios
            else "All runs with batch normalization diverged."
        ),
        drawn,
    )


def _plot_band(axes: Axes, analysis: Analysis, case: Case, kind: str) -> None:
    t, curves = analysis.curves(case, _CURVES[kind])
    complete = np.isfinite(curves).all(axis=0)
    if not complete.any():
        return
    t, curves = t[complete], curves[:, complete]
    if kind == "seconds":
        t = t * analysis.seconds_per_step(case)
    style = _LINES[case[1]]
    band(axes, t, curves, label=full_name(case[1]), style=style, quantiles=(0.0, 1.0))


# --------------------------------------------------------------------------- learning rates


def rates(analysis: Analysis) -> Figure:
    """Draw the score of every recipe at every learning rate."""
    activations = analysis.activations
    drawn, panels = canvas(1, len(activations), width=11, height=4.6)
    drawn.subplots_adjust(top=1 - 0.85 / 4.6)
    worst = max(row["outcome"]["start"] for row in analysis.rows)
    for axes, activation in zip(panels, activations, strict=True):
        for place, recipe in enumerate(analysis.recipes(activation)):
            _plot_sweep(axes, analysis, (activation, recipe), place, worst)
        finish_rate_panel(axes, activation, "learning rate over the tuned one", room=0.25)
    panels[0].set_ylabel("mean loss at the end")
    legend(drawn, panels[0], columns=4)
    return Figure(
        "metric-rates",
        "Learning rates",
        "The mean training loss over the last steps against the learning rate, as a multiple of "
        "the tuned rate of the recipe. Lines are means over the random starts, and bands reach "
        "from the lowest to the highest. Runs that diverged or ended above the initial loss "
        "are drawn at the initial loss. The bars along the bottom are the good rates. Decades of "
        f"good rates: {listed({case: sweep.decades for case, sweep in analysis.sweeps.items()})}.",
        drawn,
    )


def _plot_sweep(axes: Axes, analysis: Analysis, case: Case, place: int, worst: float) -> None:
    sweep, line = analysis.sweeps[case], _LINES[case[1]]
    relative = np.array(sweep.rates) / sweep.best
    shown = np.minimum(sweep.scores, worst)
    axes.plot(relative, shown, label=full_name(case[1]), marker=".", **line)
    by_seed = np.array(
        [
            [
                worst if (score := row["outcome"]["score"]) is None else min(score, worst)
                for row in analysis.runs(case, rate).values()
            ]
            for rate in sweep.rates
        ]
    )
    low, high = by_seed.min(axis=1), by_seed.max(axis=1)
    axes.fill_between(relative, low, high, color=line["color"], alpha=0.1, linewidth=0)
    good = [rate / sweep.best for rate in sweep.good]
    mark_good_rates(axes, good, place, color=line["color"], linestyle=line["linestyle"])


# --------------------------------------------------------------------------- angles


def angles(analysis: Analysis) -> Figure:
    """Draw the angle by which one step turns each layer."""
    activations = analysis.activations
    drawn, panels = canvas(1, len(activations), width=11, height=4.2)
    drawn.subplots_adjust(top=1 - 0.85 / 4.2)
    spreads: Numbers = {}
    for axes, activation in zip(panels, activations, strict=True):
        for recipe in analysis.recipes(activation):
            found = analysis.angles((activation, recipe))
            if not len(found) or not (found > 0).all():
                continue
            layers = np.arange(1, len(LAYERS) + 1)
            axes.plot(layers, found, label=full_name(recipe), marker=".", **_LINES[recipe])
            hidden = found[:-1]
            spreads[activation, recipe] = float(hidden.max() / hidden.min())
        axes.set_yscale("log")
        axes.set_title(activation)
        axes.set_xlabel("layer (the last is the head)")
    panels[0].set_ylabel("angle of one step in radians")
    legend(drawn, panels[0], columns=4)
    return Figure(
        "metric-angles",
        "Angle of one step, by layer",
        "The angle by which a step half-way through the training turns the rows of each layer's "
        "matrix at the tuned rates: the mean over the rows, median over the random starts. "
        "LengthDirection leaves the head to AdamW. "
        + (
            f"Ratio of the largest to the smallest angle of the six hidden layers: "
            f"{listed(spreads)}."
            if spreads
            else "No angles have been measured yet."
        ),
        drawn,
    )
