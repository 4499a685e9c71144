"""The contests of cross-validation: five folds and ten values of C, to the same accuracy of scores.

The score of a fold is the negative logarithmic loss of its left-out rows. The reference scores come
from an independent Newton method on each training set, from the smallest C to the largest. The
error of a contestant is its largest difference from them over all folds and values of C, and it
must find the same best C. A loop of fits starts each fit from zero; LogisticRegressionCV starts it
from the previous C.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import collected
import numpy as np
import simulated
from contest import OURS, Contest, Make
from reference import CACHE, Exact, newton
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from softmax_reference import ExactSoftmax
from softmax_reference import newton as softmax_newton
from storage import store, stored
from tqdm import tqdm

import polarstep as ps
from polarstep.experiments.data import tables as datasets
from problems import SMALL, Source, fingerprint

C_GRID = np.logspace(-4, 4, 10)
FOLDS = StratifiedKFold(5)
TARGETS = (1e-4, 1e-6)
LARGEST = "cv-100000x100-10"  # takes minutes, so that it runs to the first target only
ITERATIONS = 100_000
LOOP, OUR_LOOP = "loop of fits", "loop of polarstep's fits"


def sources(folder: Path | None, small: bool = False) -> dict[str, Source]:
    def made(n: int, d: int, n_classes: int) -> Callable[[], simulated.Data]:
        if small:
            n, d = min(n, SMALL[0]), min(d, SMALL[1])
        return partial(simulated.classes, n, d, 100.0, n_classes, 1.5)

    found = {
        "cv-20000x40": Source("2 Gaussian classes", made(20_000, 40, 2), quick=True),
        "cv-20000x40-10": Source("10 Gaussian classes", made(20_000, 40, 10)),
        "cv-100000x100": Source("2 Gaussian classes", made(100_000, 100, 2)),
        LARGEST: Source("10 Gaussian classes", made(100_000, 100, 10)),
    }
    if datasets.find_a9a(folder):
        found["cv-a9a"] = Source("a9a, sparse", partial(collected.a9a, folder), quick=True)
    return found


def contest(name: str, X: Any, y: np.ndarray, target: float) -> Contest:
    """Return the contest to scores that differ from the exact ones by at most `target`."""
    label = f"{name}, scores to {target:g}"
    key = f"{name}, {fingerprint(X, y)}"
    scores = reference_scores(key, X, y)
    binary = int(y.max()) == 1
    solvers = ["lbfgs", "newton-cg", "newton-cholesky"]  # likely winners are searched first
    if binary:
        solvers = ["newton-cholesky", "lbfgs", "newton-cg", "liblinear"]
    peers: dict[str, list[Make]] = {solver: [partial(sklearn_cv, solver)] for solver in solvers}
    loops = [partial(Loop, partial(sklearn_fit, solver)) for solver in solvers[:3]]
    peers[LOOP] = list(loops)
    return Contest(
        name=name,
        label=label,
        key=f"{label}, {key.rpartition(', ')[2]}",
        X=X,
        y=y,
        target=target,
        peers=peers,
        ours={OURS: (ours, None), OUR_LOOP: (partial(Loop, our_fit), None)},
        outcome=outcome,
        error=partial(error, scores),
        facts={
            "n": X.shape[0],
            "d": X.shape[1],
            "K": int(y.max()) + 1,
            "fits": scores.size,
            "objective": "cross-validation",
            "best_C": float(C_GRID[np.argmax(scores.mean(axis=0))]),
        },
    )


def targets(name: str) -> tuple[float, ...]:
    return TARGETS[:1] if name == LARGEST else TARGETS


# ------------------------------------------------------------------- contestants


def ours(tol: float) -> Any:
    return ps.LogisticRegressionCV(Cs=C_GRID, cv=FOLDS, scoring="neg_log_loss", tol=tol)


def our_fit(C: float, tol: float) -> Any:
    return ps.LogisticRegression(C=C, tol=tol)


def sklearn_cv(solver: str, tol: float) -> Any:
    scaling = 1e2 if solver == "liblinear" else 1.0  # liblinear penalises the intercept
    return LogisticRegressionCV(
        Cs=C_GRID,
        cv=FOLDS,
        scoring="neg_log_loss",
        solver=solver,
        tol=tol,
        max_iter=ITERATIONS,
        intercept_scaling=scaling,
        l1_ratios=(0.0,),
        use_legacy_attributes=False,
    )


def sklearn_fit(solver: str, C: float, tol: float) -> Any:
    return LogisticRegression(C=C, tol=tol, solver=solver, max_iter=ITERATIONS)


class Loop:
    """A cross-validation by single fits: `make(C, tol)` returns an estimator."""

    def __init__(self, make: Callable[[float, float], Any], tol: float) -> None:
        self.make, self.tol = make, tol

    def fit(self, X: Any, y: np.ndarray) -> Loop:
        scores = np.empty((FOLDS.get_n_splits(), len(C_GRID)))
        for fold, (train, test) in enumerate(FOLDS.split(X, y)):
            X_train, y_train, X_test, y_test = X[train], y[train], X[test], y[test]
            for k, C in enumerate(C_GRID):
                model = self.make(C, self.tol).fit(X_train, y_train)
                scores[fold, k] = -log_loss(y_test, model.predict_proba(X_test))
        self.scores_ = scores
        self.C_ = C_GRID[np.argmax(scores.mean(axis=0))]
        self.best_ = self.make(self.C_, self.tol).fit(X, y)
        return self


# ------------------------------------------------------------------- scores


def outcome(estimator: Any) -> tuple[np.ndarray, ...]:
    scores = estimator.scores_
    if isinstance(scores, dict):  # one equal array for each class
        scores = next(iter(scores.values()))
    scores = np.asarray(scores).reshape(FOLDS.get_n_splits(), len(C_GRID))
    return scores, np.ravel(estimator.C_)[:1]


def error(exact: np.ndarray, scores: np.ndarray, C: np.ndarray) -> float:
    """Return the largest difference of the scores; infinity if the best C is another one."""
    best = C_GRID[np.argmax(exact.mean(axis=0))]
    return float(np.abs(scores - exact).max()) if np.isclose(C[0], best) else np.inf


def reference_scores(key: str, X: Any, y: np.ndarray) -> np.ndarray:
    """Return the scores of the exact optima, shape (folds, values of C), from the store if known.

    Each fold is stored at once.
    """
    rows = []
    bar = tqdm(list(FOLDS.split(X, y)), desc=f"{key}, reference", leave=False)
    for fold, (train, test) in enumerate(bar):
        name = f"{key}, fold {fold}"
        known = stored(CACHE).get(name)
        if known is None:
            known = fold_scores(X[train], y[train], X[test], y[test])
            store(CACHE, name, known)
        rows.append(known)
    return np.array(rows)


def fold_scores(X: Any, y: np.ndarray, X_test: Any, y_test: np.ndarray) -> list[float]:
    scores, start = [], None
    exact = Exact(X) if y.max() == 1 else ExactSoftmax(X, y)
    for C in C_GRID:
        if isinstance(exact, ExactSoftmax):
            start, _ = softmax_newton(exact, C, start)
            W, b = exact.unstack(start)
            Z = X_test @ W.T + b
        else:
            start, _ = newton(exact, np.where(y == 1, 1.0, -1.0), C, start)
            margins = X_test @ (start[:-1] / exact.scale) + exact.intercept(start)
            Z = np.column_stack([np.zeros(len(y_test)), margins])
        right = Z[np.arange(len(y_test)), y_test]
        scores.append(-float((logsumexp(Z, axis=1) - right).mean()))
    return scores
