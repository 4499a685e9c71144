"""Counts of the rows, labels and entries in each block; the client keeps them in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from .graphs import BlockValues, compute_combined, join_lists, map_blocks


@dataclass(frozen=True)
class Census:
    """Counts of the rows and entries in each block.

    Attributes
    ----------
    labels : ndarray, shape (K,)
        The labels that occur, in order.
    counts : ndarray of int, shape (blocks, K)
        The number of rows with each label.
    weights : ndarray, shape (blocks, K)
        The total weight of those rows.
    d : int
        The number of columns.
    is_sparse : bool
        Whether the blocks of X are sparse.
    nnz : int
        The number of entries of a sparse X.
    nnz_squares : float
        The sum over the rows of a sparse X of the square of their number of entries.
    """

    labels: np.ndarray
    counts: np.ndarray
    weights: np.ndarray
    d: int
    is_sparse: bool
    nnz: int
    nnz_squares: float


def take_census(X: BlockValues, rows: BlockValues, labels: np.ndarray) -> Census:
    """Count the rows and entries of each block of X; ``rows`` holds their labels and weights."""
    blocks: list[_Count] = compute_combined(
        map_blocks("count", _count_block, X, rows, labels), join_lists
    )
    counts = np.array([block.counts for block in blocks])
    weights = np.array([block.weights for block in blocks])
    present = counts.any(axis=0)
    return Census(
        labels[present],
        counts[:, present],
        weights[:, present],
        blocks[0].d,
        blocks[0].is_sparse,
        sum(block.nnz for block in blocks),
        sum(block.nnz_squares for block in blocks),
    )


def count_labels(
    y: np.ndarray, weight: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of rows with each label, and their total weight."""
    at, k = np.searchsorted(labels, y), len(labels)
    return np.bincount(at, minlength=k), np.bincount(at, weight, minlength=k)


class _Count(NamedTuple):
    """The census of one block."""

    counts: np.ndarray
    weights: np.ndarray
    d: int
    is_sparse: bool
    nnz: int
    nnz_squares: float


def _count_block(X: Any, rows: tuple[np.ndarray, np.ndarray], labels: np.ndarray) -> list[_Count]:
    counts, weights = count_labels(*rows, labels)
    lengths = np.diff(X.indptr).astype(float) if sp.issparse(X) else np.zeros(0)
    entries = int(lengths.sum()), float(lengths @ lengths)
    return [_Count(counts, weights, X.shape[1], sp.issparse(X), *entries)]
