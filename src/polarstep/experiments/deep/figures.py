"""Figures on deep networks: rows -> SVG, one function each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes

from ..drawing import Figure, band, canvas, legend
from ..formatting import short
from .analysis import CONTROLS, COORDINATES, MEASURES, SCALES, Deep, blocks, cross
from .plan import LAYERS, MIDDLE, NORMALIZATIONS, RATES, Network

COLORS = {"plain": "#0072B2", "batch": "#CC79A7", "weight": "#009E73"}
NAMES = {"plain": "plain", "batch": "batch normalization", "weight": "weight normalization"}
_LAYER_COLORS = ("#0072B2", "#56B4E9", "#009E73", "#000000", "#E69F00", "#D55E00", "#CC79A7")
_CURVES = {
    "loss": "training loss",
    "grad_norm": "gradient norm",
    "suboptimality": "loss above the lowest reached",
}
_AXES = {
    "coupling": "coupling / own block (directions)",
    "covariate shift": "covariate shift",
    "gradient shift": "gradient shift",
    "loss roughness": "loss off linear",
    "gradient roughness": "gradient off constant",
}
_LOSS_SCALES = [("raw", "weights"), ("relative", "weights"), ("own", "directions")]


def figures(deep: Deep) -> Iterator[Figure]:
    """Every figure on deep networks that the rows can fill."""
    if deep.tunings:
        yield rates(deep)
    shown = [a for a in deep.activations if _own_networks(deep, a)]
    if not shown:
        return
    yield training(deep, shown)
    for activation in shown:
        for coordinates in COORDINATES:
            yield coupling_over_time(deep, activation, coordinates)
    if any(_normalized(deep, a) for a in shown):
        yield controls(deep, [a for a in shown if _normalized(deep, a)])
    yield coupling_by_loss(deep, shown)
    yield explanations(deep, shown)


def _positive(values: np.ndarray) -> np.ndarray:
    """What a logarithmic axis can show, NaN elsewhere."""
    return np.where(values > 0, values, np.nan)


def _own_networks(deep: Deep, activation: str) -> list[Network]:
    """The networks that have run at their tuned rates."""
    return [(activation, n) for n in NORMALIZATIONS if deep.own((activation, n))]


def _normalized(deep: Deep, activation: str) -> list[Network]:
    """The normalized networks that have something to be compared with."""
    quantity = cross("raw", "weights")
    networks = [network for network in _own_networks(deep, activation) if network[1] != "plain"]
    return [n for n in networks if any(len(deep.ratios(n, quantity, c)) for c in CONTROLS)]


# --------------------------------------------------------------------------- training


def rates(deep: Deep) -> Figure:
    """The score of every network at every learning rate."""
    activations = list(dict.fromkeys(activation for activation, _ in deep.tunings))
    drawn, panels = canvas(1, len(activations), width=11, height=3.8)
    for axes, activation in zip(panels, activations, strict=True):
        tuned = {n: t for (a, n), t in deep.tunings.items() if a == activation}
        worst = 3 * max(tuning.start for tuning in tuned.values())
        for place, (name, tuning) in enumerate(tuned.items()):
            color, bad = COLORS[name], tuning.scores > worst
            shown = np.where(bad, worst, tuning.scores)
            axes.plot(RATES, shown, color=color, label=NAMES[name], linewidth=1.2)
            axes.plot(np.array(RATES)[~bad], shown[~bad], ".", color=color)
            axes.plot(np.array(RATES)[bad], shown[bad] * 1.15**place, "x", color=color)
            axes.plot(tuning.best, min(tuning.scores.min(), worst), "o", color=color, markersize=8)
            axes.plot(
                tuning.good,
                [0.02 + 0.025 * place] * len(tuning.good),
                "s-",
                color=color,
                markersize=3.5,
                linewidth=3,
                alpha=0.7,
                transform=axes.get_xaxis_transform(),
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.set_ylim(low / (high / low) ** 0.15, high)
        axes.set_title(activation)
        axes.set_xlabel("learning rate")
    panels[0].set_ylabel("mean loss at the end")
    legend(drawn, panels[0], columns=3)
    return Figure(
        "deep-rates",
        "Deep networks: learning rates",
        "The mean training loss over the last steps at every learning rate of the grid. Large "
        "dots are the tuned rates, bars along the bottom the good ones; crosses diverged or ended "
        "above three times the initial loss. What to see (tuned rate, decades of good rates): "
        + "; ".join(f"{a} {n}: {t.best:g}, {t.decades:g}" for (a, n), t in deep.tunings.items())
        + ".",
        drawn,
    )


def training(deep: Deep, activations: list[str]) -> Figure:
    """Loss, gradient norm and suboptimality at the tuned rates."""
    drawn, panels = canvas(len(activations), 3, width=11, height=2.9 * len(activations))
    for i, activation in enumerate(activations):
        for j, (field, label) in enumerate(_CURVES.items()):
            axes = panels[3 * i + j]
            for network in _own_networks(deep, activation):
                curves = _positive(deep.curves(network, field))
                curves = curves[:, np.isfinite(curves).any(axis=0)]
                t, style = np.arange(curves.shape[1]), {"color": COLORS[network[1]]}
                band(axes, t, curves, label=NAMES[network[1]], style=style)
            axes.set_yscale("log")
            if field == "suboptimality":
                axes.set_ylim(bottom=1e-4)
            axes.set_title(label if i == 0 else "")
            if i == len(activations) - 1:
                axes.set_xlabel("iteration")
        panels[3 * i].set_ylabel(activation)
    legend(drawn, panels[0], columns=3)
    return Figure(
        "deep-training",
        "Deep networks: training",
        "Every network at its tuned learning rate, median and middle 90% of the random starts. "
        "Right: the loss above the lowest that any run with that activation has reached. What to "
        f"see: {_speeds(deep, activations)}.",
        drawn,
    )


def _speeds(deep: Deep, activations: list[str]) -> str:
    """How many times faster than the plain network the others are, and what diverged."""
    parts = []
    for activation in activations:
        speed = {n: deep.speed((activation, n), (activation, "plain")) for n in NORMALIZATIONS[1:]}
        known = [f"{NAMES[n]} {short(r)}" for n, r in speed.items() if np.isfinite(r)]
        if known:
            parts.append(
                f"with {activation}, times fewer iterations than plain to the lowest loss that "
                f"both reach: {', '.join(known)}"
            )
    runs = sum(row["spec"]["stage"] == "run" for row in deep.rows)
    return "; ".join([*parts, f"of {runs} runs at all rates {deep.diverged['run']} diverged"])


# --------------------------------------------------------------------------- coupling


def coupling_over_time(deep: Deep, activation: str, coordinates: str) -> Figure:
    """The blocks of the middle layer with every layer, in every scale."""
    networks = _own_networks(deep, activation)
    columns = len(networks)
    drawn, panels = canvas(len(SCALES), columns, width=11, height=7.6)
    for i, (scale, label) in enumerate(SCALES.items()):
        row = panels[columns * i : columns * (i + 1)]
        for axes, network in zip(row, networks, strict=True):
            t, curves = _over_time(deep, network, scale, coordinates)
            for k, color in enumerate(_LAYER_COLORS):
                line = ".--" if k + 1 == MIDDLE else ".-"
                axes.plot(t, curves[:, k], line, color=color, label=f"layer {k + 1}")
            axes.set_yscale("log")
            axes.set_xscale("symlog", linthresh=1)
            axes.set_xlim(left=-0.15)
            axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
            axes.set_title(NAMES[network[1]] if i == 0 else "")
            if i == len(SCALES) - 1:
                axes.set_xlabel("iteration")
        _share_limits(row)
        row[0].set_ylabel(label)
    legend(drawn, panels[0], columns=len(LAYERS))
    id = f"deep-coupling-{activation}" + ("" if coordinates == "weights" else "-directions")
    return Figure(
        id,
        f"Deep networks, {activation}: coupling of the middle layer"
        + ("" if coordinates == "weights" else ", units' directions"),
        f"The Hessian's blocks between layer {MIDDLE} and every layer, dashed its own, at the "
        "tuned rates, median of the random starts; rows are scales, and the panels of a row share "
        "their axis. "
        + (
            ""
            if coordinates == "weights"
            else "Here the blocks are those by the units' directions uₚ, Wₚ = gₚuₚ, on their "
            "spheres. "
        )
        + f"What to see: {_trend(deep, networks, coordinates)}.",
        drawn,
        folded=coordinates == "directions",
    )


def _over_time(
    deep: Deep, network: Network, scale: str, coordinates: str
) -> tuple[np.ndarray, np.ndarray]:
    """(iterations, medians over seeds of the blocks with every layer)."""
    found: dict[int, list[np.ndarray]] = {}
    for row in deep.own(network).values():
        for point in row["outcome"]["points"]:
            if point["iteration"] in row["spec"]["measured_at"]:
                found.setdefault(point["iteration"], []).append(blocks(point, scale, coordinates))
    t = np.array(sorted(found))
    return t, np.array([_positive(np.median(found[k], axis=0)) for k in t])


def _share_limits(row: list[Axes]) -> None:
    limits = [axes.get_ylim() for axes in row]
    for axes in row:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _trend(deep: Deep, networks: list[Network], coordinates: str) -> str:
    """How the mean over the other layers goes, raw and relative to the own block."""
    parts = []
    for network in networks:
        ways = []
        for scale, name in (
            ("raw", "the mean over the other layers"),
            ("own", "relative to its own block"),
        ):
            early, late = deep.over_time(network, cross(scale, coordinates))
            if np.isfinite([early, late]).all():
                ways.append(f"{name} from {short(early)} to {short(late)}")
        if ways:
            parts.append(f"{NAMES[network[1]]}: {', '.join(ways)}")
    return f"from the first tenth to the second half, {'; '.join(parts) or 'nothing yet'}"


def controls(deep: Deep, activations: list[str]) -> Figure:
    """Ratios to the plain network, for every scale and under every control."""
    kinds = [(scale, c) for scale in SCALES for c in COORDINATES]
    drawn, panels = canvas(1, len(activations), width=11, height=7.6)
    drawn.subplots_adjust(left=0.21, wspace=0.06)
    below: dict[str, list[bool]] = {}
    for axes, activation in zip(panels, activations, strict=True):
        for network in _normalized(deep, activation):
            up = network[1] == "batch"
            for i, (scale, coordinates) in enumerate(kinds):
                for j, control in enumerate(CONTROLS):
                    ratios = deep.ratios(network, cross(scale, coordinates), control)
                    if not len(ratios):
                        continue
                    y = -(i * (len(CONTROLS) + 1) + j) + (0.15 if up else -0.15)
                    color, middle = COLORS[network[1]], float(np.median(ratios))
                    axes.hlines(y, *np.quantile(ratios, [0.05, 0.95]), color=color, linewidth=1.4)
                    axes.plot(middle, y, "o", color=color, markersize=5, label=NAMES[network[1]])
                    below.setdefault(network[1], []).append(middle < 1)
        axes.axvline(1.0, color="black", linewidth=1)
        axes.set_xscale("log")
        axes.set_title(activation)
        axes.set_xlabel("ratio to the plain network")
        axes.set_ylim(-len(kinds) * (len(CONTROLS) + 1) + 1.2, 0.8)
        axes.grid(axis="y", visible=False)
        axes.set_yticks([])
    lines = [(i, j) for i in range(len(kinds)) for j in range(len(CONTROLS))]
    labels = [
        f"{scale}, {coordinates}:  {control}" if control == "early" else control
        for scale, coordinates in kinds
        for control in CONTROLS
    ]
    panels[0].set_yticks([-(i * (len(CONTROLS) + 1) + j) for i, j in lines], labels, fontsize=8)
    legend(drawn, panels[0], columns=2)
    return Figure(
        "deep-controls",
        "Deep networks: coupling with normalization over coupling without, under controls",
        "The mean coupling of the middle layer with the others, over that of the plain network: "
        "median (dot) and middle 90% (line) over random starts and what is compared; left of 1 is "
        "less than plain. Scales: "
        + "; ".join(f"{name}: {formula}" for name, formula in SCALES.items())
        + ". What is equal: "
        + "; ".join(f"{name}: {meaning}" for name, meaning in CONTROLS.items())
        + ". What to see: "
        + "; ".join(
            f"{NAMES[n]} is below plain in {sum(yes)} of {len(yes)} comparisons"
            for n, yes in below.items()
        )
        + ".",
        drawn,
    )


def coupling_by_loss(deep: Deep, activations: list[str]) -> Figure:
    """The mean coupling against the loss at which it was measured."""
    columns = len(_LOSS_SCALES)
    drawn, panels = canvas(len(activations), columns, width=11, height=2.9 * len(activations))
    for i, activation in enumerate(activations):
        for j, (scale, coordinates) in enumerate(_LOSS_SCALES):
            axes = panels[columns * i + j]
            for network in _own_networks(deep, activation):
                quantity = cross(scale, coordinates)
                for row in deep.own(network).values():
                    points = sorted(row["outcome"]["points"], key=lambda p: -p["loss"])
                    axes.plot(
                        [p["loss"] for p in points],
                        _positive(np.array([quantity(p) for p in points])),
                        ".-",
                        linewidth=0.9,
                        color=COLORS[network[1]],
                        label=NAMES[network[1]],
                    )
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.invert_xaxis()
            axes.set_title(f"{SCALES[scale]}, {coordinates}" if i == 0 else "")
            if i == len(activations) - 1:
                axes.set_xlabel("training loss (falls to the right)")
        panels[columns * i].set_ylabel(activation)
    legend(drawn, panels[0], columns=3)
    ratios = {
        f"{network[0]} {network[1]}": [
            deep.ratios(network, cross(*kind), "loss") for kind in _LOSS_SCALES
        ]
        for activation in activations
        for network in _normalized(deep, activation)
    }
    seen = "; ".join(
        f"{name}: {', '.join(short(float(np.median(r))) for r in found)}"
        for name, found in ratios.items()
        if all(len(r) for r in found)
    )
    return Figure(
        "deep-loss",
        "Deep networks: coupling at equal losses",
        "The mean coupling of the middle layer with the others against the loss at which it was "
        "measured, one line per run at the tuned rates. At the same loss, a network that trains "
        "faster is not compared with one that lags behind. What to see: "
        + (
            f"over the plain network at the same losses, panels from left to right, median: {seen}."
            if seen
            else "no loss yet at which two networks were measured."
        ),
        drawn,
    )


# --------------------------------------------------------------------------- explanations


def explanations(deep: Deep, activations: list[str]) -> Figure:
    """What was measured early in a run against the loss at its end."""
    columns = len(MEASURES)
    drawn, panels = canvas(len(activations), columns, width=11, height=3.1 * len(activations))
    drawn.subplots_adjust(hspace=0.32, wspace=0.12)
    for i, activation in enumerate(activations):
        row = panels[columns * i : columns * (i + 1)]
        for axes, measure in zip(row, MEASURES, strict=True):
            dots = [dot for dot in deep.dots(activation, measure) if dot.measure > 0]
            ended = [dot for dot in dots if np.isfinite(dot.score)]
            top = 1.6 * max((dot.score for dot in ended), default=1.0)
            right = 1.6 * max((dot.measure for dot in ended), default=1.0)
            for dot in dots:
                color, name = COLORS[dot.network[1]], NAMES[dot.network[1]]
                if dot in ended:
                    axes.plot(dot.measure, dot.score, "o", color=color, alpha=0.75, label=name)
                else:
                    axes.plot(min(dot.measure, right), top, "x", color=color)
            rank = deep.correlation(measure, activation)
            text = f"ρ = {rank:+.2f}" if np.isfinite(rank) else ""
            axes.set_title(f"{_AXES[measure]}\n{text}" if i == 0 else text, fontsize=8.5)
            axes.set_xscale("log")
            axes.set_yscale("log")
            if axes is not row[0]:
                axes.tick_params(labelleft=False)
        row[0].set_ylabel(f"{activation}: loss at the end")
    legend(drawn, panels[0], columns=3)
    found = {measure: deep.correlation(measure) for measure in MEASURES}
    ranked = [f"{m} {r:+.2f}" for m, r in found.items() if np.isfinite(r)]
    return Figure(
        "deep-explanations",
        "Deep networks: three explanations",
        "One dot per run, at all rates: what was measured in the first tenth of its iterations "
        "(median) against its mean loss over the last steps. Crosses diverged; where they measured "
        "more than all others they stand at the right edge. From left to right: "
        "length-direction decoupling (coupling of directions relative to the own block); covariate "
        f"shift of the layers' inputs, and of the gradient of layer {MIDDLE}; loss and gradient "
        "along a step. ρ is Spearman's rank correlation: +1 if less of the measure always goes "
        "with a lower loss. What to see: "
        + (
            f"mean over the activations: {', '.join(ranked)}; the largest is that of "
            f"{max(found, key=lambda m: np.nan_to_num(found[m], nan=-2.0))}."
            if ranked
            else "too few runs to rank."
        ),
        drawn,
    )
