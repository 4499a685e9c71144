"""Weighted samples, and problems of linear models on them, for the tests of the solver."""

import numpy as np
import scipy.sparse as sp

from polarstep.linear_model.solver.penalty import DiagonalPenalty
from polarstep.linear_model.solver.problem import Problem
from polarstep.linear_model.solver.samples import Samples
from polarstep.losses import LOSSES

KINDS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "float32": lambda X: np.ascontiguousarray(X, np.float32),
    "csr": sp.csr_matrix,
    "csr float32": lambda X: sp.csr_matrix(X.astype(np.float32)),
}
DENSE = ["C", "F", "float32"]
SPARSE = ["csr", "csr float32"]
SOFTPLUS = LOSSES["softplus"]


def made(n=150, d=6, seed=0):
    """Return X rounded to single precision, y, weights that sum to 1, and a centre."""
    rng = np.random.default_rng(seed)
    X = (rng.standard_normal((n, d)) * (rng.random((n, d)) < 0.6)).astype(np.float32).astype(float)
    y = np.where(rng.random(n) < 0.4, 1.0, -1.0)
    s = rng.exponential(size=n)
    return X, y, s / s.sum(), rng.standard_normal(d)


def samples_of(kind="C", loss=SOFTPLUS, n_threads=1, **shape):
    """Return samples and their centred matrix Z as a dense array."""
    X, y, s, centre = made(**shape)
    return Samples.from_arrays(KINDS[kind](X), y, s, centre, loss, n_threads), X - centre


def centred(X, y, loss=SOFTPLUS, n_threads=1):
    """Return samples of equal weights, centred at their mean if X is dense, else at zero."""
    n, d = X.shape
    centre = np.zeros(d) if sp.issparse(X) else X.mean(axis=0)
    return Samples.from_arrays(X, y, np.full(n, 1 / n), centre, loss, n_threads)


def problem_of(samples, alpha=0.0, intercept=True):
    """Return the problem on some samples with the same penalty for all weights."""
    return Problem(samples, DiagonalPenalty(np.full(samples.d, alpha)), intercept)


def gaussian(n, d, seed=0):
    """Return X and y of a logistic model with independent Gaussian features."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return X, np.where(X @ rng.standard_normal(d) + rng.logistic(size=n) > 0, 1.0, -1.0)


def sparse_categories(n=3000, levels=(3, 40, 150), seed=0):
    """Return indicators of categories with Zipf frequencies, and labels of a logistic model."""
    rng = np.random.default_rng(seed)
    codes = [rng.choice(k, n, p=(p := 1 / np.arange(1.0, k + 1)) / p.sum()) for k in levels]
    score = sum(rng.standard_normal(k)[code] for k, code in zip(levels, codes, strict=True))
    columns = np.array([c + o for c, o in zip(codes, np.cumsum([0, *levels[:-1]]), strict=True)]).T
    pointers = np.arange(n + 1) * len(levels)
    X = sp.csr_matrix((np.ones(columns.size), columns.ravel(), pointers), shape=(n, sum(levels)))
    return X, np.where(score + rng.logistic(size=n) > 0, 1.0, -1.0)
