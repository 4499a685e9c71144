"""The contestants of single fits: polarstep, scikit-learn's solvers, and glum if installed."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from contest import OURS, Contest, Make
from reference import Exact
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from softmax_reference import ExactSoftmax

import polarstep as ps
from problems import Problem

if find_spec("glum"):  # imported before the processes of the search branch off
    from glum import GeneralizedLinearRegressor

TARGET = 1e-8
SOLVERS = ("lbfgs", "newton-cg", "newton-cholesky", "liblinear", "sag", "saga")
SOFTMAX_SOLVERS = ("lbfgs", "newton-cg", "newton-cholesky", "saga")
INTERCEPT_SCALINGS = (1e2, 1e3, 1e4)  # liblinear penalises the intercept divided by this
ITERATIONS = 1_000_000  # large enough that only the time limit stops a peer
LARGEST_GRAM = 2_500  # columns, or columns times classes, for peers that factorize the Hessian


def judge(problem: Problem) -> Exact:
    """Return the accurate objective that finds F* and measures solutions."""
    return ExactSoftmax(problem.X, problem.y) if problem.softmax else Exact(problem.X)


def contest(problem: Problem, exact: Exact) -> Contest:
    """Return the contest to a relative suboptimality of TARGET."""
    n, d = problem.X.shape
    fits = 1 if problem.softmax else len(problem.signs)
    facts = {"n": n, "d": d, "K": problem.n_classes, "fits": fits, "C": problem.C}
    facts |= {"objective": "softmax" if problem.softmax else "margins"}
    return Contest(
        name=problem.name,
        label=problem.label,
        key=problem.key,
        X=problem.X,
        y=problem.y,
        target=TARGET,
        peers=peers(problem),
        ours={OURS: (partial(ours, problem), TARGET)},
        outcome=solution,
        error=partial(exact.error, problem),
        facts={**facts, "reference": exact.optima(problem)},
    )


def ours(problem: Problem, tol: float) -> Any:
    if problem.softmax or len(problem.signs) == 1:
        return ps.LogisticRegression(C=problem.C, tol=tol)
    return ps.HalfspaceClassifier(loss="softplus", C=problem.C, tol=tol)


def peers(problem: Problem) -> dict[str, list[Make]]:
    """Return the variants of each peer, of which the fastest will run; likely winners first."""
    n, d = problem.X.shape
    found: dict[str, list[Make]] = {}
    for solver in SOFTMAX_SOLVERS if problem.softmax else SOLVERS:
        options = {"solver": solver, "C": problem.C, "max_iter": ITERATIONS, "random_state": 0}
        variants = [options]
        if solver == "liblinear":
            variants = [{**options, "intercept_scaling": s} for s in INTERCEPT_SCALINGS]
            variants += [{**variants[0], "dual": True}] if d > n else []
        found[solver] = [partial(logistic_regression, problem, o) for o in variants]
    if find_spec("glum") and not problem.softmax:
        found["glum"] = [partial(glum, problem)]
    size = d * problem.n_classes if problem.softmax else d
    if size > 4 * LARGEST_GRAM:  # the Hessian alone would take more than 800 MB
        for name in {"newton-cholesky", "glum"} & found.keys():
            del found[name]
    first = ("newton-cholesky", "newton-cg") if size <= 500 else ("lbfgs", "newton-cg")
    if sparse.issparse(problem.X) and d > 1_000:
        first = ("newton-cg", "lbfgs")
    return {name: found[name] for name in sorted(found, key=[*first, *found].index)}


def logistic_regression(problem: Problem, options: dict[str, Any], tol: float) -> Any:
    return one_vs_rest(problem, LogisticRegression(tol=tol, **options))


def glum(problem: Problem, tol: float) -> Any:
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
    is_single = problem.softmax or len(problem.signs) == 1
    return estimator if is_single else OneVsRestClassifier(estimator)


def solution(estimator: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return weights, shape (fits, d), and intercepts, shape (fits,)."""
    parts = getattr(estimator, "estimators_", [estimator])
    weights = np.vstack([np.atleast_2d(part.coef_) for part in parts])
    intercepts = np.concatenate([np.atleast_1d(part.intercept_) for part in parts])
    return weights.astype(np.float64), intercepts.astype(np.float64)


def passes(estimator: Any) -> int | None:
    """Return the number of passes over the data of all fits, if the estimator counts them."""
    return getattr(getattr(estimator, "result_", None), "n_passes", None)
