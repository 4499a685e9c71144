"""Figures on batch normalization's metric without batch normalization: rows -> SVG."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..deep.plan import LAYERS
from ..drawing import Figure, band, canvas, legend
from .analysis import Metrics, Numbers, listed
from .plan import METHODS, Network

_TITLE = "Batch normalization's metric without it"
# Of LengthDirection: one color for each direction rule, one style for each metric.
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


def name(method: str) -> str:
    """What a method is called in figures and tables."""
    if METHODS[method].optimizer == "LengthDirection":
        return "LengthDirection, " + method.replace(", ", " + ")
    return f"SGD, {method}" if METHODS[method].normalization else method


def figures(metrics: Metrics) -> Iterator[Figure]:
    """Every figure on the metric that the rows can fill."""
    if metrics.sweeps:
        yield training(metrics)
        yield rates(metrics)
        yield angles(metrics)


def training(metrics: Metrics) -> Figure:
    """Loss and accuracy at the tuned rates."""
    activations = metrics.activations
    drawn, panels = canvas(len(activations), 3, width=11, height=3.2 * len(activations) + 0.4)
    drawn.subplots_adjust(hspace=0.4, top=1 - 0.85 / (3.2 * len(activations) + 0.4))
    for i, activation in enumerate(activations):
        for axes, kind in zip(panels[3 * i : 3 * i + 3], _CURVES, strict=True):
            for method in metrics.methods(activation):
                _bands(axes, metrics, (activation, method), kind)
            axes.set_title(f"{activation}: {_TITLES[kind]}")
            axes.set_xlabel("seconds of the processor" if kind == "seconds" else "step")
            if kind == "seconds":
                axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            if kind != "accuracy":
                axes.set_yscale("log")
    legend(drawn, panels[0], columns=4)
    ratios = metrics.of_all(metrics.steps_ratio)
    return Figure(
        "metric-training",
        f"{_TITLE}: training",
        "Every method at its tuned learning rate: loss of the mini-batches, averaged between "
        "two points, against steps and against seconds, and the share of the validation images "
        "that are classified correctly; median of the random starts, and between the lowest and "
        "the highest. Networks are plain unless it says batch or weight normalization. "
        + (
            "What to see, steps to the loss that batch normalization has half-way, over its own: "
            f"{listed(ratios)}."
            if ratios
            else "With batch normalization all diverged."
        ),
        drawn,
    )


def _bands(axes: Axes, metrics: Metrics, network: Network, kind: str) -> None:
    t, curves = metrics.curves(network, _CURVES[kind])
    whole = np.isfinite(curves).all(axis=0)
    if not whole.any():
        return
    t, curves = t[whole], curves[:, whole]
    if kind == "seconds":
        t = t * metrics.seconds_per_step(network)
    method = network[1]
    band(axes, t, curves, label=name(method), style=_LINES[method], quantiles=(0.0, 1.0))


def rates(metrics: Metrics) -> Figure:
    """The score of every method at every learning rate."""
    activations = metrics.activations
    drawn, panels = canvas(1, len(activations), width=11, height=4.6)
    drawn.subplots_adjust(top=1 - 0.85 / 4.6)
    for axes, activation in zip(panels, activations, strict=True):
        methods = metrics.methods(activation)
        worst = max(row["outcome"]["start"] for row in metrics.rows)
        for place, method in enumerate(methods):
            sweep, line = metrics.sweeps[activation, method], _LINES[method]
            relative = np.array(sweep.rates) / sweep.best
            shown = np.minimum(sweep.scores, worst)
            axes.plot(relative, shown, label=name(method), marker=".", **line)
            by_seed = np.array(
                [
                    [
                        worst if (s := row["outcome"]["score"]) is None else min(s, worst)
                        for row in metrics.trainings((activation, method), rate).values()
                    ]
                    for rate in sweep.rates
                ]
            )
            low, high = by_seed.min(axis=1), by_seed.max(axis=1)
            axes.fill_between(relative, low, high, color=line["color"], alpha=0.1, linewidth=0)
            axes.plot(
                np.array(sweep.good) / sweep.best,
                [0.02 + 0.022 * place] * len(sweep.good),
                "s",
                color=line["color"],
                markersize=3,
                linewidth=2.2,
                alpha=0.8,
                linestyle=line["linestyle"],
                transform=axes.get_xaxis_transform(),
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.set_ylim(low / (high / low) ** 0.25, high)
        axes.set_title(activation)
        axes.set_xlabel("learning rate over the tuned one")
    panels[0].set_ylabel("mean loss at the end")
    legend(drawn, panels[0], columns=4)
    return Figure(
        "metric-rates",
        f"{_TITLE}: learning rates",
        "The mean training loss over the last steps against the learning rate, as a multiple of "
        "the method's tuned one: mean over the random starts, and between the lowest and the "
        "highest; what diverged or ended above the loss at the start stands there. Bars along "
        "the bottom are the good rates. What to see, decades of good rates: "
        f"{listed({network: sweep.decades for network, sweep in metrics.sweeps.items()})}.",
        drawn,
    )


def angles(metrics: Metrics) -> Figure:
    """By how much each layer turns in one step."""
    activations = metrics.activations
    drawn, panels = canvas(1, len(activations), width=11, height=4.2)
    drawn.subplots_adjust(top=1 - 0.85 / 4.2)
    spreads: Numbers = {}
    for axes, activation in zip(panels, activations, strict=True):
        for method in metrics.methods(activation):
            found = metrics.angles((activation, method))
            if not len(found) or not (found > 0).all():
                continue
            layers = np.arange(1, len(LAYERS) + 1)
            axes.plot(layers, found, label=name(method), marker=".", **_LINES[method])
            hidden = found[:-1]
            spreads[activation, method] = float(hidden.max() / hidden.min())
        axes.set_yscale("log")
        axes.set_title(activation)
        axes.set_xlabel("layer (the last is the head)")
    panels[0].set_ylabel("angle of one step, radians")
    legend(drawn, panels[0], columns=4)
    return Figure(
        "metric-angles",
        f"{_TITLE}: the angle of a step, layer by layer",
        "By how much a step half-way through training turns the rows of each layer's matrix, mean "
        "over rows, median over the random starts, at the tuned rates. LengthDirection leaves the "
        "head to AdamW. What to see, largest over smallest angle of the six hidden layers: "
        + (listed(spreads) or "nothing yet")
        + ".",
        drawn,
    )
