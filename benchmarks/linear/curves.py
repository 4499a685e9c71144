"""Plots of time against relative suboptimality, one per data set, over the tolerances."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
from contest import OURS, Contest, Make
from peers import TARGET
from settings import TOLERANCES, Tolerances, limit_after, settings, sweep
from storage import RESULTS
from tqdm import tqdm

matplotlib.use("Agg")
from matplotlib import pyplot as plt

FLOOR = 1e-14  # smaller values are rounding errors
COLORS = {OURS: "C3", "lbfgs": "C0", "newton-cg": "C1", "newton-cholesky": "C2"}
COLORS |= {"liblinear": "C4", "sag": "C5", "saga": "C6", "glum": "C7"}
Curve = list[tuple[float, float]]  # (seconds, suboptimality)


def curves(contest: Contest) -> dict[str, Curve]:
    """Measure each solver's curve, up to the last tolerance that still improves the fit.

    A peer's curve also ends at the first fit that exceeds the time limit.
    """
    chosen = settings(contest)
    best = min((s.seconds for s in chosen.values() if s.tol is not None), default=np.inf)
    makers = {name: make for name, (make, _) in contest.ours.items()}
    makers |= {name: contest.peers[name][s.variant] for name, s in chosen.items()}
    found = {}
    for name, make in tqdm(makers.items(), desc=f"{contest.label}, curves", leave=False):
        found[name] = curve(make, contest, 5 * limit_after(best))
    return {name: points for name, points in found.items() if points}


def curve(make: Make, contest: Contest, limit: float) -> Curve:
    fits, _ = sweep(make, contest, limit, improving())
    return [(fit.seconds, fit.error) for fit in fits]


def improving() -> Tolerances:
    """Propose ever tighter tolerances, up to the last one that improves the fit."""
    errors: list[float] = []
    for tol in TOLERANCES:
        fit = yield tol
        errors.append(fit.error)
        if errors[-1] < FLOOR or (len(errors) > 4 and errors[-1] > 0.9 * errors[-3]):
            return None
    return None


def draw(curves: dict[str, Any], label: str, file_name: str) -> None:
    figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    for name, curve in curves.items():
        seconds, reached = np.array(curve).T
        ours = name == OURS
        style = {
            "color": COLORS[name],
            "linewidth": 2.5 if ours else 1.2,
            "zorder": 3 if ours else 2,
        }
        axes.plot(seconds, np.maximum(reached, FLOOR), "o-", markersize=3.5, label=name, **style)
    axes.axhline(TARGET, color="0.5", linewidth=0.8, linestyle=":", zorder=1)
    axes.set(xscale="log", yscale="log", title=label, xlabel="seconds of one fit")
    axes.set_ylabel("relative suboptimality (F - F*) / F*")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, frameon=False)
    figure.savefig(RESULTS / file_name, dpi=110)
    plt.close(figure)
