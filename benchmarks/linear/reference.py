"""Reference optima: a damped Newton method in double precision on centred and scaled columns.

Dense data are centred, all columns have unit scale, Newton's systems are solved by Cholesky or, of
more than 2,500 columns, by conjugate gradients. The optimum comes with a bound of the duality gap:
where the derivative by the intercept is zero, F - F* <= ||grad_w F||^2 / 2 (loose where curvature
is large; Newton's decrement, about 2 (F - F*), stands beside it). Small problems are solved a
second time, by scipy. Optima are kept in benchmarks/results/linear_references.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import linalg, optimize, sparse
from scipy.sparse.linalg import LinearOperator, cg
from scipy.special import expit

from problems import Problem

RESULTS = Path(__file__).parents[1] / "results"
CACHE = RESULTS / "linear_references.json"
CHOLESKY = 2_500  # columns at most
SMALL = 200_000  # entries at most of a problem that is solved twice


class Exact:
    """The objective of one data set, evaluated as exactly as double precision can."""

    def __init__(self, X: Any) -> None:
        n, d = X.shape
        self.n, self.center = n, np.zeros(d)
        if sparse.issparse(X):
            A = X.astype(np.float64)
            scale = np.sqrt(np.asarray(A.multiply(A).mean(axis=0)).ravel())
        else:
            A = X.astype(np.float64)  # a copy
            self.center = A.mean(axis=0)
            A -= self.center
            scale = A.std(axis=0)
        self.scale = np.where(scale > 0, scale, 1.0)
        if sparse.issparse(X):
            A = sparse.hstack([A @ sparse.diags(1 / self.scale), np.ones((n, 1))], format="csr")
        else:
            A = np.hstack([A / self.scale, np.ones((n, 1))])
        self.A = A
        self.ridge = np.append(1 / self.scale**2, 0.0)

    def value(self, v: np.ndarray, signs: np.ndarray, C: float) -> float:
        losses = np.logaddexp(0.0, -signs * (self.A @ v))
        return C * float(losses.sum()) + 0.5 * float(v @ (self.ridge * v))

    def derivatives(self, v: np.ndarray, signs: np.ndarray, C: float) -> tuple[Any, np.ndarray]:
        """The gradient, and the weights of the rows in the Hessian."""
        p = expit(-signs * (self.A @ v))
        return self.A.T @ (-C * signs * p) + self.ridge * v, C * p * (1 - p)

    def inside(self, w: np.ndarray, b: float) -> np.ndarray:
        """(w, b) as weights of the centred, scaled columns; the intercept in long double."""
        w = w.astype(np.longdouble)
        intercept = np.longdouble(b) + self.center.astype(np.longdouble) @ w
        return np.append(w * self.scale, intercept).astype(np.float64)

    def intercept(self, v: np.ndarray) -> float:
        return float(v[-1] - self.center @ (v[:-1] / self.scale))


def newton(exact: Exact, signs: np.ndarray, C: float) -> tuple[np.ndarray, float]:
    """The optimum, and twice what Newton's model says is left."""
    v = np.zeros(exact.A.shape[1])
    value, before = exact.value(v, signs, C), np.inf
    for _ in range(200):
        gradient, weights = exact.derivatives(v, signs, C)
        step = newton_step(exact, gradient, weights)
        decrement = -float(gradient @ step)
        if decrement <= 1e-17 * value or (decrement < 1e-11 * value and decrement > 0.2 * before):
            break
        before, size = decrement, 1.0
        while exact.value(v + size * step, signs, C) > value - 1e-4 * size * decrement:
            if decrement < 1e-11 * value:  # rounding decides: the full step is right
                break
            size /= 2
        v = v + size * step
        value = exact.value(v, signs, C)
    return v, decrement


def newton_step(exact: Exact, gradient: np.ndarray, weights: np.ndarray) -> np.ndarray:
    A, d = exact.A, len(gradient)
    if d <= CHOLESKY:
        weighted = sparse.diags(weights) @ A if sparse.issparse(A) else A * weights[:, None]
        hessian = A.T @ weighted
        hessian = hessian.toarray() if sparse.issparse(hessian) else hessian
        hessian[np.diag_indices(d)] += exact.ridge
        return -linalg.cho_solve(linalg.cho_factor(hessian), gradient)
    diagonal = A.multiply(A).T @ weights if sparse.issparse(A) else (A**2).T @ weights
    inverse = 1 / (diagonal + exact.ridge)
    hessian = LinearOperator((d, d), lambda p: A.T @ (weights * (A @ p)) + exact.ridge * p)
    return -cg(hessian, gradient, rtol=1e-5, M=LinearOperator((d, d), lambda p: inverse * p))[0]


def duality_gap(exact: Exact, v: np.ndarray, signs: np.ndarray, C: float) -> float:
    """Bounds F(v) - F*; the intercept's derivative, zero but for rounding, adds its own part."""
    gradient, weights = exact.derivatives(v, signs, C)
    along_w = gradient[:-1] / exact.scale
    return 0.5 * float(along_w @ along_w) + 0.5 * gradient[-1] ** 2 / float(weights.sum())


def second_opinion(exact: Exact, signs: np.ndarray, C: float) -> float:
    """The optimal value as scipy's trust-region method finds it."""

    def hessian(v: np.ndarray) -> np.ndarray:
        weights = exact.derivatives(v, signs, C)[1]
        return (exact.A * weights[:, None]).T @ exact.A + np.diag(exact.ridge)

    return optimize.minimize(
        lambda v: exact.value(v, signs, C),
        np.zeros(exact.A.shape[1]),
        jac=lambda v: exact.derivatives(v, signs, C)[0],
        hess=hessian,
        method="trust-exact",
        options={"gtol": 1e-9 * C, "maxiter": 1000},
    ).fun


def stored(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def store(path: Path, key: str, value: Any) -> None:
    """Written at once, and in one move, so that an interrupted run loses nothing."""
    path.parent.mkdir(exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps({**stored(path), key: value}, indent=1))
    new.replace(path)


def optima(problem: Problem, exact: Exact) -> list[dict[str, float]]:
    """F*, its intercept, a bound of its error and what scipy finds; one for each fit."""
    known = stored(CACHE).get(problem.key)
    if known is None:
        known = [optimum(exact, signs, problem.C) for signs in problem.signs]
        store(CACHE, problem.key, known)
    return known


def optimum(exact: Exact, signs: np.ndarray, C: float) -> dict[str, float]:
    v, decrement = newton(exact, signs, C)
    value = exact.value(v, signs, C)
    found = {
        "value": value,
        "intercept": exact.intercept(v),
        "gap": duality_gap(exact, v, signs, C) / value,
        "newton_decrement": decrement / value,
    }
    if not sparse.issparse(exact.A) and exact.A.size <= SMALL:
        found["scipy_differs_by"] = second_opinion(exact, signs, C) / value - 1
    return found


def suboptimality(
    problem: Problem, exact: Exact, weights: np.ndarray, intercepts: np.ndarray
) -> float:
    """(F - F*) / F* of what was fitted; of several classes the largest."""
    found = []
    for signs, w, b, best in zip(
        problem.signs, weights, intercepts, optima(problem, exact), strict=True
    ):
        value = exact.value(exact.inside(w, b), signs, problem.C)
        found.append(value / best["value"] - 1)
    return float(np.max(found))
