"""The softmax objective's optimum from a damped Newton method in double precision.

The columns are scaled and, in dense data, centred, as in `reference.Exact`. Each Newton system is
solved by conjugate gradients. Their preconditioner is the whole Hessian where it is small, and
else its diagonal blocks, one for each class, or its diagonal. It is computed from a subsample of
the rows where all of them would take too long, and kept while the gradients converge quickly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from reference import CHOLESKY, SMALL, Exact
from scipy import linalg, optimize, sparse
from scipy.sparse.linalg import LinearOperator, cg
from scipy.special import logsumexp

from problems import Problem

WORK = 2e10  # floating-point operations that a preconditioner may take
PRODUCTS = 25  # Hessian products of a step after which the preconditioner is computed again
Solve = Callable[[np.ndarray], np.ndarray]


class ExactSoftmax(Exact):
    """The softmax objective on one data set, evaluated accurately on scaled columns.

    The coefficients are matrices V of shape (d + 1, K) whose last row holds the intercepts.
    """

    def __init__(self, X: Any, y: np.ndarray) -> None:
        super().__init__(X)
        self.y, self.n_classes = y, int(y.max()) + 1
        self.rows = np.arange(self.n)

    @cached_property
    def transposed(self) -> Any:
        return self.A.T.tocsr() if sparse.issparse(self.A) else self.A.T

    def softmax_value(self, V: np.ndarray, C: float) -> float:
        Z = self.A @ V
        losses = logsumexp(Z, axis=1) - Z[self.rows, self.y]
        return C * float(losses.sum()) + 0.5 * float((self.ridge[:, None] * V * V).sum())

    def softmax_gradient(self, V: np.ndarray, C: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradient, and the probabilities of the classes (n, K)."""
        Z = self.A @ V
        P = np.exp(Z - logsumexp(Z, axis=1, keepdims=True))
        R = P.copy()
        R[self.rows, self.y] -= 1.0
        return C * (self.transposed @ R) + self.ridge[:, None] * V, P

    def hessian_product(self, P: np.ndarray, D: np.ndarray, C: float) -> np.ndarray:
        U = self.A @ D
        R = P * (U - (P * U).sum(axis=1, keepdims=True))
        return C * (self.transposed @ R) + self.ridge[:, None] * D

    def stack(self, W: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return V for weights (K, d) and intercepts (K,) of the original columns."""
        return np.column_stack([self.to_scaled(w, c) for w, c in zip(W, b, strict=True)])

    def unstack(self, V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        W = (V[:-1] / self.scale[:, None]).T
        return W, V[-1] - W @ self.center

    def best(self, problem: Problem) -> list[dict[str, float]]:
        V, decrement = newton(self, problem.C)
        value = self.softmax_value(V, problem.C)
        along_w = self.softmax_gradient(V, problem.C)[0][:-1] / self.scale[:, None]
        gap = 0.5 * float((along_w**2).sum()) / value
        found = {"value": value, "gap": gap, "newton_decrement": decrement / value}
        if not sparse.issparse(self.A) and self.A.size * self.n_classes <= SMALL:
            found["scipy_differs_by"] = scipy_optimum(self, problem.C) / value - 1
        return [found]

    def error(self, problem: Problem, weights: np.ndarray, intercepts: np.ndarray) -> float:
        """Return (F - F*) / F* of a solution."""
        value = self.softmax_value(self.stack(weights, intercepts), problem.C)
        return value / self.optima(problem)[0]["value"] - 1


def newton(
    exact: ExactSoftmax, C: float, start: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Return the optimum and Newton's decrement there, which is about 2 (F - F*)."""
    V = np.zeros((exact.A.shape[1], exact.n_classes)) if start is None else start
    value, before = exact.softmax_value(V, C), np.inf
    solve, products = None, 0
    for _ in range(300):
        gradient, P = exact.softmax_gradient(V, C)
        if solve is None or products > PRODUCTS:
            solve = preconditioner(exact, P, C)
        step, products = newton_step(exact, gradient, P, C, solve)
        decrement = -float((gradient * step).sum())
        if decrement <= 1e-16 * value or (decrement < 1e-11 * value and decrement > 0.2 * before):
            break
        before, size = decrement, 1.0
        while exact.softmax_value(V + size * step, C) > value - 1e-4 * size * decrement:
            if decrement < 1e-11 * value:  # F differs by rounding only; take the full step
                break
            size /= 2
        V = V + size * step
        value = exact.softmax_value(V, C)
    return V, decrement


def scipy_optimum(exact: ExactSoftmax, C: float) -> float:
    """Return the optimal value that SciPy's trust-region method finds."""
    shape = (exact.A.shape[1], exact.n_classes)

    def product(flat: np.ndarray, direction: np.ndarray) -> np.ndarray:
        P = exact.softmax_gradient(flat.reshape(shape), C)[1]
        return exact.hessian_product(P, direction.reshape(shape), C).ravel()

    return optimize.minimize(
        lambda flat: exact.softmax_value(flat.reshape(shape), C),
        np.zeros(np.prod(shape)),
        jac=lambda flat: exact.softmax_gradient(flat.reshape(shape), C)[0].ravel(),
        hessp=product,
        method="trust-ncg",
        options={"gtol": 1e-7 * C, "maxiter": 1000},
    ).fun


def newton_step(
    exact: ExactSoftmax, gradient: np.ndarray, P: np.ndarray, C: float, solve: Solve
) -> tuple[np.ndarray, int]:
    """Return the step and the number of Hessian products that it took."""
    shape, size, count = gradient.shape, gradient.size, 0

    def product(flat: np.ndarray) -> np.ndarray:
        nonlocal count
        count += 1
        return exact.hessian_product(P, flat.reshape(shape), C).ravel()

    inverse = LinearOperator((size, size), lambda flat: solve(flat.reshape(shape)).ravel())
    hessian = LinearOperator((size, size), product)
    flat = cg(hessian, gradient.ravel(), rtol=1e-4, M=inverse, maxiter=2_000)[0]
    return -flat.reshape(shape), count


def preconditioner(exact: ExactSoftmax, P: np.ndarray, C: float) -> Solve:
    d, K = exact.A.shape[1], exact.n_classes
    if d * K <= CHOLESKY:
        return whole(exact, P, C, subsample(exact.n, K * (K + 1) * d**2))
    if d <= CHOLESKY and not sparse.issparse(exact.A):
        return blocks(exact, P, C, subsample(exact.n, 2 * K * d**2))
    squares = exact.A.multiply(exact.A) if sparse.issparse(exact.A) else exact.A**2
    diagonal = C * (squares.T @ (P * (1 - P))) + exact.ridge[:, None]
    diagonal[-1] += 1e-12 * diagonal[-1].max()
    return lambda G: G / diagonal


def subsample(n: int, work_per_row: float) -> np.ndarray:
    size = min(n, max(int(WORK / work_per_row), 1_000))
    return np.sort(np.random.default_rng(0).choice(n, size, replace=False))


def weighted_gram(A: Any, weights: np.ndarray) -> np.ndarray:
    if sparse.issparse(A):
        return (A.T @ (sparse.diags(weights) @ A)).toarray()
    return A.T @ (A * weights[:, None])


def whole(exact: ExactSoftmax, P: np.ndarray, C: float, rows: np.ndarray) -> Solve:
    """Factorize the Hessian; the direction that it does not see gets the intercepts' curvature."""
    A, P, C = exact.A[rows], P[rows], C * exact.n / len(rows)
    d, K = A.shape[1], exact.n_classes
    H = np.empty((K, d, K, d))
    for k in range(K):
        for j in range(k + 1):
            H[k, :, j] = weighted_gram(A, C * P[:, k] * ((k == j) - P[:, j]))
            H[j, :, k] = H[k, :, j].T
        H[k, :, k] += np.diag(exact.ridge)
    H[:, -1, :, -1] += np.trace(H[:, -1, :, -1]) / K**2
    H = H.reshape(K * d, K * d)
    H[np.diag_indices(K * d)] *= 1 + 1e-12
    factor = linalg.cho_factor(H)
    return lambda G: linalg.cho_solve(factor, G.T.ravel()).reshape(K, d).T


def blocks(exact: ExactSoftmax, P: np.ndarray, C: float, rows: np.ndarray) -> Solve:
    A, P, C = exact.A[rows], P[rows], C * exact.n / len(rows)
    factors = []
    for p in P.T:
        H = weighted_gram(A, C * p * (1 - p)) + np.diag(exact.ridge)
        H[np.diag_indices(len(H))] += 1e-12 * np.trace(H) / len(H)
        factors.append(linalg.cho_factor(H))
    return lambda G: np.column_stack(
        [linalg.cho_solve(factor, g) for factor, g in zip(factors, G.T, strict=True)]
    )
