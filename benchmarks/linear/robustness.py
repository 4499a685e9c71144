"""Compare the test accuracy of HalfspaceClassifier's losses and scikit-learn's models under noise.

    python benchmarks/linear robustness [--seeds 5] [--data DIR]

Labels of the training set are flipped; those of the test set are clean. "symmetric" flips every
label with the given probability. "far" flips the given share of the positive class, namely the
points that lie farthest from the decision boundary of a model fitted to the clean labels (for
Gaussian data, from the optimal boundary). All models get standardised columns (a9a: columns scaled
to a largest absolute value of 1) and C = 1, which is alpha = 1/n for SGDClassifier.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from collected import a9a
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.preprocessing import MaxAbsScaler, StandardScaler
from sklearn.svm import LinearSVC
from storage import RESULTS
from tqdm import tqdm

import polarstep as ps
from polarstep.experiments.data import tables as datasets

matplotlib.use("Agg")
from matplotlib import pyplot as plt

NOISE = (0.0, 0.1, 0.2, 0.3, 0.4)
LOSSES = ("softplus", "sigmoid", "normal_cdf")
Split = tuple[Any, np.ndarray, Any, np.ndarray]  # X, y of the training set, then of the test set


def models(n: int, seed: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        f"polarstep, {loss}": ps.HalfspaceClassifier(loss=loss) for loss in LOSSES
    }
    found["LogisticRegression"] = LogisticRegression(max_iter=1000)
    found["LinearSVC"] = LinearSVC(random_state=seed)
    huber = SGDClassifier(loss="modified_huber", alpha=1 / n, random_state=seed)
    found["SGD, modified_huber"] = huber
    return found


# ------------------------------------------------------------------- data


def gaussian(seed: int, n: int = 2_000, d: int = 20) -> tuple[Split, np.ndarray]:
    u, S = datasets.gaussian_moments(d, 10.0, 0.5, seed)
    X, y = datasets.gaussian_sample(u, S, n + 20_000, seed)
    margins = -X[:n] @ np.linalg.solve(S, u)
    return (X[:n], y[:n], X[n:], y[n:]), margins


def real(X: Any, y: np.ndarray, n: int, seed: int) -> tuple[Split, np.ndarray]:
    order = np.random.default_rng(seed).permutation(len(y))
    train, test = order[:n], order[n:]
    scaler = MaxAbsScaler() if not isinstance(X, np.ndarray) else StandardScaler()
    A, B = scaler.fit_transform(X[train]), scaler.transform(X[test])
    y = np.where(y > 0, 1.0, -1.0)
    margins = LogisticRegression(max_iter=1000).fit(A, y[train]).decision_function(A)
    return (A, y[train], B, y[test]), margins


def sources(folder: Path | None) -> dict[str, Callable[[int], tuple[Split, np.ndarray]]]:
    found = {
        "Gaussian": gaussian,
        "breast_cancer": lambda seed: real(*load_breast_cancer(return_X_y=True), 400, seed),
    }
    if datasets.find_a9a(folder):
        found["a9a"] = lambda seed: real(*a9a(folder), 10_000, seed)
    return found


def symmetric(y: np.ndarray, margins: np.ndarray, share: float, seed: int) -> np.ndarray:
    return np.where(np.random.default_rng([seed, 1]).random(len(y)) < share, -y, y)


def far(y: np.ndarray, margins: np.ndarray, share: float, seed: int) -> np.ndarray:
    positive = np.flatnonzero(y > 0)
    farthest = positive[np.argsort(-margins[positive])][: round(share * len(positive))]
    noisy = y.copy()
    noisy[farthest] = -1.0
    return noisy


FLIPS = {"symmetric": symmetric, "far": far}

# ------------------------------------------------------------------- measuring


def measure(folder: Path | None, seeds: int) -> list[dict[str, Any]]:
    rows = []
    for data, make in sources(folder).items():
        for seed in tqdm(range(seeds), desc=f"label noise, {data}", leave=False):
            (X, y, test_X, test_y), margins = make(seed)
            for kind, flip in FLIPS.items():
                for share in NOISE:
                    noisy = flip(y, margins, share, seed)
                    for name, model in models(len(y), seed).items():
                        with warnings.catch_warnings():
                            warnings.simplefilter("ignore")
                            accuracy = float(model.fit(X, noisy).score(test_X, test_y))
                        what = {"data": data, "flips": kind, "noise": share, "model": name}
                        rows.append({**what, "seed": seed, "accuracy": accuracy})
    return rows


def table(rows: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """(data, flips) -> model -> accuracies (noise, seeds)."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        models_ = found.setdefault((row["data"], row["flips"]), {})
        models_.setdefault(row["model"], {}).setdefault(row["noise"], []).append(row["accuracy"])
    return {
        case: {
            name: np.array([values[share] for share in NOISE]) for name, values in models_.items()
        }
        for case, models_ in found.items()
    }


def show(rows: list[dict[str, Any]]) -> None:
    for (data, kind), found in table(rows).items():
        print(f"\n{data}, {kind} flips: accuracy on clean labels in %, mean and deviation")
        print(f"{'':24}" + "".join(f"{share:>13.0%}" for share in NOISE))
        for name, accuracy in found.items():
            cells = zip(100 * accuracy.mean(axis=1), 100 * accuracy.std(axis=1), strict=True)
            print(f"{name:24}" + "".join(f"{mean:7.1f} ±{spread:4.1f}" for mean, spread in cells))


def draw(rows: list[dict[str, Any]]) -> Path:
    found = table(rows)
    names = list(dict.fromkeys(data for data, _ in found))
    figure, axes = plt.subplots(
        len(FLIPS), len(names), figsize=(4 * len(names), 6), sharex=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for (data, kind), accuracies in found.items():
        panel = axes[list(FLIPS).index(kind), names.index(data)]
        for k, (name, accuracy) in enumerate(accuracies.items()):
            dashes = "-" if name.startswith("polarstep") else "--"
            mean, spread = accuracy.mean(axis=1), accuracy.std(axis=1)
            panel.errorbar(
                NOISE,
                mean,
                spread,
                fmt=f"o{dashes}",
                markersize=3,
                capsize=2,
                color=f"C{k}",
                label=name,
            )
        panel.set_title(f"{data}, {kind} flips", fontsize=10)
        panel.grid(alpha=0.25)
    for panel in axes[-1]:
        panel.set_xlabel("share of flipped labels")
    for panel in axes[:, 0]:
        panel.set_ylabel("accuracy on clean labels")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    path = RESULTS / "linear_robustness.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
