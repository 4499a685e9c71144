"""Reference optima from a damped Newton method in double precision.

The columns are scaled and, in dense data, centred. The Newton systems are solved by a Cholesky
factorization or, with more than 2,500 columns, by conjugate gradients. Each optimum comes with a
bound from the duality gap: where the derivative with respect to the intercept is zero,
F - F* <= ||grad_w F||^2 / 2. The bound is loose where the curvature is large; therefore Newton's
decrement, about 2 (F - F*), is stored beside it. SciPy solves small problems a second time. The
optima are stored, see `storage`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg, optimize, sparse
from scipy.sparse.linalg import LinearOperator, cg
from scipy.special import expit
from storage import store, stored

from problems import Problem

CACHE = "linear_references.json"
CHOLESKY = 2_500  # largest number of columns for a Cholesky factorization
SMALL = 200_000  # largest number of entries of X for the second solution


class Exact:
    """The objective on one data set, evaluated accurately on centred and scaled columns."""

    def __init__(self, X: Any) -> None:
        n, d = X.shape
        self.n, self.center = n, np.zeros(d)
        if sparse.issparse(X):
            A = X.astype(np.float64)
            scale = np.sqrt(np.asarray(A.multiply(A).mean(axis=0)).ravel())
        else:
            A = X.astype(np.float64)  # a copy, which is centred in place
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
        """Return the gradient, and the weights of the rows in the Hessian."""
        p = expit(-signs * (self.A @ v))
        return self.A.T @ (-C * signs * p) + self.ridge * v, C * p * (1 - p)

    def to_scaled(self, w: np.ndarray, b: float) -> np.ndarray:
        """Convert (w, b) to the centred and scaled columns, in long double for the intercept."""
        w = w.astype(np.longdouble)
        intercept = np.longdouble(b) + self.center.astype(np.longdouble) @ w
        return np.append(w * self.scale, intercept).astype(np.float64)

    def optima(self, problem: Problem) -> list[dict[str, float]]:
        """Return F* and error bounds for each fit, from the cache if stored."""
        known = stored(CACHE).get(problem.key)
        if known is None:
            known = self.best(problem)
            store(CACHE, problem.key, known)
        return known

    def best(self, problem: Problem) -> list[dict[str, float]]:
        return [optimum(self, signs, problem.C) for signs in problem.signs]

    def error(self, problem: Problem, weights: np.ndarray, intercepts: np.ndarray) -> float:
        """Return (F - F*) / F* of a solution, the largest one if there are several fits."""
        found = []
        fits = zip(problem.signs, weights, intercepts, self.optima(problem), strict=True)
        for signs, w, b, best in fits:
            value = self.value(self.to_scaled(w, b), signs, problem.C)
            found.append(value / best["value"] - 1)
        return float(np.max(found))

    def intercept(self, v: np.ndarray) -> float:
        return float(v[-1] - self.center @ (v[:-1] / self.scale))


def newton(
    exact: Exact, signs: np.ndarray, C: float, start: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Return the optimum and Newton's decrement there, which is about 2 (F - F*)."""
    v = np.zeros(exact.A.shape[1]) if start is None else start
    value, before = exact.value(v, signs, C), np.inf
    for _ in range(200):
        gradient, weights = exact.derivatives(v, signs, C)
        step = newton_step(exact, gradient, weights)
        decrement = -float(gradient @ step)
        if decrement <= 1e-17 * value or (decrement < 1e-11 * value and decrement > 0.2 * before):
            break
        before, size = decrement, 1.0
        while exact.value(v + size * step, signs, C) > value - 1e-4 * size * decrement:
            if decrement < 1e-11 * value:  # F differs by rounding only; take the full step
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
    """Bound F(v) - F*, with a term for the intercept's derivative, which is not exactly zero."""
    gradient, weights = exact.derivatives(v, signs, C)
    along_w = gradient[:-1] / exact.scale
    return float(0.5 * along_w @ along_w + 0.5 * gradient[-1] ** 2 / weights.sum())


def scipy_optimum(exact: Exact, signs: np.ndarray, C: float) -> float:
    """Return the optimal value that SciPy's trust-region method finds."""

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
        found["scipy_differs_by"] = scipy_optimum(exact, signs, C) / value - 1
    return found
