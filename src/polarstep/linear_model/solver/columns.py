"""The columns of the metric's Gram matrix: single columns of X, and sums of the others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from .weighted_rows import WeightedRows

_MOST_DENSE = 3_000  # largest number of columns of a dense X that all enter the Gram matrix
_MOST_SPARSE = 1_000  # largest number of columns of a sparse X that all enter it
_FREQUENT = 0.01  # smallest share of rows in which a frequent column of a sparse X has an entry


@dataclass(frozen=True)
class GramColumns:
    """A map A from the d columns of X to the k columns of a Gram matrix.

    Several columns of X can be added up into one column of the Gram matrix. The columns of the Gram
    matrix span the coarse space of a two-level preconditioner.

    Attributes
    ----------
    place : ndarray of int32, shape (d,)
        Column j of X is added to column place[j] of the Gram matrix, or left out if place[j] < 0.
    size : int
        k, the number of columns of the Gram matrix.
    n_single : int
        The first n_single columns of the Gram matrix are single columns of X.
    """

    place: np.ndarray
    size: int
    n_single: int

    @classmethod
    def every(cls, d: int) -> GramColumns:
        """Return the map for which each of the d columns is a column of the Gram matrix."""
        return cls(np.arange(d, dtype=np.int32), d, d)

    @cached_property
    def all_single(self) -> bool:
        """Whether each column of X is a single column of the Gram matrix."""
        return self.n_single == len(self.place)

    def of_single(self, v: np.ndarray) -> np.ndarray:
        """Return the entries of v (d,) at the single columns, in the order of the Gram matrix."""
        return v if self.all_single else v[self._single]

    def restrict(self, v: np.ndarray) -> np.ndarray:
        """Return A^T v, shape (k,): the sums of v over the columns that are added up."""
        if self.all_single:
            return v
        return np.bincount(self._clipped, np.where(self.place < 0, 0.0, v), self.size)

    def extend(self, x: np.ndarray) -> np.ndarray:
        """Return A x, shape (d,); this is the transpose of `restrict`."""
        if self.all_single:
            return x
        return np.where(self.place < 0, 0.0, x[self._clipped])

    def restrict_matrix(self, Q: np.ndarray) -> np.ndarray:
        """Return A^T Q A, shape (k, k)."""
        if self.all_single:
            return Q
        inside = np.flatnonzero(self.place >= 0)
        entries = np.ones(len(inside)), (self.place[inside], inside)
        transposed = sp.csr_array(entries, shape=(self.size, len(self.place)))
        return transposed @ (transposed @ Q.T).T

    @cached_property
    def _single(self) -> np.ndarray:
        single = np.flatnonzero((self.place >= 0) & (self.place < self.n_single))
        return single[np.argsort(self.place[single])]

    @cached_property
    def _clipped(self) -> np.ndarray:
        return np.maximum(self.place, 0)


def choose_gram_columns(samples: WeightedRows[Any]) -> GramColumns:
    """Choose every column if there are few, and otherwise the most important ones.

    The number of columns is limited so that a factorization costs no more than a few reads of X.
    """
    most = _MOST_SPARSE if samples.is_sparse else _MOST_DENSE
    if samples.d <= most:
        return GramColumns.every(samples.d)
    affordable = min(int((200.0 * samples.size) ** (1 / 3)), most)
    if samples.is_sparse:
        return _frequent_columns(samples, affordable)
    return _columns_of_largest_variance(samples, affordable)


def _columns_of_largest_variance(samples: WeightedRows[Any], count: int) -> GramColumns:
    """Choose the columns of largest variance, and leave the others out."""
    place = np.full(samples.d, -1, np.int32)
    single = np.sort(np.argsort(-samples.squares(samples.weight))[:count])
    place[single] = np.arange(len(single), dtype=np.int32)
    return GramColumns(place, len(single), len(single))


def _frequent_columns(samples: WeightedRows[Any], count: int) -> GramColumns:
    """Choose the most frequent columns, and the sum of the remaining columns of each category."""
    counts = samples.effective_rows()
    single = np.argsort(-counts, kind="stable")[:count]
    single = np.sort(single[counts[single] >= _FREQUENT * samples.n])
    place = np.full(samples.d, -1, np.int32)
    place[single] = np.arange(len(single), dtype=np.int32)
    starts = samples.category_starts()
    category = np.searchsorted(starts, np.arange(samples.d), side="right") - 1
    rest = place < 0
    place[rest] = len(single) + category[rest]
    return GramColumns(place, len(single) + len(starts), len(single))
