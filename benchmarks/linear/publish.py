"""The tables and the figure of docs/benchmarks, written from the results of the races."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from contest import OURS

matplotlib.use("Agg")
from matplotlib import pyplot as plt

PAGES = Path(__file__).parents[2] / "docs" / "benchmarks"
TABLES = {"margins": "linear", "softmax": "softmax", "cross-validation": "cross_validation"}
HEADINGS = {
    "margins": "two classes, and each class against the rest",
    "softmax": "softmax",
    "cross-validation": "cross-validation",
}
COLORS = ("#0072B2", "#D55E00")  # of Okabe and Ito
STYLE = {"svg.hashsalt": "polarstep", "font.size": 9, "axes.spines.right": False}
STYLE |= {"axes.spines.top": False, "figure.facecolor": "white"}
Result = dict[str, Any]


def publish(results: dict[str, Result]) -> Iterator[Path]:
    for objective, name in TABLES.items():
        chosen = {k: r for k, r in results.items() if r["objective"] == objective}
        if chosen:
            path = PAGES / f"{name}.csv"
            with path.open("w", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(table(objective, chosen))
            yield path
    if results:
        yield draw(results)


# ------------------------------------------------------------------- tables


def table(objective: str, results: dict[str, Result]) -> list[list[str]]:
    is_cv = objective == "cross-validation"
    what = "largest error of the scores" if is_cv else "C"
    head = ["data", "n x d", "classes", what, "polarstep (s)", "best of the others (s)", "which"]
    rows = [[*head, "ratio", "range", *(["memory (MB)", "of the best (MB)"] if is_cv else [])]]
    for result in results.values():
        mine, best = result["table"][OURS], result["best_peer"]
        size = f"{result['n']:,} x {result['d']:,}"
        row = [result["title"], size, str(result["K"]), setting(result), seconds(mine["seconds"])]
        if best:
            peer = result["table"][best]
            spread = f"{peer['lowest']:.2g}–{peer['highest']:.2g}"
            row += [seconds(peer["seconds"]), best, f"{peer['ratio']:.2g}", spread]
        else:
            row += ["", "none reaches the accuracy", "", ""]
        if mine["suboptimality"] > result["target"]:
            row[4] += " (does not reach the accuracy)"
        if is_cv:
            row += [f"{mine['megabytes']:.0f}", f"{peer['megabytes']:.0f}" if best else ""]
        rows.append(row)
    return rows


def seconds(value: float) -> str:
    return f"{value:.2g}" if value < 100 else f"{value:.0f}"


# ------------------------------------------------------------------- figure


def draw(results: dict[str, Result]) -> Path:
    """Draw the ratio to the best peer on every data set, with its range over the rounds."""
    groups = {
        objective: by_data(r for r in results.values() if r["objective"] == objective)
        for objective in TABLES
    }
    groups = {objective: found for objective, found in groups.items() if found}
    heights = [len(found) for found in groups.values()]
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(
            len(groups),
            figsize=(7.5, 0.22 * sum(heights) + 0.8 * len(groups) + 0.5),
            height_ratios=heights,
            sharex=True,
            squeeze=False,
            layout="constrained",
        )
        for panel, (objective, found) in zip(panels[:, 0], groups.items(), strict=True):
            draw_group(panel, objective, found)
        panels[-1, 0].set_xlabel("time of the best peer divided by polarstep's")
        path = PAGES / "linear_ratios.svg"
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
    return path


def by_data(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Group results that have a best peer by their data."""
    found: dict[str, list[Result]] = {}
    for result in results:
        if result["best_peer"]:
            classes = f", {result['K']} classes" if result["K"] > 2 else ""
            label = f"{result['title']}, {result['n']:,} x {result['d']:,}{classes}"
            found.setdefault(label, []).append(result)
    return found


def draw_group(panel: Any, objective: str, found: dict[str, list[Result]]) -> None:
    numbers = sorted({setting(r) for many in found.values() for r in many}, key=float)
    for row, results in enumerate(found.values()):
        for result in results:
            peer, place = result["table"][result["best_peer"]], numbers.index(setting(result))
            height = row + 0.3 * ((place + 0.5) / len(numbers) - 0.5)
            color = COLORS[place % len(COLORS)]
            panel.hlines(height, peer["lowest"], peer["highest"], colors=color, linewidth=1.2)
            panel.plot(peer["ratio"], height, "o", color=color, markersize=4)
    panel.axvline(1.0, color="0.4", linewidth=0.8)
    panel.set_yticks(np.arange(len(found)), list(found), fontsize=7)
    panel.set(xscale="log", ylim=(len(found) - 0.4, -0.6))
    panel.set_title(HEADINGS[objective], loc="left", fontsize=9)
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panel.grid(axis="x", color="#e6e6e6")
    name = "scores to" if objective == "cross-validation" else "C ="
    for place, number in enumerate(numbers):
        color = COLORS[place % len(COLORS)]
        panel.plot([], [], "o", color=color, markersize=4, label=f"{name} {number}")
    panel.legend(fontsize=7, frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))


def setting(result: Result) -> str:
    """Return C of a fit, or the largest error of the scores of a cross-validation."""
    is_cv = result["objective"] == "cross-validation"
    return f"{result['target']:g}" if is_cv else f"{result['C']:g}"
