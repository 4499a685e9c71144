"""Small blocks of models, and dense references for them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.special import log_softmax, softmax

from polarstep.linear_model.block.models import Models
from polarstep.linear_model.block.rows import BlockRows

N, D, K = 90, 4, 3


def make_rows(
    kind: str = "C", *, n: int = N, d: int = D, n_classes: int = K, splits: int = 1, seed: int = 0
) -> BlockRows:
    """Return rows of some layout; with several splits, each leaves out a fold of the rows."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * np.logspace(0, 1, d) + 1.0
    codes = (
        (X[:, 0] + X[:, 1] / 2 + rng.standard_normal(n) * 2).argsort().argsort() * n_classes // n
    )
    weights = rng.random((splits, n)) + 0.5
    if splits > 1:
        fold = rng.integers(0, splits, n)
        weights[fold, np.arange(n)] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    centre = X.mean(axis=0)
    if kind == "csr":
        X = np.where(rng.random(X.shape) < 0.5, X, 0.0)
        return BlockRows.from_arrays(sp.csr_array(X), codes, weights, centre)
    if kind == "float32":
        return BlockRows.from_arrays(X.astype(np.float32), codes, weights, centre)
    return BlockRows.from_arrays(np.asarray(X, order=kind), codes, weights, centre)


def dense_rows(rows: BlockRows, intercept: bool) -> np.ndarray:
    """Return the centred rows, with a column of ones for an intercept."""
    X = rows.matrix.X.toarray() if rows.is_sparse else np.asarray(rows.matrix.X, float)
    Z = X - rows.centre
    return np.column_stack([Z, np.ones(rows.n)]) if intercept else Z


def softmax_value(
    rows: BlockRows, models: Models, theta: np.ndarray, intercept: bool
) -> np.ndarray:
    """Return the weighted cross-entropies plus the penalties, by plain NumPy."""
    Z = dense_rows(rows, intercept)
    values = []
    for b in range(len(models)):
        logs = log_softmax(Z @ theta[b].T, axis=1)[np.arange(rows.n), rows.codes]
        loss = -(rows.weights[models.split[b]] @ logs)
        values.append(loss + models.alpha[b] / 2 * np.square(theta[b][:, : rows.d]).sum())
    return np.array(values)


def softmax_hessian(
    rows: BlockRows, models: Models, theta: np.ndarray, intercept: bool, b: int = 0
) -> np.ndarray:
    """Return the Hessian of one model in theta, flattened."""
    Z, k = dense_rows(rows, intercept), theta.shape[1]
    p, s = softmax(Z @ theta[b].T, axis=1), rows.weights[models.split[b]]
    width = Z.shape[1]
    H = np.zeros((k, width, k, width))
    ridge = np.append(np.full(rows.d, models.alpha[b]), [0.0] * intercept)
    for c in range(k):
        for e in range(k):
            h = s * (p[:, c] * (c == e) - p[:, c] * p[:, e])
            H[c, :, e, :] = Z.T @ (h[:, None] * Z) + np.diag(ridge) * (c == e)
    return H.reshape(k * width, k * width)


def softmax_minimum(rows: BlockRows, models: Models, intercept: bool, b: int = 0) -> np.ndarray:
    """Return the minimum of one model by Newton's method, shape (k, p)."""
    k = int(rows.codes.max()) + 1
    theta = np.zeros((len(models), k, rows.d + intercept))
    Z, Y = dense_rows(rows, intercept), np.eye(k)[rows.codes]
    one = models.take(np.array([b]))
    for _ in range(100):
        p = softmax(Z @ theta[b].T, axis=1)
        g = ((p - Y) * rows.weights[models.split[b]][:, None]).T @ Z
        g[:, : rows.d] += models.alpha[b] * theta[b][:, : rows.d]
        H = softmax_hessian(rows, models, theta, intercept, b)
        step = np.linalg.lstsq(H, g.ravel(), rcond=1e-13)[0].reshape(g.shape)
        size, before = 1.0, softmax_value(rows, one, theta[b : b + 1], intercept)[0]
        while softmax_value(rows, one, theta[b : b + 1] - size * step, intercept)[0] > before:
            size /= 2
            if size < 1e-9:
                return theta[b] - theta[b].mean(axis=0)
        theta[b] -= size * step
    return theta[b] - theta[b].mean(axis=0)
