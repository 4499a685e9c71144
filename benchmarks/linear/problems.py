"""The data sets and objectives of the race."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import collected
import numpy as np
import simulated
from scipy import sparse
from simulated import Data
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from polarstep.experiments.data import tables as datasets

SMALL = (5_000, 200)  # largest numbers of rows and columns with --small


@dataclass(frozen=True)
class Source:
    """A data set that is made on demand, and how the tables call it."""

    title: str
    make: Callable[[], Data]
    quick: bool = False  # whether it belongs to the selection of --quick
    softmax: bool = False


@dataclass(frozen=True)
class Problem:
    """One objective on data with classes 0, ..., K - 1.

    It is C sum phi(-y (x w + b)) + ||w||^2 / 2 for each class against the rest or, with
    `softmax`, C sum [logsumexp_k(x w_k + b_k) - (x w_y + b_y)] + sum_k ||w_k||^2 / 2.
    """

    name: str
    X: Any
    y: np.ndarray
    C: float
    digest: str
    softmax: bool = False

    @property
    def n_classes(self) -> int:
        return int(self.y.max()) + 1

    @property
    def signs(self) -> list[np.ndarray]:
        """Labels -1 and +1 of each fit: one fit for two classes, else one for each class."""
        positive = [1] if self.n_classes == 2 else range(self.n_classes)
        return [np.where(self.y == k, 1.0, -1.0) for k in positive]

    @property
    def label(self) -> str:
        return f"{self.name}, C={self.C:g}"

    @property
    def key(self) -> str:
        return f"{self.label}, {self.digest}"


def sources(folder: Path | None, small: bool = False) -> dict[str, Source]:
    """Return all data sets by name, in the order of the tables."""

    def made(make: Callable[..., Data], n: int, d: int, *others: Any) -> Callable[[], Data]:
        if small:
            n, d = min(n, SMALL[0]), min(d, SMALL[1])
        return partial(make, n, d, *others)

    gaussian, classes = simulated.gaussian, simulated.classes
    wine = partial(load_wine, return_X_y=True)
    digits = partial(load_digits, return_X_y=True)
    found = {
        "gauss-1": Source("Gaussian, condition 1", made(gaussian, 500_000, 100, 1.0), quick=True),
        "gauss-1e3": Source("Gaussian, condition 1e3", made(gaussian, 500_000, 100, 1e3)),
        "gauss-1e6": Source("Gaussian, condition 1e6", made(gaussian, 500_000, 100, 1e6)),
        "gauss-float32": Source(
            "Gaussian, condition 1e3, float32", made(gaussian, 500_000, 100, 1e3, np.float32)
        ),
        "gauss-d1000": Source("Gaussian, condition 1e3", made(gaussian, 100_000, 1_000, 1e3)),
        "gauss-d2000": Source("Gaussian, condition 1e3", made(gaussian, 20_000, 2_000, 1e3)),
        "gauss-d10": Source("Gaussian, condition 10", made(gaussian, 100_000, 10, 10.0), True),
        "gauss-d5": Source("Gaussian, condition 10", made(gaussian, 2_000, 5, 10.0), True),
        "near-d-3000x2000": Source(
            "Gaussian, condition 1", made(gaussian, 3_000, 2_000, 1.0), quick=True
        ),
        "near-d-3000x2000-1e3": Source(
            "Gaussian, condition 1e3", made(gaussian, 3_000, 2_000, 1e3)
        ),
        "near-d-1500x1000": Source(
            "Gaussian, condition 1", made(gaussian, 1_500, 1_000, 1.0), quick=True
        ),
        "near-d-8000x2000": Source("Gaussian, condition 1", made(gaussian, 8_000, 2_000, 1.0)),
        "near-d-34-classes": Source(
            "34 Gaussian classes", made(classes, 3_000, 1_000, 1.0, 34, 4.0)
        ),
        "positives-1%": Source("1% positives", made(simulated.few_positives, 200_000, 50)),
        "rare-dense": Source("rare columns, dense", made(simulated.rare_dense, 50_000, 100)),
        "rare-sparse": Source("rare columns, sparse", made(simulated.rare_sparse, 100_000, 5_000)),
        "sparse-uniform": Source(
            "sparse, 50 entries a row", made(simulated.sparse_data, 200_000, 20_000, False)
        ),
        "sparse-zipf": Source(
            "sparse indicators, Zipf", made(simulated.sparse_data, 200_000, 20_000, True)
        ),
        "shifted-1e4": Source(
            "one column times 1e4, one plus 1e4", made(simulated.shifted, 10_000, 20, 1e4)
        ),
        "shifted-1e8": Source(
            "one column times 1e8, one plus 1e8", made(simulated.shifted, 10_000, 20, 1e8)
        ),
        "counts": Source("raw counts", made(simulated.counts, 4_601, 57), quick=True),
        "telescope": Source("measurements", made(simulated.telescope, 19_000, 10), quick=True),
        "iris-binary": Source("iris, one class", partial(collected.iris, 2), quick=True),
        "iris": Source("iris", partial(collected.iris, 3), quick=True),
        "wine": Source("wine", wine, quick=True),
        "breast-cancer": Source(
            "breast_cancer", partial(load_breast_cancer, return_X_y=True), quick=True
        ),
        "digits": Source("digits", digits, quick=True),
    }
    if datasets.find_a9a(folder):
        found["a9a"] = Source("a9a, sparse", partial(collected.a9a, folder), quick=True)
    if path := collected.find_shakespeare(folder):
        found["text"] = Source(
            "half-lines of Shakespeare", partial(collected.half_lines, path), quick=True
        )
        found["text-held-out"] = Source(
            "lines of Shakespeare", partial(collected.whole_lines, path)
        )
    softmax = {
        "softmax-iris": Source("iris", partial(collected.iris, 3), quick=True),
        "softmax-wine": Source("wine", wine, quick=True),
        "softmax-digits": Source("digits", digits, quick=True),
        "softmax-gauss": Source(
            "10 Gaussian classes, condition 1e3", made(classes, 30_000, 100, 1e3, 10), quick=True
        ),
        "softmax-letters": Source("26 letters", made(simulated.letters, 20_000, 16, 26)),
        "softmax-sparse": Source(
            "20 classes, sparse", made(simulated.sparse_classes, 20_000, 5_000, 20), quick=True
        ),
        "softmax-34-classes": Source(
            "34 Gaussian classes", made(classes, 3_000, 1_000, 1.0, 34, 4.0)
        ),
    }
    for name, source in softmax.items():
        found[name] = Source(source.title, source.make, source.quick, softmax=True)
    return found


def fingerprint(X: Any, y: np.ndarray) -> str:
    """Return a hash of the data, so that a changed generator invalidates cached results."""
    hashed = hashlib.sha256(y.tobytes())
    for part in (X.data, X.indices) if sparse.issparse(X) else (X,):
        hashed.update(np.ascontiguousarray(part))
    return hashed.hexdigest()[:8]
