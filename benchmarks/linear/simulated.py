"""Generators of simulated data sets with fixed seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit
from sklearn.datasets import make_classification
from sklearn.feature_extraction.text import TfidfTransformer

from polarstep.experiments.data import tables as datasets

Data = tuple[Any, np.ndarray]


# ------------------------------------------------------------------- two classes


def gaussian(n: int, d: int, kappa: float, dtype: Any = np.float64) -> Data:
    """Draw two Gaussian classes with eigenvalues of S from 1/kappa to 1; Bayes accuracy 84%."""
    X, y = datasets.gaussian_sample(*datasets.gaussian_moments(d, kappa, 0.5, 0), n, 0)
    return X.astype(dtype, copy=False), (y > 0).astype(int)


def draw_labels(margins: np.ndarray, rng: np.random.Generator, spread: float = 2.0) -> np.ndarray:
    """Draw labels of a logistic model whose margins have the standard deviation `spread`."""
    margins = spread * (margins - margins.mean()) / margins.std()
    return (rng.random(len(margins)) < expit(margins)).astype(int)


def sparse_rows(n: int, d: int, frequency: Callable[[np.ndarray], np.ndarray], binary: bool) -> Any:
    """Draw a CSR matrix of 50 entries per row in columns of given relative frequencies.

    Columns are drawn with replacement, so that some rows hold fewer entries.
    """
    rng = np.random.default_rng(0)
    cumulative = np.cumsum(rng.permutation(frequency(np.arange(1.0, d + 1))))
    columns = np.searchsorted(cumulative, cumulative[-1] * rng.random(50 * n)).astype(np.int32)
    values = np.ones(50 * n) if binary else rng.standard_normal(50 * n)
    X = sparse.csr_matrix((values, columns, np.arange(0, 50 * n + 1, 50)), shape=(n, d))
    X.sum_duplicates()
    if binary:
        X.data[:] = 1.0
    return X


def sparse_data(n: int, d: int, zipf: bool) -> Data:
    """Draw normal values in equally frequent columns, or indicators of Zipf's frequencies."""
    X = sparse_rows(n, d, (lambda k: 1 / k) if zipf else np.ones_like, binary=zipf)
    rng = np.random.default_rng(1)
    weight = rng.standard_normal(d) * (rng.random(d) < 0.1)
    return X, draw_labels(X @ weight, rng)


def shifted(n: int, d: int, by: float) -> Data:
    """Make badly scaled data: multiply the first column by `by`, and add `by` to the second."""
    X, y = make_classification(n_samples=n, n_features=d, random_state=0)
    X[:, 0] *= by
    X[:, 1] += by
    return X, y


def rare_dense(n: int, d: int) -> Data:
    """Make a dense matrix: half of its columns are normal, half have 3 to 30 nonzero entries."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    X[:, d // 2 :] = 0.0
    for j in range(d // 2, d):
        X[rng.choice(n, rng.integers(3, 31), replace=False), j] = 1.0
    return X, draw_labels(X @ rng.standard_normal(d), rng)


def rare_sparse(n: int, d: int) -> Data:
    """Make indicators: ten columns are 1 in 30% of the rows, the others in 1 to 20 rows."""
    rng = np.random.default_rng(0)
    counts = np.r_[np.full(10, int(0.3 * n)), rng.integers(1, 21, d - 10)]
    rows = np.concatenate([rng.choice(n, count, replace=False) for count in counts])
    columns = np.repeat(np.arange(d), counts)
    X = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(n, d))
    return X, draw_labels(X @ rng.standard_normal(d), rng)


def few_positives(n: int, d: int) -> Data:
    """Draw from a logistic model with 1% positive labels."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    margins = X @ rng.standard_normal(d) / np.sqrt(d)
    return X, (rng.random(n) < expit(margins - 5.05)).astype(int)


def counts(n: int, d: int) -> Data:
    """Make raw counts like those of an e-mail: percentages of words, and three long runs.

    Most entries of the percentages are zero and the others follow a lognormal law. The last three
    columns are counts with a heavy tail that goes up to some ten thousand.
    """
    rng = np.random.default_rng(0)
    present = rng.random((n, d - 3)) < rng.uniform(0.03, 0.5, d - 3)
    words = np.where(present, np.exp(rng.normal(-0.7, 1.0, (n, d - 3))), 0.0)
    runs = np.floor(np.exp(rng.normal([1.0, 3.0, 5.0], [0.8, 1.1, 1.2], (n, 3)))) + 1
    X = np.hstack([np.round(words, 2), runs])
    return X, draw_labels(np.log1p(X) @ rng.standard_normal(d), rng)


def telescope(n: int, d: int) -> Data:
    """Make correlated measurements in units of their own, of which half have a heavy tail."""
    rng = np.random.default_rng(0)
    normal = rng.standard_normal((n, d)) @ (np.eye(d) + 0.4 * rng.standard_normal((d, d)))
    X = normal.copy()
    X[:, ::2] = np.exp(0.5 * X[:, ::2])
    X *= np.logspace(-1, 2, d)
    return X, draw_labels(normal @ rng.standard_normal(d), rng)


# ------------------------------------------------------------------- several classes


def classes(n: int, d: int, kappa: float, n_classes: int, separation: float = 3.0) -> Data:
    """Draw equally frequent Gaussian classes with a common covariance of condition number kappa.

    In the units of the covariance, each mean lies at the distance `separation` from the centre.
    """
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((d, d)))[0]
    root = basis * np.sqrt(np.logspace(-np.log10(kappa), 0, d))
    means = rng.standard_normal((n_classes, d))
    means *= separation / np.linalg.norm(means, axis=1, keepdims=True)
    y = rng.integers(0, n_classes, n)
    return (rng.standard_normal((n, d)) + means[y]) @ root.T, y


def letters(n: int, d: int, n_classes: int) -> Data:
    """Draw integers from 0 to 15 like measured shapes of letters, with two shapes a class."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(3.0, 10.0, d) + 2.2 * rng.standard_normal((n_classes, 2, d))
    mixing = np.eye(d) + 0.3 * rng.standard_normal((d, d))
    y, shape = rng.integers(0, n_classes, n), rng.integers(0, 2, n)
    X = centres[y, shape] + 1.2 * rng.standard_normal((n, d)) @ mixing
    return np.clip(np.round(X), 0, 15), y


def sparse_classes(n: int, d: int, n_classes: int) -> Data:
    """Draw about 50 words a row with Zipf's frequencies, in the tf-idf scaling.

    One in twelve words of a row comes from a list of 60 words of its class.
    """
    rng = np.random.default_rng(0)
    y = rng.integers(0, n_classes, n)
    cumulative = np.cumsum(rng.permutation(1 / np.arange(1.0, d + 1)))
    words = np.searchsorted(cumulative, cumulative[-1] * rng.random((n, 50)))
    lists = rng.integers(0, d, (n_classes, 60))
    own = lists[y[:, None], rng.integers(0, 60, (n, 50))]
    columns = np.where(rng.random((n, 50)) < 1 / 12, own, words).ravel().astype(np.int32)
    start = np.arange(0, 50 * n + 1, 50, dtype=np.int32)
    X = sparse.csr_matrix((np.ones(50 * n), columns, start), shape=(n, d))
    X.sum_duplicates()
    X = TfidfTransformer(sublinear_tf=True).fit_transform(X).tocsr()
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    return X, y
