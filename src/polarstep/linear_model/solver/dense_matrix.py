"""A centred dense matrix in memory."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg as la

from . import kernels
from .matrix import Matrix, mirrored
from .weighted_rows import Sums

_SINGLE_PRECISION_FROM = 256  # from this number of columns on, a Gram matrix is computed in float32
_GRAM_VALUES = 1 << 17  # values of X that are centred and weighted at a time: 1 MiB


def dense_gram_cost(k: int) -> float:
    """Estimate the time of a Gram matrix of k columns, in passes over X, from measurements."""
    return 2.0 + k / (50.0 if k >= _SINGLE_PRECISION_FROM else 18.0)


def even_moments(Z: np.ndarray) -> np.ndarray:
    """Return the number of rows, sum z^2 and sum z^4 by column, shape (3, d)."""
    Z = np.square(Z)
    return np.array([np.full(Z.shape[1], len(Z)), Z.sum(axis=0), np.square(Z).sum(axis=0)])


class DenseMatrix(Matrix):
    """A centred array. The kernels subtract the centre as they read X."""

    is_sparse = False

    def __init__(self, X: np.ndarray, centre: np.ndarray, n_threads: int = 1) -> None:
        super().__init__(X, centre, n_threads)
        self.size = self.n * self.d
        self.tile = 512 if not X.flags.c_contiguous else 256 if self.d < 32 else 64

    def block(self, start: int, stop: int) -> np.ndarray:
        return self.X[start:stop]

    def take(self, rows: np.ndarray) -> DenseMatrix:
        return DenseMatrix(self.X[rows], self.centre, self.n_threads)

    def offset(self, w: np.ndarray) -> float:
        return 0.0

    def centred_sums(self, sums: Sums, offset: float, weight: np.ndarray) -> Sums:
        return sums

    def centred_rows(self) -> np.ndarray:
        return self.X - self.centre

    def rare_columns(self) -> None:
        return None

    def effective_rows(self) -> np.ndarray:
        """Return (sum z^2)^2 / sum z^4 for each column, estimated from about a thousand rows."""
        return self._effective_rows

    @cached_property
    def _effective_rows(self) -> np.ndarray:
        m, second, fourth = even_moments(self.X[:: max(1, self.n // 1_000)] - self.centre)
        rows = np.divide(second**2, fourth, out=np.zeros(self.d), where=fourth > 0)
        return rows * (self.n / m[0])

    def squares(self, h: np.ndarray) -> np.ndarray:
        q = np.zeros(self.d)
        for at, X in self.blocks:
            kernels.combine_squares(X, self.centre, h[at], q, self.tile)
        return q

    def gram_cost(self, k: int) -> float:
        return dense_gram_cost(k)

    def gram(self, h: np.ndarray, place: np.ndarray, k: int) -> np.ndarray:
        """Return the weighted Gram matrix of the k columns with place >= 0."""
        columns: Any = slice(None)
        if k < self.d:
            columns = np.argsort(place, kind="stable")[self.d - k :]
        kind: Any = np.float64
        unit, top = None, 1.0
        if k >= _SINGLE_PRECISION_FROM:
            # A metric need not be exact. Dividing each column by its unit avoids overflow.
            kind, unit, top = np.float32, self._units(columns), float(h.max())
        h = h / top if top > 0 else np.zeros(self.n)
        G = self._triangle(h, columns, k, kind, unit)
        if unit is not None:
            unit = np.append(unit, 1.0)
            G = G.astype(np.float64) * (top * np.outer(unit, unit))
        return mirrored(G)

    def _triangle(self, h: np.ndarray, columns: Any, k: int, kind: Any, unit: Any) -> np.ndarray:
        """Return one triangle of the Gram matrix of some columns, divided by their units."""
        centre, root = self.centre[columns], np.sqrt(h)
        syrk = la.blas.ssyrk if kind is np.float32 else la.blas.dsyrk
        step = max(32, _GRAM_VALUES // (k + 1))
        rows = np.empty((min(step, self.n), k + 1), kind)
        G = np.zeros((k + 1, k + 1), kind, order="F")
        for start in range(0, self.n, step):
            at = slice(start, min(start + step, self.n))
            part = rows[: at.stop - at.start]
            np.subtract(self.X[at, columns], centre, out=part[:, :-1], casting="same_kind")
            if unit is not None:
                part[:, :-1] /= unit
            part[:, -1] = 1.0
            part *= root[at, None]
            G = syrk(1.0, part.T, beta=1.0, c=G, overwrite_c=True)
        return G

    def _units(self, columns: Any) -> np.ndarray:
        """Estimate the root mean squares of columns from about 500 rows; 1 for columns of zeros."""
        some = self.X[:: max(1, self.n // 500), columns] - self.centre[columns]
        unit = np.sqrt(np.square(some).mean(axis=0))
        unit[unit == 0] = 1.0
        return unit
