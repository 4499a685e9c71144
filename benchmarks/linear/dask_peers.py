"""The contestants of the benchmark on a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from dask_problem import Objective
from sklearn.linear_model import LogisticRegression

import polarstep as ps

SOLVERS = (
    "newton",
    "newton, normalize=False",
    "lbfgs",
    "lbfgs, factr=10",
    "admm",
    "gradient_descent",
    "proximal_grad",
)
PENALISED = ("lbfgs", "lbfgs, factr=10", "admm", "proximal_grad")
Make = Callable[[int], Callable[[], Any]]  # max_iter -> a fit


def ours(X: Any, y: Any, C: float, tol: float) -> Any:
    return ps.HalfspaceClassifier(C=C, tol=tol).fit(X, y)


def ridge(weights: np.ndarray) -> Any:
    """Return an L2 penalty for dask-glm with one weight per coefficient, the intercept last."""
    from dask_glm.regularizers import L2

    class Ridge(L2):
        def f(self, beta: Any) -> Any:
            return (weights * beta**2).sum() / 2

        def gradient(self, beta: Any) -> Any:
            return weights * beta

        def proximal_operator(self, beta: Any, t: float) -> Any:
            return beta / (1 + weights * t)

    return Ridge()


def dask_glm(X: Any, y: Any, solver: str, penalty: Any, max_iter: int) -> Any:
    from dask_glm import algorithms
    from dask_ml.linear_model import LogisticRegression
    from scipy.optimize import fmin_l_bfgs_b

    name, _, change = solver.partition(", ")
    is_precise = change == "factr=10"
    algorithms.fmin_l_bfgs_b = partial(fmin_l_bfgs_b, factr=10) if is_precise else fmin_l_bfgs_b
    more: dict[str, Any] = {"abstol": 1e-14, "reltol": 1e-14} if name == "admm" else {"tol": 1e-15}
    more["normalize"] = change != "normalize=False"
    options = {"solver": name, "max_iter": max_iter, "solver_kwargs": more}
    if penalty is None:
        return LogisticRegression(C=np.inf, **options).fit(X, y)
    return LogisticRegression(C=1.0, penalty=penalty, **options).fit(X, y)


def in_memory(X: Any, y: Any, C: float, max_iter: int) -> Any:
    return LogisticRegression(C=C, tol=1e-15, max_iter=max_iter).fit(X, y)


def peers(X: Any, y: Any, gathered: Any, C: float, objective: Objective) -> dict[str, Make]:
    found: dict[str, Make] = {}
    if has_dask_ml():
        penalty = None if np.isinf(C) else ridge(objective.ridge)
        for solver in SOLVERS if penalty is None else PENALISED:
            found[f"dask-ml, {solver}"] = partial(partial, dask_glm, X, y, solver, penalty)
    found["scikit-learn, lbfgs"] = partial(partial, in_memory, *gathered, C)
    return found


def has_dask_ml() -> bool:
    return bool(find_spec("dask_ml") and find_spec("dask_glm"))
