"""A centred matrix in memory, cut into blocks of rows for the compiled kernels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from . import kernels
from .rare_columns import RareColumns
from .weighted_rows import Sums


class Matrix(ABC):
    """A centred matrix Z = X - 1 centre^T that is never formed; X is in memory.

    Parameters
    ----------
    X : ndarray or CSR matrix, shape (n, d)
        An array of float32 or float64. It is not copied.
    centre : ndarray, shape (d,)
        The vector that is subtracted from every row.
    n_threads : int, default=1
        The number of blocks of rows that are processed in parallel.

    Attributes
    ----------
    is_sparse : bool
        Whether X is a CSR matrix.
    size : int
        The number of values of X that a pass reads.
    tile : int
        The number of rows that the kernels process at a time.
    blocks : list of (slice, block)
        The rows of each thread, and their block of X in the form that the kernels read.
    """

    is_sparse: bool
    tile: int
    size: int

    def __init__(self, X: Any, centre: np.ndarray, n_threads: int = 1) -> None:
        self.X, self.centre, self.n_threads = X, centre, n_threads
        self.n, self.d = X.shape
        n_blocks = min(n_threads, self.n)
        bounds = [self.n * i // n_blocks for i in range(n_blocks + 1)]
        self.blocks = [
            (slice(start, stop), self.block(start, stop)) for start, stop in pairwise(bounds)
        ]

    @abstractmethod
    def block(self, start: int, stop: int) -> Any:
        """Return rows start to stop in the form that the kernels read."""

    @abstractmethod
    def take(self, rows: np.ndarray) -> Matrix:
        """Return the matrix of some of the rows."""

    @abstractmethod
    def effective_rows(self) -> np.ndarray:
        """Return how many rows effectively determine the variance of each column, shape (d,)."""

    @abstractmethod
    def gram_cost(self, k: int) -> float:
        """Estimate the time of a Gram matrix of k columns, in passes over X."""

    @abstractmethod
    def gram(self, h: np.ndarray, place: np.ndarray, k: int) -> np.ndarray:
        """Return (Z A, 1)^T diag(h) (Z A, 1), shape (k+1, k+1); see `WeightedRows.gram`."""

    @abstractmethod
    def squares(self, h: np.ndarray) -> np.ndarray:
        """Return the sums of h z^2 by column, shape (d,)."""

    @abstractmethod
    def offset(self, w: np.ndarray) -> float:
        """Return centre^T w if the kernels leave the centring to their caller, and 0 otherwise."""

    @abstractmethod
    def centred_sums(self, sums: Sums, offset: float, weight: np.ndarray) -> Sums:
        """Return the sums of the kernels after accounting for the centre."""

    @abstractmethod
    def centred_rows(self) -> np.ndarray | None:
        """Return Z as a dense array, or None if a sparse X would become too large."""

    @abstractmethod
    def rare_columns(self) -> RareColumns | None:
        """Return the rarest columns of a sparse X, or None if X is dense."""

    def map(self, work: Callable[[slice, Any], Any]) -> list[Any]:
        """Return work(rows, block) for every block; each block is processed by its own thread."""
        if len(self.blocks) == 1:
            return [work(*self.blocks[0])]
        with ThreadPoolExecutor(len(self.blocks)) as pool:
            return list(pool.map(lambda block: work(*block), self.blocks))

    def project(self, v: np.ndarray, h: float) -> np.ndarray:
        """Return Z v + h, shape (n,), in one read of X."""
        out = np.empty(self.n)
        self.map(lambda at, X: kernels.project(X, self.centre, v, out[at], self.tile))
        out += h - self.offset(v)
        return out

    def gram_times_vector(self, h: np.ndarray, v: np.ndarray, b: float) -> tuple[np.ndarray, float]:
        """Return Z^T r, shape (d,), and the sum of r = h (Z v + b), in one read of X."""
        shift, tile = b - self.offset(v), self.tile

        def work(at: slice, X: Any) -> tuple[np.ndarray, float]:
            out = np.zeros(self.d)
            total = kernels.gram_times_vector(X, self.centre, h[at], v, shift, out, tile)
            return out, total

        (product, total), *rest = self.map(work)
        for more, part in rest:
            product += more
            total += part
        if self.is_sparse:
            product -= total * self.centre
        return product, total

    def column_sums(self, weight: np.ndarray) -> np.ndarray:
        """Return X^T weight, shape (d,), in one read of X; the centre is not subtracted."""
        sums, zero = np.zeros(self.d), np.zeros(self.d)
        for at, X in self.blocks:
            kernels.combine(X, zero, weight[at], sums, self.tile)
        return sums


def mirrored(triangle: np.ndarray) -> np.ndarray:
    """Return the symmetric matrix with the given triangle; the other triangle must be zero."""
    return triangle + triangle.T - np.diag(np.diag(triangle))
