"""The data sets of the benchmark of linear classifiers: simulated with fixed seeds, or real."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, make_classification

from polarstep.experiments.data import tables as datasets

Data = tuple[Any, np.ndarray]
QUICK = (5_000, 200)  # largest numbers of rows and columns with --quick


@dataclass(frozen=True)
class Problem:
    """The objective C sum phi(-y (x w + b)) + ||w||^2 / 2 on data with classes 0, ..., K - 1."""

    name: str
    X: Any
    y: np.ndarray
    C: float
    digest: str

    @property
    def signs(self) -> list[np.ndarray]:
        """Labels -1 and +1 of each fit: one fit for two classes, else one for each class."""
        classes = int(self.y.max()) + 1
        positive = [1] if classes == 2 else range(classes)
        return [np.where(self.y == k, 1.0, -1.0) for k in positive]

    @property
    def key(self) -> str:
        return f"{self.name}, C={self.C:g}, {self.digest}"


# ------------------------------------------------------------------- generators


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


def iris(classes: int) -> Data:
    X, y = load_iris(return_X_y=True)
    return X, y if classes == 3 else (y == 1).astype(int)


def a9a(folder: Path) -> Data:
    X, y = datasets.a9a(folder)
    X = X.copy()
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)  # for liblinear
    return X, (y > 0).astype(int)


# ------------------------------------------------------------------- all data sets


def sources(folder: Path | None, quick: bool = False) -> dict[str, Callable[[], Data]]:
    def made(make: Callable[..., Data], n: int, d: int, *others: Any) -> Callable[[], Data]:
        if quick:
            n, d = min(n, QUICK[0]), min(d, QUICK[1])
        return partial(make, n, d, *others)

    found = {
        "gauss-1": made(gaussian, 500_000, 100, 1.0),
        "gauss-1e3": made(gaussian, 500_000, 100, 1e3),
        "gauss-1e6": made(gaussian, 500_000, 100, 1e6),
        "gauss-float32": made(gaussian, 500_000, 100, 1e3, np.float32),
        "gauss-d1000": made(gaussian, 100_000, 1_000, 1e3),
        "gauss-d2000": made(gaussian, 20_000, 2_000, 1e3),
        "gauss-d10": made(gaussian, 100_000, 10, 10.0),
        "gauss-d5": made(gaussian, 2_000, 5, 10.0),
        "positives-1%": made(few_positives, 200_000, 50),
        "rare-dense": made(rare_dense, 50_000, 100),
        "rare-sparse": made(rare_sparse, 100_000, 5_000),
        "sparse-uniform": made(sparse_data, 200_000, 20_000, False),
        "sparse-zipf": made(sparse_data, 200_000, 20_000, True),
        "shifted-1e4": made(shifted, 10_000, 20, 1e4),
        "shifted-1e8": made(shifted, 10_000, 20, 1e8),
        "iris-binary": partial(iris, 2),
        "iris": partial(iris, 3),
        "breast-cancer": partial(load_breast_cancer, return_X_y=True),
        "digits": partial(load_digits, return_X_y=True),
    }
    if datasets.find_a9a(folder):
        found["a9a"] = partial(a9a, folder)
    return found


def fingerprint(X: Any, y: np.ndarray) -> str:
    """Return a hash of the data, so that a changed generator invalidates cached results."""
    hashed = hashlib.sha256(y.tobytes())
    for part in (X.data, X.indices) if sparse.issparse(X) else (X,):
        hashed.update(np.ascontiguousarray(part))
    return hashed.hexdigest()[:8]
