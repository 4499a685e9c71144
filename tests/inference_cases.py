"""Data, fits and an independent covariance matrix for the tests of `linear_model.inference`."""

import numpy as np
import scipy.sparse as sp

from polarstep import HalfspaceClassifier
from polarstep.linear_model.inference import summary

RNG = np.random.default_rng(0)
N = 240
UNITS = np.array([1e-6, 1.0, 1e6])
Z = RNG.standard_normal((N, 3)) + np.array([0.0, 4.0, 1.0])
X = Z * UNITS
SCORE = Z @ [1.0, -0.8, 0.4] + 2.6
Y = (SCORE + RNG.logistic(size=N) > 0).astype(int)
THREE = np.array(["a", "b", "c"])[np.digitize(SCORE + RNG.logistic(size=N), [-1.0, 1.5])]
WEIGHT = RNG.integers(1, 4, N).astype(float)
GROUPS = RNG.integers(0, 35, N)
FORMS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "csr": sp.csr_array,
    "csc": sp.csc_matrix,
}


def fitted(X=X, y=Y, weight=None, **options):
    return HalfspaceClassifier(**{"C": np.inf, **options}).fit(X, y, weight)


def summarized(X=X, y=Y, weight=None, *, fit=None, **options):
    """Fit a model with the options ``fit``, and return its summary."""
    model = fitted(X, y, weight, **(fit or {}))
    return summary(model, X, y, sample_weight=weight, **options)


def newton(Z, y, weight, ridge, steps=50):
    """Return the optimum for scaled columns and a vector of penalties, and its information."""
    theta = np.zeros(Z.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-Z @ theta))
        H = Z.T @ ((weight * p * (1 - p))[:, None] * Z) + np.diag(ridge)
        theta = theta + np.linalg.solve(H, Z.T @ (weight * (y - p)) - ridge * theta)
    return theta, H, weight * (y - p)


class Softmax:
    """A model with the attributes that the inference reads, fitted by Newton's method."""

    fit_intercept, class_weight = True, None

    def __init__(self, C=np.inf):
        self.C = C

    def get_params(self, deep=True):
        return {"C": self.C}

    def __sklearn_tags__(self):
        return HalfspaceClassifier().__sklearn_tags__()

    def fit(self, X, y):
        self.classes_, codes = np.unique(y, return_inverse=True)
        K, (n, d) = len(self.classes_), X.shape
        Z, T, ridge = np.column_stack([X, np.ones(n)]), np.zeros((K, d + 1)), 1.0 / self.C
        own = ridge * np.append(np.ones(d), 0.0)
        for _ in range(60):
            P = np.exp(Z @ T.T)
            P /= P.sum(axis=1, keepdims=True)
            g = (np.eye(K)[codes] - P).T @ Z - own * T
            H = np.zeros((K, d + 1, K, d + 1))
            for k in range(K):
                for j in range(K):
                    H[k, :, j] = Z.T @ ((P[:, k] * ((k == j) - P[:, j]))[:, None] * Z)
                H[k, :, k] += np.diag(own)
            T = T + (np.linalg.pinv(H.reshape(T.size, -1), rcond=1e-12) @ g.ravel()).reshape(
                T.shape
            )
        self.coef_, self.intercept_ = T[:, :d], T[:, d]
        self.n_features_in_ = d
        return self
