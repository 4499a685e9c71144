"""The figures on deep networks: learning rates, training curves, and three explanations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes

from ..drawing import Figure, band, canvas, legend
from ..formatting import short
from ..networks.figures import finish_rate_panel, mark_good_rates
from ..networks.rates import RateSweep
from .analysis import Analysis
from .coupling_figures import controls, coupling_by_loss, coupling_over_time
from .plan import MIDDLE, NORMALIZATIONS, RATES
from .quantities import COORDINATES, MEASURES
from .styles import COLORS, NAMES, positive

_CURVES = {
    "loss": "training loss",
    "grad_norm": "gradient norm",
    "suboptimality": "loss above the lowest one",
}
_MEASURE_LABELS = {
    "coupling": "coupling / own block (directions)",
    "covariate shift": "covariate shift",
    "gradient shift": "gradient shift",
    "loss roughness": "nonlinearity of the loss",
    "gradient roughness": "change of the gradient",
}


def figures(analysis: Analysis) -> Iterator[Figure]:
    """Draw every figure on deep networks for which there are rows."""
    if analysis.sweeps:
        yield rates(analysis)
    shown = [a for a in analysis.activations if analysis.tuned_networks(a)]
    if not shown:
        return
    yield training(analysis, shown)
    for activation in shown:
        for coordinates in COORDINATES:
            yield coupling_over_time(analysis, activation, coordinates)
    comparable = [a for a in shown if analysis.comparable_networks(a)]
    if comparable:
        yield controls(analysis, comparable)
    yield coupling_by_loss(analysis, shown)
    yield explanations(analysis, shown)


# --------------------------------------------------------------------------- learning rates


def rates(analysis: Analysis) -> Figure:
    """Draw the score of every network at every learning rate."""
    activations = list(dict.fromkeys(activation for activation, _ in analysis.sweeps))
    drawn, panels = canvas(1, len(activations), width=11, height=3.8)
    for axes, activation in zip(panels, activations, strict=True):
        sweeps = {n: sweep for (a, n), sweep in analysis.sweeps.items() if a == activation}
        worst = 3 * max(sweep.start for sweep in sweeps.values())
        for place, (name, sweep) in enumerate(sweeps.items()):
            _plot_sweep(axes, sweep, name, place, worst)
        finish_rate_panel(axes, activation, "learning rate", room=0.15)
    panels[0].set_ylabel("mean loss at the end")
    legend(drawn, panels[0], columns=3)
    tuned = "; ".join(
        f"{a} {n}: {sweep.best:g}, {sweep.decades:g}" for (a, n), sweep in analysis.sweeps.items()
    )
    return Figure(
        "deep-rates",
        "Learning rates",
        "The mean training loss over the last steps at every learning rate of the grid. Large dots "
        "are the tuned rates, and the bars along the bottom are the good rates. Crosses mark "
        "runs that diverged or ended above three times the initial loss. The tuned rates, "
        f"and the decades that the good rates cover: {tuned}.",
        drawn,
    )


def _plot_sweep(axes: Axes, sweep: RateSweep, name: str, place: int, worst: float) -> None:
    color, failed = COLORS[name], sweep.scores > worst
    shown = np.where(failed, worst, sweep.scores)
    axes.plot(RATES, shown, color=color, label=NAMES[name], linewidth=1.2)
    axes.plot(np.array(RATES)[~failed], shown[~failed], ".", color=color)
    axes.plot(np.array(RATES)[failed], shown[failed] * 1.15**place, "x", color=color)
    axes.plot(sweep.best, min(sweep.scores.min(), worst), "o", color=color, markersize=8)
    mark_good_rates(axes, sweep.good, place, color=color)


# --------------------------------------------------------------------------- training


def training(analysis: Analysis, activations: list[str]) -> Figure:
    """Draw loss, gradient norm and suboptimality at the tuned rates."""
    drawn, panels = canvas(len(activations), 3, width=11, height=2.9 * len(activations))
    for i, activation in enumerate(activations):
        for axes, (field, label) in zip(panels[3 * i : 3 * i + 3], _CURVES.items(), strict=True):
            for network in analysis.tuned_networks(activation):
                curves = positive(analysis.curves(network, field))
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
        "Training",
        "Every network at its tuned learning rate: the median and the middle 90% of the random "
        "starts. On the right, the lowest loss that any run with the same activation has "
        f"reached is subtracted. {_speeds(analysis, activations)}",
        drawn,
    )


def _speeds(analysis: Analysis, activations: list[str]) -> str:
    """State how fast the normalized networks are, and how many runs diverged."""
    parts = []
    for activation in activations:
        plain = activation, "plain"
        speed = {n: analysis.speed((activation, n), plain) for n in NORMALIZATIONS[1:]}
        known = [f"{NAMES[n]} {short(r)}" for n, r in speed.items() if np.isfinite(r)]
        if known:
            parts.append(f"with {activation}, {', '.join(known)}")
    runs = sum(row["spec"]["stage"] == "run" for row in analysis.rows)
    count = f"Of {runs} runs at all rates, {analysis.diverged['run']} diverged."
    if not parts:
        return count
    return (
        "Speed, as a multiple of the plain network's, in iterations to the lowest loss that both "
        f"reach: {'; '.join(parts)}. {count}"
    )


# --------------------------------------------------------------------------- explanations


def explanations(analysis: Analysis, activations: list[str]) -> Figure:
    """Draw the final loss of each run against what was measured early in it."""
    columns = len(MEASURES)
    drawn, panels = canvas(len(activations), columns, width=11, height=3.1 * len(activations))
    drawn.subplots_adjust(hspace=0.32, wspace=0.12)
    for i, activation in enumerate(activations):
        row = panels[columns * i : columns * (i + 1)]
        for axes, measure in zip(row, MEASURES, strict=True):
            _plot_dots(axes, analysis, activation, measure)
            rank = analysis.correlation(measure, activation)
            text = f"ρ = {rank:+.2f}" if np.isfinite(rank) else ""
            axes.set_title(f"{_MEASURE_LABELS[measure]}\n{text}" if i == 0 else text, fontsize=8.5)
            axes.set_xscale("log")
            axes.set_yscale("log")
            if axes is not row[0]:
                axes.tick_params(labelleft=False)
        row[0].set_ylabel(f"{activation}: loss at the end")
    legend(drawn, panels[0], columns=3)
    return Figure(
        "deep-explanations",
        "Three explanations",
        "Every dot is a run, at any of the rates: its mean loss over the last steps against the "
        "median of a measure over the first tenth of its iterations. Crosses mark runs that "
        "diverged; those with a measure beyond the scale are at the right edge. The panels show, "
        "from left to right, length-direction decoupling (the coupling of directions relative to "
        "the own block), the covariate shift of the layers' inputs, that of the gradient of layer "
        f"{MIDDLE}, and the smoothness of the loss and of the gradient along a step. ρ is "
        "Spearman's rank correlation: it is +1 if a lower measure always goes with a lower loss. "
        + _ranking(analysis),
        drawn,
    )


def _plot_dots(axes: Axes, analysis: Analysis, activation: str, measure: str) -> None:
    dots = [dot for dot in analysis.dots(activation, measure) if dot.measure > 0]
    ended = [dot for dot in dots if np.isfinite(dot.score)]
    top = 1.6 * max((dot.score for dot in ended), default=1.0)
    right = 1.6 * max((dot.measure for dot in ended), default=1.0)
    for dot in dots:
        color, name = COLORS[dot.network[1]], NAMES[dot.network[1]]
        if dot in ended:
            axes.plot(dot.measure, dot.score, "o", color=color, alpha=0.75, label=name)
        else:
            axes.plot(min(dot.measure, right), top, "x", color=color)


def _ranking(analysis: Analysis) -> str:
    """State the rank correlations, averaged over the activations."""
    found = {measure: analysis.correlation(measure) for measure in MEASURES}
    ranked = [f"{measure} {rank:+.2f}" for measure, rank in found.items() if np.isfinite(rank)]
    if not ranked:
        return "There are too few runs to rank."
    highest = max(found, key=lambda measure: np.nan_to_num(found[measure], nan=-2.0))
    return (
        f"The mean over the activations is: {', '.join(ranked)}. The highest correlation is that "
        f"of {highest}."
    )
