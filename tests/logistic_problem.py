"""A logistic problem on data that are not Gaussian, and the iterates of a method on it."""

import numpy as np

import polarstep as ps
from problems import skewed

X, Y = skewed(11, 300, 4)
X = (X - 1) @ np.linalg.inv(np.linalg.cholesky(np.cov(X.T))).T * [1.0, 1.5, 2.0, 0.7] + 1
CENTRED = X - X.mean(0)
COVARIANCE = CENTRED.T @ CENTRED / len(Y)
START = np.array([0.3, -0.2, 0.5, 0.1])


def path(objective, method, w0, **options):
    """Return the iterates wt of a run, shape (n_iter + 1, d)."""
    seen = []
    ps.minimize(objective, method, w0, tol=0.0, callback=lambda row: seen.append(row.x), **options)
    return np.array(seen)


def gradient(wt, lam=0.05):
    """Return the gradient of the logistic loss with a length penalty, from its formula."""
    margins = -Y * (CENTRED @ wt)
    return -CENTRED.T @ (Y / (1 + np.exp(-margins))) / len(Y) + lam * COVARIANCE @ wt
