"""The contestants: polarstep, scikit-learn's solvers, and glum if it is installed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

import polarstep as ps
from problems import Problem

OURS = "polarstep"
SOLVERS = ("lbfgs", "newton-cg", "newton-cholesky", "liblinear", "sag", "saga")
INTERCEPT_SCALINGS = (1e2, 1e3, 1e4)  # liblinear penalises the intercept divided by this
ITERATIONS = 1_000_000  # large enough that only the time limit stops a peer
Make = Callable[[float], Any]  # a tolerance -> an unfitted estimator


def has_ours() -> bool:
    return hasattr(ps, "HalfspaceClassifier")


def ours(problem: Problem, tol: float) -> Any:
    return ps.HalfspaceClassifier(loss="softplus", C=problem.C, tol=tol)


def peers(problem: Problem) -> dict[str, list[Make]]:
    """Return the variants of each peer, of which the fastest will run; likely winners first."""
    found: dict[str, list[Make]] = {}
    for solver in SOLVERS:
        options = {"solver": solver, "C": problem.C, "max_iter": ITERATIONS, "random_state": 0}
        variants = [options]
        if solver == "liblinear":
            variants = [{**options, "intercept_scaling": s} for s in INTERCEPT_SCALINGS]
        found[solver] = [partial(logistic_regression, problem, o) for o in variants]
    if find_spec("glum"):
        found["glum"] = [partial(glum, problem)]
    dense = ("newton-cholesky", "glum") if problem.X.shape[1] <= 2_000 else ()
    return dict(sorted(found.items(), key=lambda item: item[0] not in dense))


def logistic_regression(problem: Problem, options: dict[str, Any], tol: float) -> Any:
    return one_vs_rest(problem, LogisticRegression(tol=tol, **options))


def glum(problem: Problem, tol: float) -> Any:
    from glum import GeneralizedLinearRegressor

    regressor = GeneralizedLinearRegressor(
        family="binomial",
        alpha=1 / (problem.C * problem.X.shape[0]),
        l1_ratio=0,
        solver="irls-ls",
        gradient_tol=tol,
        max_iter=1000,
    )
    return one_vs_rest(problem, regressor)


def one_vs_rest(problem: Problem, estimator: Any) -> Any:
    return estimator if len(problem.signs) == 1 else OneVsRestClassifier(estimator)


def solution(estimator: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return weights, shape (fits, d), and intercepts, shape (fits,)."""
    parts = getattr(estimator, "estimators_", [estimator])
    weights = np.vstack([np.atleast_2d(part.coef_) for part in parts])
    intercepts = np.concatenate([np.atleast_1d(part.intercept_) for part in parts])
    return weights.astype(np.float64), intercepts.astype(np.float64)


def passes(estimator: Any) -> int | None:
    """Return the number of passes over the data of all fits, if the estimator counts them."""
    return getattr(getattr(estimator, "result_", None), "n_passes", None)
