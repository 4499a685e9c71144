"""The figures on coupling: over time, under controls, and at equal losses."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from ..drawing import Figure, canvas, legend
from ..formatting import short
from ..networks.architecture import LAYERS
from .analysis import CONTROLS, Analysis
from .plan import MIDDLE, Network
from .quantities import COORDINATES, SCALES, blocks, cross
from .styles import COLORS, NAMES, positive

_LAYER_COLORS = ("#0072B2", "#56B4E9", "#009E73", "#000000", "#E69F00", "#D55E00", "#CC79A7")
_LOSS_SCALES = [("raw", "weights"), ("relative", "weights"), ("own", "directions")]
_KINDS = [(scale, coordinates) for scale in SCALES for coordinates in COORDINATES]


# --------------------------------------------------------------------------- over time


def coupling_over_time(analysis: Analysis, activation: str, coordinates: str) -> Figure:
    """Draw the blocks of the middle layer with every layer, in every scale."""
    networks = analysis.tuned_networks(activation)
    columns = len(networks)
    drawn, panels = canvas(len(SCALES), columns, width=11, height=7.6)
    for i, (scale, label) in enumerate(SCALES.items()):
        row = panels[columns * i : columns * (i + 1)]
        for axes, network in zip(row, networks, strict=True):
            _plot_layers(axes, *_medians(analysis, network, scale, coordinates))
            axes.set_title(NAMES[network[1]] if i == 0 else "")
            if i == len(SCALES) - 1:
                axes.set_xlabel("iteration")
        _share_limits(row)
        row[0].set_ylabel(label)
    legend(drawn, panels[0], columns=len(LAYERS))
    of_directions = coordinates == "directions"
    return Figure(
        f"deep-coupling-{activation}" + ("-directions" if of_directions else ""),
        f"Coupling of the middle layer, {activation}"
        + (", directions of the units" if of_directions else ""),
        f"Norms of the Hessian blocks between layer {MIDDLE} and every layer at the tuned rates, "
        f"as medians over the random starts. The dashed line is the block of layer {MIDDLE} with "
        "itself. Each row of panels shows one scale, on one axis. "
        + (
            "The derivatives are with respect to the directions uₚ of the units, Wₚ = gₚuₚ, on "
            "their spheres. "
            if of_directions
            else ""
        )
        + _trend(analysis, networks, coordinates),
        drawn,
        folded=of_directions,
    )


def _medians(
    analysis: Analysis, network: Network, scale: str, coordinates: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the measured iterations and the blocks with every layer, medians over the seeds."""
    found: dict[int, list[np.ndarray]] = {}
    for row in analysis.tuned_runs(network).values():
        for point in row["outcome"]["points"]:
            if point["iteration"] in row["spec"]["measured_at"]:
                found.setdefault(point["iteration"], []).append(blocks(point, scale, coordinates))
    t = np.array(sorted(found))
    return t, np.array([positive(np.median(found[k], axis=0)) for k in t])


def _plot_layers(axes: Axes, t: np.ndarray, curves: np.ndarray) -> None:
    for k, color in enumerate(_LAYER_COLORS):
        line = ".--" if k + 1 == MIDDLE else ".-"
        axes.plot(t, curves[:, k], line, color=color, label=f"layer {k + 1}")
    axes.set_yscale("log")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(left=-0.15)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")


def _share_limits(row: list[Axes]) -> None:
    limits = [axes.get_ylim() for axes in row]
    for axes in row:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _trend(analysis: Analysis, networks: list[Network], coordinates: str) -> str:
    """Describe how the mean over the other layers changes, raw and relative to the own block."""
    parts = []
    for network in networks:
        trends = []
        for scale, label in (("raw", "mean"), ("own", "relative to the own block")):
            early, late = analysis.early_and_late(network, cross(scale, coordinates))
            if np.isfinite([early, late]).all():
                trends.append(f"{label} from {short(early)} to {short(late)}")
        if trends:
            parts.append(f"{NAMES[network[1]]}: {', '.join(trends)}")
    if not parts:
        return "No network has been measured both early and late yet."
    return (
        "The mean over the other layers, from the first tenth of the iterations to the second "
        f"half: {'; '.join(parts)}."
    )


# --------------------------------------------------------------------------- under controls


def controls(analysis: Analysis, activations: list[str]) -> Figure:
    """Draw ratios to the plain network for every scale and under every control."""
    drawn, panels = canvas(1, len(activations), width=11, height=7.6)
    drawn.subplots_adjust(left=0.21, wspace=0.06)
    below: dict[str, list[bool]] = {}
    for axes, activation in zip(panels, activations, strict=True):
        for network in analysis.comparable_networks(activation):
            below.setdefault(network[1], []).extend(_plot_ratios(axes, analysis, network))
        axes.axvline(1.0, color="black", linewidth=1)
        axes.set_xscale("log")
        axes.set_title(activation)
        axes.set_xlabel("ratio to the plain network")
        axes.set_ylim(-len(_KINDS) * (len(CONTROLS) + 1) + 1.2, 0.8)
        axes.grid(axis="y", visible=False)
        axes.set_yticks([])
    heights = [_height(i, j) for i in range(len(_KINDS)) for j in range(len(CONTROLS))]
    labels = [
        f"{scale}, {coordinates}:  {control}" if control == "early" else control
        for scale, coordinates in _KINDS
        for control in CONTROLS
    ]
    panels[0].set_yticks(heights, labels, fontsize=8)
    legend(drawn, panels[0], columns=2)
    scales = "; ".join(f"{name}: {formula}" for name, formula in SCALES.items())
    listed_controls = "; ".join(f"{name}: {meaning}" for name, meaning in CONTROLS.items())
    counts = " ".join(
        f"With {NAMES[n]}, the coupling is lower than in the plain network in {sum(yes)} of "
        f"{len(yes)} comparisons."
        for n, yes in below.items()
    )
    return Figure(
        "deep-controls",
        "Coupling with normalization relative to coupling without it, under controls",
        "The mean coupling of the middle layer with the other layers, as a ratio to that of the "
        "plain network: the median (dot) and the middle 90% (line) over the random starts and "
        "over the points that are compared. Left of 1, the coupling is lower than in the plain "
        f"network. The scales are {scales}. The controls are {listed_controls}. {counts}",
        drawn,
    )


def _plot_ratios(axes: Axes, analysis: Analysis, network: Network) -> list[bool]:
    """Plot the ratios of a network; return for each comparison whether the median is below 1."""
    color, name = COLORS[network[1]], NAMES[network[1]]
    offset = 0.15 if network[1] == "batch" else -0.15
    below = []
    for i, kind in enumerate(_KINDS):
        for j, control in enumerate(CONTROLS):
            ratios = analysis.ratios(network, cross(*kind), control)
            if not len(ratios):
                continue
            y, middle = _height(i, j) + offset, float(np.median(ratios))
            axes.hlines(y, *np.quantile(ratios, [0.05, 0.95]), color=color, linewidth=1.4)
            axes.plot(middle, y, "o", color=color, markersize=5, label=name)
            below.append(middle < 1)
    return below


def _height(kind: int, control: int) -> float:
    return -(kind * (len(CONTROLS) + 1) + control)


# --------------------------------------------------------------------------- at equal losses


def coupling_by_loss(analysis: Analysis, activations: list[str]) -> Figure:
    """Draw the mean coupling against the loss at which it was measured."""
    columns = len(_LOSS_SCALES)
    drawn, panels = canvas(len(activations), columns, width=11, height=2.9 * len(activations))
    for i, activation in enumerate(activations):
        row = panels[columns * i : columns * (i + 1)]
        for axes, (scale, coordinates) in zip(row, _LOSS_SCALES, strict=True):
            for network in analysis.tuned_networks(activation):
                _plot_by_loss(axes, analysis, network, scale, coordinates)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.invert_xaxis()
            axes.set_title(f"{SCALES[scale]}, {coordinates}" if i == 0 else "")
            if i == len(activations) - 1:
                axes.set_xlabel("training loss (falls to the right)")
        row[0].set_ylabel(activation)
    legend(drawn, panels[0], columns=3)
    return Figure(
        "deep-loss",
        "Coupling at equal losses",
        "The mean coupling of the middle layer with the other layers against the loss at which it "
        "was measured, one line per run at the tuned rates. Comparing at equal losses keeps a "
        "network that trains faster from being compared with one that lags behind. "
        + _ratios_at_equal_losses(analysis, activations),
        drawn,
    )


def _plot_by_loss(
    axes: Axes, analysis: Analysis, network: Network, scale: str, coordinates: str
) -> None:
    quantity = cross(scale, coordinates)
    for row in analysis.tuned_runs(network).values():
        points = sorted(row["outcome"]["points"], key=lambda p: -p["loss"])
        axes.plot(
            [p["loss"] for p in points],
            positive(np.array([quantity(p) for p in points])),
            ".-",
            linewidth=0.9,
            color=COLORS[network[1]],
            label=NAMES[network[1]],
        )


def _ratios_at_equal_losses(analysis: Analysis, activations: list[str]) -> str:
    parts = []
    for activation in activations:
        for network in analysis.comparable_networks(activation):
            found = [analysis.ratios(network, cross(*kind), "loss") for kind in _LOSS_SCALES]
            if all(len(ratios) for ratios in found):
                medians = ", ".join(short(float(np.median(ratios))) for ratios in found)
                parts.append(f"{' '.join(network)}: {medians}")
    if not parts:
        return "No two networks have been measured at the same loss yet."
    return (
        "The median ratios to the plain network at equal losses, for the panels from left to "
        f"right: {'; '.join(parts)}."
    )
