"""Compare fits of random degenerate problems with independent optima, and count the warnings.

    python benchmarks/linear degenerate [--problems 5000]

Half of the problems have two classes and half have three or four. A fit fails if it gives no
warning although (F - F*)/F* is above ten times its tolerance.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from typing import Any

import numpy as np
from degenerate_problems import Degenerate, Optimum, degenerate
from sklearn.exceptions import ConvergenceWarning
from tqdm import tqdm

import polarstep as ps

TOL = 1e-6


def run(problem: Degenerate, seed: int) -> dict[str, Any]:
    """Fit one problem; return how far the fit is from the optimum and what it said."""
    binary = problem.y.max() == 1
    kind = ps.HalfspaceClassifier if binary and seed % 2 else ps.LogisticRegression
    model = kind(C=problem.C, fit_intercept=problem.intercept, tol=TOL)
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model.fit(problem.X, problem.y, problem.weight)
    warned = any(issubclass(w.category, ConvergenceWarning) for w in seen)
    excess = Optimum(problem).excess(model.coef_, model.intercept_)
    return {
        "seed": seed, "classes": int(problem.y.max()) + 1, "kind": problem.kind,
        "storage": problem.storage, "shape": problem.X.shape, "C": problem.C,
        "estimator": kind.__name__, "status": model.result_.status.name, "warned": warned,
        "others": [str(w.message) for w in seen if not issubclass(w.category, ConvergenceWarning)],
        "n_iter": int(model.n_iter_.max()), "excess": excess, "gap": model.result_.gap,
        "seconds": time.perf_counter() - start,
    }  # fmt: skip


def measure(count: int, first: int = 0) -> list[dict[str, Any]]:
    rows = []
    with np.errstate(over="ignore"):  # exponentials in the reference
        for seed in tqdm(range(first, first + count), desc="degenerate problems", leave=False):
            n_classes = 2 if seed % 4 < 2 else 3 + seed % 2
            rows.append(run(degenerate(seed, n_classes), seed))
    return rows


def failures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if not row["warned"] and not row["excess"] <= 10 * TOL]


def show(rows: list[dict[str, Any]]) -> None:
    failed, warned = failures(rows), [row for row in rows if row["warned"]]
    print(f"{len(rows)} problems: {len(failed)} above 10 tol without a warning, ", end="")
    print(f"{len(warned)} warned ({100 * len(warned) / len(rows):.2f}%)")
    print("statuses:", dict(Counter(row["status"] for row in rows)))
    print("warned by kind:", dict(Counter((row["kind"], row["classes"]) for row in warned)))
    for row in failed[:20]:
        print("  failed:", {k: row[k] for k in row if k not in ("others", "seconds")})
