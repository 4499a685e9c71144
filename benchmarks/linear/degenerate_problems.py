"""Random degenerate classification problems, and their optima by an independent Newton method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp

LONG = np.longdouble
KINDS = (
    "separable", "collinear", "one-hot", "heavy-tailed", "far", "constant", "wide", "rare",
    "repeated", "almost collinear", "tiny",
)  # fmt: skip
STORAGES = ("C", "F", "float32", "csr", "csr float32")


@dataclass(frozen=True)
class Degenerate:
    """A problem: X as it is passed to fit, the codes of the classes, weights, C and intercept."""

    kind: str
    storage: str
    X: Any
    y: np.ndarray
    weight: np.ndarray | None
    C: float
    intercept: bool


def degenerate(seed: int, n_classes: int = 2) -> Degenerate:
    """Draw a problem whose kind, storage, scales and strength of penalty the seed determines."""
    rng = np.random.default_rng([seed, n_classes])
    kind, storage = str(rng.choice(KINDS)), str(rng.choice(STORAGES))
    n, d = int(np.exp(rng.uniform(np.log(6), np.log(400)))), int(rng.integers(1, 13))
    X = features(kind, n, d, rng)
    n, d = X.shape
    X = X * 10.0 ** (rng.uniform(-6, 6, d) if rng.random() < 0.7 else rng.uniform(-6, 6))
    y = labels(X, kind, n_classes, rng)
    weight = None
    if rng.random() < 0.4:
        weight = 10.0 ** rng.uniform(-6, 6, n) if rng.random() < 0.5 else rng.exponential(size=n)
        weight[rng.random(n) < 0.3] = 0.0
        for k in range(n_classes):  # every class keeps a row
            weight[np.flatnonzero(y == k)[0]] = 1.0
    C = 10.0 ** rng.uniform(-6, 6)
    if "float32" in storage:
        X = X.astype(np.float32)
    X = sp.csr_array(X) if "csr" in storage else np.asarray(X, order="F" if storage == "F" else "C")
    return Degenerate(kind, storage, X, y, weight, C, bool(rng.random() < 0.8))


def features(kind: str, n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    X = rng.normal(size=(n, d))
    if kind == "collinear":
        return np.hstack([X, X @ rng.normal(size=(d, 2)), X[:, :1]])
    if kind == "almost collinear":
        return np.hstack([X, X[:, :1] + 10.0 ** rng.uniform(-9, -1) * rng.normal(size=(n, 1))])
    if kind == "one-hot":
        levels = rng.integers(2, 8, 3)
        return np.hstack([np.eye(k)[rng.integers(0, k, n)] for k in levels])
    if kind == "heavy-tailed":
        return rng.standard_cauchy(size=(n, d)) if rng.random() < 0.5 else np.exp(4 * X)
    if kind == "far":
        return X + 10.0 ** rng.uniform(0, 7, d) * rng.choice([-1, 1], d)
    if kind == "constant":
        return np.hstack([X, np.zeros((n, 1)), np.full((n, 1), 3.7)])
    if kind == "wide":
        return rng.normal(size=(min(n, 40), int(rng.integers(40, 120))))
    if kind == "rare":
        return np.hstack([X, (rng.random((n, 4)) < 2.0 / n).astype(float)])
    if kind == "repeated":
        return X[rng.integers(0, max(2, n // 10), n)]
    if kind == "tiny":
        return rng.normal(size=(int(rng.integers(2, 6)) + 4, d))
    return X


def labels(X: np.ndarray, kind: str, n_classes: int, rng: np.random.Generator) -> np.ndarray:
    spread = X.std(axis=0)
    Z = (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    scores = Z @ rng.normal(size=(X.shape[1], n_classes))
    noise = 0.0 if kind == "separable" else float(rng.choice([0.0, 0.3, 3.0, 30.0]))
    y = np.argmax(scores + noise * rng.gumbel(size=scores.shape), axis=1)
    y[rng.permutation(len(y))[:n_classes]] = np.arange(n_classes)
    return y


class Optimum:
    """The optimum of softmax regression in long double precision, by a damped Newton method.

    With two classes, the second one's weights are the only ones (logistic regression). F is
    sum_i s_i loss_i + ||W||^2/(2 C); columns are centred and scaled inside.
    """

    def __init__(self, problem: Degenerate) -> None:
        X = problem.X.toarray() if sp.issparse(problem.X) else problem.X
        weight = np.ones(len(X)) if problem.weight is None else problem.weight
        kept = weight > 0
        self.X, self.s = X[kept].astype(LONG), weight[kept].astype(LONG)
        self.intercept, K = problem.intercept, int(problem.y.max()) + 1
        self.Y = np.eye(K)[problem.y[kept]].astype(LONG)
        self.centre = np.zeros(X.shape[1], LONG)
        if self.intercept:
            self.centre = self.X[0] + self.s @ (self.X - self.X[0]) / self.s.sum()
        Z = self.X - self.centre
        self.unit = np.sqrt(self.s @ np.square(Z) / self.s.sum())
        self.unit[self.unit == 0] = 1.0
        self.Z = Z / self.unit
        self.penalty = 1 / (LONG(problem.C) * np.square(self.unit))
        if self.intercept:
            self.Z = np.hstack([self.Z, np.ones((len(Z), 1), LONG)])
            self.penalty = np.append(self.penalty, LONG(0))
        self.logistic = K == 2
        self.theta = np.zeros((1 if self.logistic else K, self.Z.shape[1]), LONG)
        self.fun = self.minimise()

    def scores(self, theta: np.ndarray) -> np.ndarray:
        scores = self.Z @ theta.T
        return np.hstack([0 * scores, scores]) if self.logistic else scores

    def value(self, theta: np.ndarray) -> Any:
        scores = self.scores(theta)
        top = scores.max(axis=1, keepdims=True)
        own = (scores * self.Y).sum(axis=1)
        lead = np.log1p(np.exp(scores - top).sum(axis=1) - 1) + (top[:, 0] - own)
        right = own == top[:, 0]  # accurate where the loss is far below 1
        rest = np.where(self.Y > 0, LONG(0), np.exp(scores - own[:, None])).sum(axis=1)
        loss = np.where(right, np.log1p(np.where(right, rest, 0)), lead)
        return self.s @ loss + (self.penalty * np.square(theta)).sum() / 2

    def excess(self, coef: np.ndarray, intercept: np.ndarray) -> float:
        """Return (F - F*)/(F* + 1e-14 F(0)) of a fitted model."""
        theta = coef.astype(LONG) * self.unit
        if self.intercept:
            theta = np.column_stack(
                [theta, intercept.astype(LONG) + coef.astype(LONG) @ self.centre]
            )
        zero = self.s.sum() * np.log(LONG(self.Y.shape[1]))
        return float((self.value(theta) - self.fun) / (self.fun + LONG(1e-14) * zero))

    def minimise(self) -> Any:
        value, ridge, Z = self.value(self.theta), 0.0, self.Z.astype(float)
        shape = self.theta.shape
        for _ in range(500):
            g, H = self.derivatives(Z)
            size = np.sqrt(np.maximum(np.abs(np.diag(H)), 1e-300))
            H /= np.outer(size, size)
            while True:  # Levenberg's damping
                try:
                    factor = la.cho_factor(H + (ridge + 1e-14) * np.eye(len(H)))
                    step = -(la.cho_solve(factor, g / size) / size).reshape(shape)
                    new = self.value(self.theta + step)
                except la.LinAlgError:
                    new = LONG(np.inf)
                if new <= value:
                    break
                ridge = max(10 * ridge, 1e-13)
                if ridge > 1e25:
                    return value
            gain = value - new
            slope = -float(g @ step.ravel())
            self.theta, value = self.theta + step, new
            if gain + slope <= 1e-16 * value:
                return value
            ridge = ridge / 30 if ridge > 1e-12 else 0.0
        return value

    def derivatives(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores = self.scores(self.theta)
        P = np.exp(scores - scores.max(axis=1, keepdims=True))
        P /= P.sum(axis=1, keepdims=True)
        # 1 - p of the own class without cancellation
        residual = np.where(self.Y > 0, -np.where(self.Y > 0, 0, P).sum(axis=1, keepdims=True), P)
        first = 1 if self.logistic else 0
        R, Q = (self.s[:, None] * residual)[:, first:], P[:, first:].astype(float)
        g = (R.T @ self.Z + self.penalty * self.theta).astype(float).ravel()
        k, p, s = Q.shape[1], Z.shape[1], self.s.astype(float)
        rest = np.where(self.Y > 0, -residual, 1 - P)[:, first:].astype(float)
        H = np.empty((k * p, k * p))
        for a in range(k):
            for b in range(a + 1):
                h = s * Q[:, a] * (rest[:, a] if a == b else -Q[:, b])
                block = (Z.T * h) @ Z
                H[a * p : (a + 1) * p, b * p : (b + 1) * p] = block
                H[b * p : (b + 1) * p, a * p : (a + 1) * p] = block
        H[np.diag_indices_from(H)] += np.tile(self.penalty.astype(float), k)
        return g, H
