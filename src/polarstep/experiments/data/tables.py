"""Tables of data: generated Gaussian problems, a9a and breast_cancer."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...validation import complaint
from .downloads import DOWNLOADS


def find_a9a(folder: Path | None) -> Path | None:
    """Return the path of a9a in a data folder or in its subfolder libsvm, or None."""
    if folder is None:
        return None
    candidates = [folder / "libsvm" / "a9a", folder / "a9a"]
    return next((path for path in candidates if path.is_file()), None)


@lru_cache(maxsize=1)
def a9a(folder: Path) -> tuple[Any, np.ndarray]:
    """Read (X, y) of a9a: a CSR matrix (32,561 x 123) and labels -1 and +1.

    Raises
    ------
    ValueError
        The file is missing, or is not the published one, for instance because it is truncated.
    OSError
        The file cannot be read.
    """
    from sklearn.datasets import load_svmlight_file

    path = find_a9a(folder)
    if path is None:
        got = f"{str(folder)!r}, which has neither libsvm/a9a nor a9a"
        advice = f"Fetch it: polarstep data fetch a9a --data {folder}"
        raise ValueError(
            complaint("a9a", "--data", "be a folder that holds the data set", got, advice)
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if f"sha256:{digest}" != DOWNLOADS["a9a"].files["a9a"]:
        got = f"one of {path.stat().st_size:,} bytes with SHA-256 {digest[:12]}..."
        fetch_it = f"polarstep data fetch a9a --data {folder}"
        advice = f"It is truncated or altered: delete it and run {fetch_it}"
        must = "be the published file (2,327,314 bytes)"
        raise ValueError(complaint("a9a", str(path), must, got, advice))
    return load_svmlight_file(str(path), n_features=123)


def real_data(folder: Path | None) -> str:
    """Return "a9a" if the folder has it, else "breast_cancer"."""
    return "breast_cancer" if find_a9a(folder) is None else "a9a"


@lru_cache(maxsize=4)
def load(name: str, folder: Path | None, rows: int | None) -> tuple[Any, np.ndarray]:
    """Return (X, y) of "a9a" or "breast_cancer", not scaled.

    If `rows` is smaller than the number of rows, a fixed random choice of rows is returned.
    """
    if name == "a9a":
        X, y = a9a(folder or Path("."))
    else:
        from sklearn.datasets import load_breast_cancer

        X, y = load_breast_cancer(return_X_y=True)
    if rows is not None and rows < X.shape[0]:
        chosen = np.sort(np.random.default_rng(0).choice(X.shape[0], rows, replace=False))
        X, y = X[chosen], y[chosen]
    return X, y


def gaussian_moments(
    d: int, kappa: float, separation: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return random (u, S) with condition number kappa and u^T S^-1 u = separation.

    The logarithms of the eigenvalues of S are evenly spaced from -log(kappa) to 0. The eigenvectors
    of S and the direction of S^(-1/2) u are random.
    """
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((d, d)))[0]
    roots = np.sqrt(np.logspace(-np.log10(kappa), 0, d))
    white = rng.standard_normal(d)
    u = basis @ (roots * white) * np.sqrt(separation) / np.linalg.norm(white)
    return u, (basis * roots**2) @ basis.T


def gaussian_sample(
    u: np.ndarray, S: np.ndarray, n: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw n samples of the two-class model x|y ~ N(-y u, S - u u^T) with balanced y."""
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    noise = rng.standard_normal((n, len(u))) @ np.linalg.cholesky(S - np.outer(u, u)).T
    return noise - y[:, None] * u, y
