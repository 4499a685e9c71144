"""A centred matrix in memory, cut into blocks of rows for the compiled kernels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from . import kernels
from .rare_columns import RareColumns


class Sums(NamedTuple):
    """Sums over rows at (w, b), with p = (x - centre)^T w and the margin a = -y (p + b)."""

    value: float  # sum of s phi(a)
    by_w: np.ndarray  # its gradient with respect to w, shape (d,)
    by_b: float  # its derivative with respect to b
    mean: float  # sum of s p
    square: float  # sum of s p^2

    def __add__(self, other: Any) -> Sums:
        return Sums(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Matrix(ABC):
    """The matrix Z = X - 1 centre^T, where X is in memory and Z is never formed.

    Parameters
    ----------
    X : ndarray or CSR matrix, shape (n, d)
        float32 or float64. It is not copied.
    centre : ndarray, shape (d,)
        The vector that is subtracted from every row.
    n_threads : int, default=1
        The number of blocks of rows that are processed in parallel.
    """

    is_sparse: bool
    tile: int
    size: int

    def __init__(self, X: Any, centre: np.ndarray, n_threads: int = 1) -> None:
        self.X, self.centre, self.n_threads = X, centre, n_threads
        self.n, self.d = X.shape
        bounds = np.linspace(0, self.n, min(n_threads, self.n) + 1).astype(int)
        self.blocks = [
            (slice(start, stop), self.block(start, stop)) for start, stop in pairwise(bounds)
        ]

    @abstractmethod
    def block(self, start: int, stop: int) -> Any:
        """Rows start to stop in the form that the kernels take."""

    @abstractmethod
    def take(self, rows: np.ndarray) -> Matrix:
        """The matrix of some of the rows."""

    @abstractmethod
    def effective_rows(self) -> np.ndarray:
        """The number of rows that the variance of each column rests on, shape (d,)."""

    @abstractmethod
    def gram_cost(self, k: int) -> float:
        """The time of a Gram matrix of k columns, in passes over X."""

    @abstractmethod
    def gram(self, h: np.ndarray, place: np.ndarray, k: int) -> np.ndarray:
        """(Z A, 1)^T diag(h) (Z A, 1), shape (k+1, k+1), where A puts column j into place[j]."""

    @abstractmethod
    def squares(self, h: np.ndarray) -> np.ndarray:
        """Sum of h z^2 by column, shape (d,)."""

    @abstractmethod
    def offset(self, w: np.ndarray) -> float:
        """The constant centre^T w, where the kernels leave the centring to their caller; else 0."""

    @abstractmethod
    def centred_sums(self, sums: Sums, offset: float, weight: np.ndarray) -> Sums:
        """The sums that the kernels return, with the centre accounted for."""

    @abstractmethod
    def centred_rows(self) -> np.ndarray | None:
        """Z as a dense array, or None if a sparse X would become too large."""

    @abstractmethod
    def rare_columns(self) -> RareColumns | None:
        """The rarest columns of a sparse X; None for a dense one."""

    def map(self, work: Callable[[slice, Any], Any]) -> list[Any]:
        """work(rows, block) for every block, each in a thread of its own."""
        if len(self.blocks) == 1:
            return [work(*self.blocks[0])]
        with ThreadPoolExecutor(len(self.blocks)) as pool:
            return list(pool.map(lambda block: work(*block), self.blocks))

    def project(self, v: np.ndarray, h: float) -> np.ndarray:
        """Z v + h, shape (n,). One read of X."""
        out = np.empty(self.n)
        self.map(lambda at, X: kernels.project(X, self.centre, v, out[at], self.tile))
        out += h - self.offset(v)
        return out

    def column_sums(self, weight: np.ndarray) -> np.ndarray:
        """X^T weight, without the centre, shape (d,). One read of X."""
        sums, zero = np.zeros(self.d), np.zeros(self.d)
        for at, X in self.blocks:
            kernels.combine(X, zero, weight[at], sums, self.tile)
        return sums


def mirrored(triangle: np.ndarray) -> np.ndarray:
    """The symmetric matrix that has the given triangle; the other triangle must be zero."""
    return triangle + triangle.T - np.diag(np.diag(triangle))
