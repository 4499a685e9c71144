"""Figures on halfspaces, one function each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...losses import LOSSES
from ..drawing import Figure, band, canvas, legend, styles
from ..formatting import short
from .analysis import Analysis, Cell
from .plan import PENALTY, RUNS, STARTS, VARIANTS

STYLES: dict[str, dict[str, Any]] = {
    "gd": {"color": "#0072B2"},
    "agd": {"color": "#E69F00"},
    "wn": {"color": "#009E73"},
    "bn": {"color": "#CC79A7"},
    "gdnp": {"color": "#D55E00"},
    "gdnp 1.9/L": {"color": "#000000"},
    "gd 1/smoothness": {"color": "#56B4E9", "linestyle": "--"},
}
LABELS = {
    "gd": "gd (tuned)",
    "agd": "agd (tuned)",
    "wn": "wn (tuned)",
    "bn": "bn (tuned)",
    "gdnp": "gdnp (1/L)",
    "gdnp 1.9/L": "gdnp (1.9/L)",
    "gd 1/smoothness": "gd (1/smoothness)",
}
_QUANTITIES = {
    "suboptimality": "suboptimality",
    "grad_norm": "gradient norm (S⁻¹)",
    "direction_gap": "direction gap ρ − ρ*",
}
_POINTS = 80  # per curve; more would not be visible


def figures(analysis: Analysis) -> Iterator[Figure]:
    """Draw every figure on halfspaces for which there are rows."""
    if analysis.runs:
        yield overview(analysis)
    if _kappas(analysis):
        yield population_gap(analysis)
        yield population_gradient(analysis)
    for data in dict.fromkeys(cell[0] for cell in analysis.runs):
        for variant in VARIANTS:
            if (data, variant, "length 1") in analysis.runs:
                yield run_curves(analysis, data, variant, against="iterations")
                yield run_curves(analysis, data, variant, against="passes")


def overview(analysis: Analysis) -> Figure:
    """Draw the final suboptimality of every method on every problem."""
    cells = list(analysis.runs)
    drawn, (axes,) = canvas(1, 1, width=11, height=4.2)
    for place, name in enumerate(RUNS):
        shift = (place - (len(RUNS) - 1) / 2) * 0.11
        ends = [analysis.curves(cell, name, "suboptimality")[:, -1] for cell in cells]
        middle = np.array([np.median(e) for e in ends])
        low, high = (np.array([np.quantile(e, q) for e in ends]) for q in (0.05, 0.95))
        x = np.arange(len(cells)) + shift
        color = STYLES[name]["color"]
        axes.vlines(x, low, high, color=color, linewidth=1.2, alpha=0.6)
        axes.plot(x, middle, "o", color=color, markersize=5, label=LABELS[name])
    axes.set_yscale("log")
    axes.set_ylabel("final suboptimality")
    labels = ["\n".join(cell).replace(", ", ",\n") for cell in cells]
    axes.set_xticks(range(len(cells)), labels, fontsize=7.5)
    axes.grid(axis="x", visible=False)
    for border in np.arange(len(cells) - 1) + 0.5:
        axes.axvline(border, color="#dddddd", linewidth=0.8)
    axes.set_xlim(-0.5, len(cells) - 0.5)
    legend(drawn, axes, columns=7)
    return Figure(
        "overview",
        "Every method on every problem",
        "Suboptimality after all iterations: the median (dot) and the middle 90% (bar) of the "
        "random starts. Lower is better, and values near 1e-13 are rounding errors. What to look "
        "for: " + _lowest_most_often(analysis),
        drawn,
    )


def _lowest_most_often(analysis: Analysis) -> str:
    """Say for each data set which methods end lowest, and on how many problems."""
    parts = []
    for data in dict.fromkeys(cell[0] for cell in analysis.runs):
        cells = [cell for cell in analysis.runs if cell[0] == data]
        ends = [{name: analysis.median(cell, name)[-1] for name in RUNS} for cell in cells]
        wins = Counter(min(end, key=end.__getitem__) for end in ends)
        (best, most), *others = wins.most_common()
        won = f"{LABELS[best]} ends lowest on {most}"
        won += "".join(f", {LABELS[name]} on {count}" for name, count in others)
        parts.append(f"of the {len(cells)} problems with {data}, {won}")
    return "; ".join(parts) + "."


def population_gap(analysis: Analysis) -> Figure:
    """Draw the direction gap and the bound of Theorem 1."""
    kappas = _kappas(analysis)
    worst = max(o["worst_gap_ratio"] for k in kappas for _, o in _population(analysis, k, "gdnp"))
    of_losses = _loss_styles(analysis)
    drawn, panels = canvas(1, len(kappas), width=11, height=3.4)
    for axes, kappa in zip(panels, kappas, strict=True):
        found = _population(analysis, kappa, "gdnp")
        for width, (spec, outcome) in zip(np.linspace(7.5, 1.0, len(found)), found, strict=True):
            t, gap = np.array(outcome["iteration"]), np.array(outcome["direction_gap"])
            loss = spec["loss"]
            axes.plot(t, gap, linewidth=width, label=loss, **of_losses[loss])
            bound = np.array(outcome["gap_bound"])
        axes.plot(t, bound, "k--", linewidth=1.2, label="Theorem 1's bound")
        axes.set_yscale("log")
        axes.set_ylim(bottom=max(1e-30, min(gap.min(), bound.min()) / 10))
        axes.set_title(f"κ = {kappa:g}")
        axes.set_xlabel("iteration")
    panels[0].set_ylabel("direction gap ρ − ρ*")
    legend(drawn, panels[0], columns=7)
    return Figure(
        "population-gap",
        "The direction gap in the population, and Theorem 1's bound",
        "gdnp with step 1/L in the Gaussian population, where every integral is exact. What to "
        "look for: the curves of all losses, drawn in ever thinner lines, coincide, because the "
        "direction does not depend on the loss; and after the start, the gap is at most "
        f"{worst:.3f} times the dashed bound.",
        drawn,
    )


def population_gradient(analysis: Analysis) -> Figure:
    """Draw the gradient norm with the bound of Theorem 2, and the length."""
    kappas, of_losses = _kappas(analysis), _loss_styles(analysis)
    drawn, panels = canvas(2, len(kappas), width=11, height=5.8)
    top, bottom = panels[: len(kappas)], panels[len(kappas) :]
    for upper, lower, kappa in zip(top, bottom, kappas, strict=True):
        for spec, outcome in _population(analysis, kappa, "gdnp"):
            t = np.array(outcome["iteration"])
            style = of_losses[spec["loss"]]
            upper.plot(t, outcome["grad_norm"], label=spec["loss"], **style)
            bound = {"color": style["color"], "linestyle": "--", "linewidth": 0.9, "alpha": 0.8}
            upper.plot(t, outcome["gradient_bound"], **bound)
            lower.plot(t, outcome["length"], **style)
        for _, outcome in _population(analysis, kappa, "gd"):
            style = {"color": "#777777", "linestyle": ":"}
            label = "gd (sigmoid, 1/smoothness)"
            upper.plot(outcome["iteration"], outcome["grad_norm"], label=label, **style)
            lower.plot(outcome["iteration"], outcome["length"], **style)
        upper.set_yscale("log")
        lower.set_xscale("symlog", linthresh=1)
        upper.set_title(f"κ = {kappa:g}")
        lower.set_xlabel("iteration")
    top[0].set_ylabel("gradient norm (S⁻¹)")
    bottom[0].set_ylabel("length ‖w̃‖ in S")
    legend(drawn, top[0], columns=7)
    return Figure(
        "population-gradient",
        "Gradient norm and length in the population, and Theorem 2's bound",
        "gdnp with step 1/L in the Gaussian population. Bounded losses have the length penalty "
        f"{PENALTY:g}, because they have no finite minimiser without one. Top: the gradient norm "
        "(solid) and its bound (thin, dashed, same colour); the dotted line is gd with step "
        "1/smoothness on the penalised sigmoid. Bottom: the length, which ends where the slope "
        "along S⁻¹u vanishes.",
        drawn,
    )


def run_curves(analysis: Analysis, data: str, variant: str, against: str) -> Figure:
    """Draw suboptimality, gradient norm and direction gap of every method from both starts."""
    starts = [start for start in STARTS if (data, variant, start) in analysis.runs]
    drawn, panels = canvas(len(starts), 3, width=11, height=2.9 * len(starts))
    for i, start in enumerate(starts):
        cell: Cell = (data, variant, start)
        for j, (field, label) in enumerate(_QUANTITIES.items()):
            axes = panels[3 * i + j]
            for name in RUNS:
                curves = analysis.curves(cell, name, field)
                x = np.arange(curves.shape[1])
                if against == "passes":
                    x = np.median(analysis.curves(cell, name, "passes"), axis=0)
                shown = np.unique(np.linspace(0, curves.shape[1] - 1, _POINTS).astype(int))
                band(axes, x[shown], curves[:, shown], label=LABELS[name], style=STYLES[name])
            axes.set_yscale("log")
            axes.set_title(label if i == 0 else "")
            if i == len(starts) - 1:
                axes.set_xlabel("iteration" if against == "iterations" else "passes over the data")
            if j == 0:
                axes.set_ylabel(f"start: {start}")
    legend(drawn, panels[0], columns=7)
    slug = f"{data}-{variant}".replace(", ", "-")
    suffix = "" if against == "iterations" else "-passes"
    return Figure(
        f"runs-{slug}{suffix}",
        f"{data}, {variant}" + (", against passes over the data" if suffix else ""),
        "The median and the middle 90% of the random starts; the top row starts at length 1, the "
        f"bottom row at length {STARTS['plateau']:g}. Suboptimality is the excess over the lowest "
        "value that the reference solver or any run found. The direction gap is measured to S⁻¹u, "
        "the best direction of a Gaussian population; the best direction of a sample differs a "
        "little, so that this gap levels off. "
        + (
            "A pass is one product with X or its transpose. Every iteration of every method takes "
            "two passes. bn and gdnp also need u and S, which take two more passes before the "
            "first iteration; these are not drawn."
            if suffix
            else _what_to_see(analysis, data, variant)
        ),
        drawn,
        folded=bool(suffix),
    )


def _what_to_see(analysis: Analysis, data: str, variant: str) -> str:
    """Say which methods end lowest and highest."""
    parts = []
    for start in STARTS:
        cell = (data, variant, start)
        if cell in analysis.runs:
            ends = {name: analysis.median(cell, name)[-1] for name in RUNS}
            best, worst = min(ends, key=ends.__getitem__), max(ends, key=ends.__getitem__)
            parts.append(
                f"from the start {start!r}, {LABELS[best]} ends lowest ({short(ends[best])}) and "
                f"{LABELS[worst]} highest ({short(ends[worst])})"
            )
    return "What to look for: " + "; ".join(parts) + "."


def _population(
    analysis: Analysis, kappa: float, method: str
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return (spec, outcome) of the population runs at a condition number, sorted by loss."""
    names = list(_loss_styles(analysis))
    chosen = [pair for pair in analysis.population(method) if pair[0]["kappa"] == kappa]
    return sorted(chosen, key=lambda pair: names.index(pair[0]["loss"]))


def _loss_styles(analysis: Analysis) -> dict[str, dict[str, Any]]:
    """Return a line style for every loss of the table, and for any other that has rows."""
    return styles(dict.fromkeys([*LOSSES, *analysis.losses]))


def _kappas(analysis: Analysis) -> list[float]:
    """Return the condition numbers with runs of gdnp."""
    return sorted({spec["kappa"] for spec, _ in analysis.population("gdnp")})
