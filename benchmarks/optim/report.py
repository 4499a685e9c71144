"""Markdown tables and plots of the stored runs."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter

Row = dict[str, Any]
NEAR = 0.02  # a rate is on the plateau if its loss is at most this far above the best


class Sweep:
    """The runs of one optimizer on one task: losses by rate and seed, infinite if diverged."""

    def __init__(self, rows: list[Row]) -> None:
        by_lr = defaultdict(list)
        for row in rows:
            by_lr[row["lr"]].append(np.inf if row["loss"] is None else row["loss"])
        self.rows = rows
        self.lrs = np.array(sorted(by_lr))
        self.losses = [np.array(by_lr[lr]) for lr in self.lrs]
        self.means = np.array([losses.mean() for losses in self.losses])
        self.best = int(self.means.argmin())

    def plateau(self, reference: float | None = None) -> tuple[float, bool]:
        """Return the width of the plateau around the best rate, and whether it may be wider.

        The plateau consists of the rates whose mean loss is within NEAR of the reference, by
        default the loss at the best rate. Its width is in decades, with the loss interpolated
        linearly in the logarithm of the rate. It may be wider if an end of the sweep lies on it.
        """
        level = NEAR + (self.means[self.best] if reference is None else reference)
        if self.means[self.best] > level:
            return 0.0, False
        x, open_end, ends = np.log10(self.lrs), False, []
        for way in (-1, 1):
            i = self.best
            while 0 <= i + way < len(x) and self.means[i + way] <= level:
                i += way
            j, end = i + way, x[i]
            if not 0 <= j < len(x):
                open_end = True
            elif np.isfinite(self.means[j]):
                share = (level - self.means[i]) / (self.means[j] - self.means[i])
                end += share * (x[j] - x[i])
            ends.append(end)
        return ends[1] - ends[0], open_end

    def curves(self) -> np.ndarray:
        """Return step, seconds and loss of finished runs at the best rate: (seeds, points, 3)."""
        lr = self.lrs[self.best]
        return np.array([r["curve"] for r in self.rows if r["lr"] == lr and r["loss"] is not None])


def sweeps(rows: list[Row]) -> dict[str, dict[str, Sweep]]:
    """Group runs by task and optimizer; the runs of a task "x-bn" belong to x."""
    grouped: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        grouped[row["task"].partition("-")[0]][label(row["task"], row["optimizer"])].append(row)
    return {
        task: {name: Sweep(found) for name, found in of_task.items()}
        for task, of_task in grouped.items()
    }


def label(task: str, optimizer: str) -> str:
    return f"{optimizer}, batch norm" if task.endswith("-bn") else optimizer


def markdown(rows: list[Row], times: dict[str, Any], about: str) -> str:
    parts = ["# Optimizers", "", about]
    for task, found in sweeps(rows).items():
        parts += ["", f"## {task}", "", *table(found, times.get(task, {})), "", *losses(found)]
    return "\n".join([*parts, ""])


def table(found: dict[str, Sweep], times: dict[str, Any]) -> list[str]:
    order = sorted(found, key=lambda name: found[name].means.min())
    lowest = min(sweep.means.min() for sweep in found.values())
    lines = [
        "| optimizer | loss | spread | seeds | best rate | plateau, decades | within "
        f"{NEAR} of the table's best | time per step |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in order:
        s = found[name]
        at_best = s.losses[s.best]
        ratio = times.get(name)
        cells = [
            name,
            f"{s.means[s.best]:.3f}",
            f"{np.ptp(at_best):.3f}",
            str(len(at_best)),
            f"{s.lrs[s.best]:g}",
            decades(*s.plateau()),
            decades(*s.plateau(lowest)),
            f"{ratio['ratio']:.2f} ({ratio['lowest']:.2f}-{ratio['highest']:.2f})" if ratio else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def decades(width: float, open_end: bool) -> str:
    return f"{'>= ' if open_end else ''}{width:.2f}"


def losses(found: dict[str, Sweep]) -> list[str]:
    """Return a table of the mean loss at every rate."""
    lines = ["| optimizer | rate: mean loss over seeds |", "|---|---|"]
    for name, s in found.items():
        cells = (f"{lr:g}: {mean:.3f}" for lr, mean in zip(s.lrs, s.means, strict=True))
        lines.append(f"| {name} | {', '.join(cells)} |")
    return lines


def ratios(times: dict[str, list[float]], reference: str) -> dict[str, Any]:
    """Return the median, smallest and largest ratio of each time to that of the reference."""
    base = np.array(times[reference])
    found = {}
    for name, values in times.items():
        ratio = np.array(values) / base
        seconds = float(np.median(values))
        found[name] = {"seconds": seconds, "ratio": float(np.median(ratio))}
        found[name] |= {"lowest": float(ratio.min()), "highest": float(ratio.max())}
    return found


# ------------------------------------------------------------------- plots


def draw(rows: list[Row], times: dict[str, Any], folder: Path, stem: str) -> None:
    """Plot for each task the loss against the rate and, at the best rate, over steps and seconds.

    Seconds are steps times the measured time of a step. Without such a measurement the panel of
    seconds is omitted.
    """
    for task, found in sweeps(rows).items():
        timed = times.get(task, {})
        panels = 3 if timed else 2
        figure, axes = plt.subplots(1, panels, figsize=(4.8 * panels, 4.6), layout="constrained")
        lowest = min(sweep.means.min() for sweep in found.values())
        top = lowest
        for i, (name, s) in enumerate(found.items()):
            style = {"color": f"C{i % 10}", "linestyle": ("-", "--")[i // 10], "linewidth": 1.4}
            axes[0].plot(s.lrs, s.means, marker="o", markersize=4, label=name, **style)
            curves = s.curves()
            if not len(curves):
                continue
            step, _, loss = np.median(curves, axis=0).T
            top = max(top, loss[len(loss) // 5])
            axes[1].plot(step, loss, **style)
            if name in timed:
                axes[2].plot(step * timed[name]["seconds"], loss, **style)
        axes[0].axhspan(lowest, lowest + NEAR, color="0.85", zorder=0)
        axes[0].set(xscale="log", xlabel="learning rate", ylabel="validation loss (mean of seeds)")
        axes[0].xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes[0].xaxis.set_major_formatter("{x:g}")
        axes[0].xaxis.set_minor_formatter(NullFormatter())
        axes[0].tick_params("x", labelsize=8)
        for ax, across in zip(axes[1:], ("step", "seconds of training"), strict=False):
            ax.set(xlabel=across, ylabel="validation loss (part of the set)")
        for ax in axes:
            ax.set_ylim(lowest - 0.05 * (top - lowest), top)
            ax.grid(alpha=0.25)
        figure.legend(loc="outside lower center", ncols=5, fontsize=8, frameon=False)
        figure.suptitle(f"{task}: loss by learning rate, and training at the best rates")
        figure.savefig(folder / f"{stem}_{task}.png", dpi=110)
        plt.close(figure)
