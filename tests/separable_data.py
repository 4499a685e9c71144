"""Small random data that a hyperplane separates, wholly or in part, or that none does."""

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

KINDS = ("normal", "counts", "one_hot", "cauchy", "rare", "collinear")


def random_data(seed, n_classes=None):
    """Return X, dense or CSR, and y with two to four classes; the seed chooses kind and units."""
    rng = np.random.default_rng(seed)
    n, d = rng.integers(4, 60), rng.integers(1, 8)
    K = rng.choice([2, 2, 3, 4]) if n_classes is None else n_classes
    kind = KINDS[seed % len(KINDS)]
    X = rng.normal(size=(n, d))
    if kind == "counts":
        X = rng.integers(0, 3, size=(n, d)).astype(float)
    elif kind == "one_hot":
        X = np.eye(d)[rng.integers(0, d, n)]
    elif kind == "cauchy":
        X = rng.standard_cauchy(size=(n, d))
    elif kind == "rare":
        X = (rng.random((n, d)) < 0.2).astype(float)
    elif kind == "collinear":
        X = np.hstack([X, X @ rng.normal(size=(d, 2))])
    X = X * 10.0 ** rng.uniform(-3, 3, X.shape[1])
    scores = X / np.maximum(X.std(0), 1e-9) @ rng.normal(size=(X.shape[1], K))
    y = np.argmax(scores + rng.choice([0, 0.3, 3]) * rng.gumbel(size=scores.shape), axis=1)
    y[:K] = np.arange(K)[:n]
    return (sp.csr_array(X) if seed % 3 == 0 else X), y


def constraints(X, y, intercept):
    """Return the matrix of the leads of all rows as functions of the weights of all classes."""
    X = X.toarray() if sp.issparse(X) else X
    classes, codes = np.unique(y, return_inverse=True)
    if intercept:
        X = np.hstack([X, np.ones((len(X), 1))])
    X = X / np.maximum(np.abs(X).max(axis=0), 1e-300)
    X = X / np.maximum(np.linalg.norm(X, axis=1), 1e-300)[:, None]
    rows = []
    for x, own in zip(X, codes, strict=True):
        for k in range(len(classes)):
            if k != own:
                row = np.zeros((len(classes), len(x)))
                row[own] += x
                row[k] -= x
                rows.append(row.ravel())
    return np.array(rows)


def is_separable(X, y, *, intercept=True):
    """Decide by a linear programme whether a hyperplane separates the classes, if only in part."""
    A = constraints(X, y, intercept)
    zero = np.zeros(len(A))
    found = linprog(-A.sum(axis=0), A_ub=-A, b_ub=zero, bounds=(-1, 1), method="highs")
    return -found.fun > 1e-7


def leads(X, y, direction):
    """Return the leads along a direction relative to the sizes of their summands, shape (n, K)."""
    X = X.toarray() if sp.issparse(X) else X
    _, codes = np.unique(y, return_inverse=True)
    V = np.vstack([0.0 * direction, direction]) if len(direction) == 1 else direction
    scores = X @ V[:, :-1].T + V[:, -1]
    sizes = np.abs(X) @ np.abs(V[:, :-1].T) + np.abs(V[:, -1])
    at = np.arange(len(codes)), codes
    sizes = sizes + sizes[at][:, None]
    return (scores[at][:, None] - scores) / np.maximum(sizes, 1e-300)
