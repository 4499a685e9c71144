"""Plots of time against relative suboptimality, one per data set, over the tolerances."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import matplotlib
import numpy as np
import peers
from race import FAST, TARGET, TOLERANCES, attempt, fit, limit_after, settings, timed
from reference import RESULTS, Exact, suboptimality
from tqdm import tqdm

from problems import Problem

matplotlib.use("Agg")
from matplotlib import pyplot as plt

FLOOR = 1e-14  # smaller values are rounding errors
COLORS = {peers.OURS: "C3", "lbfgs": "C0", "newton-cg": "C1", "newton-cholesky": "C2"}
COLORS |= {"liblinear": "C4", "sag": "C5", "saga": "C6", "glum": "C7"}
Curve = list[tuple[float, float]]  # (seconds, suboptimality)


def sweep(problem: Problem, exact: Exact) -> dict[str, Curve]:
    """Measure each solver's curve, up to the last tolerance that still improves the fit.

    A peer's curve also ends at the first fit that exceeds the time limit.
    """
    chosen = settings(problem, exact, again=False)
    best = min((s.seconds for s in chosen.values() if s.tol is not None), default=np.inf)
    variants = peers.peers(problem)
    makers = {name: variants[name][setting.variant] for name, setting in chosen.items()}
    found = {}
    if peers.has_ours():
        found[peers.OURS] = our_curve(problem, exact)
    for name, make in tqdm(makers.items(), desc=f"{problem.name}, curves", leave=False):
        found[name] = their_curve(make, problem, exact, limit_after(best))
    return {name: curve for name, curve in found.items() if curve}


def our_fit(problem: Problem, tol: float) -> Any:
    return fit(peers.ours(problem, tol), problem)


def our_curve(problem: Problem, exact: Exact) -> Curve:
    curve = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for tol in TOLERANCES[:12]:
            one = partial(our_fit, problem, tol)
            seconds, fitted = timed(one)
            for _ in range(5 if seconds < FAST else 1):
                seconds = min(seconds, timed(one)[0])
            curve.append((seconds, suboptimality(problem, exact, *peers.solution(fitted))))
    return curve


def their_curve(make: peers.Make, problem: Problem, exact: Exact, limit: float) -> Curve:
    curve: Curve = []
    for tol in TOLERANCES:
        outcome = attempt(make(tol), problem, limit)
        if isinstance(outcome, str):
            break
        curve.append((outcome[0], suboptimality(problem, exact, *outcome[1])))
        if curve[-1][1] < FLOOR or (len(curve) > 4 and curve[-1][1] > 0.9 * curve[-3][1]):
            break
    return curve


def draw(curves: dict[str, Any], label: str, file_name: str) -> None:
    figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    for name, curve in curves.items():
        seconds, reached = np.array(curve).T
        ours = name == peers.OURS
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
