"""The weights of rare columns of sparse data, fitted one at a time.

A subsample says little about the weight of a column that hardly occurs in it. Where all labels of
such a column agree, its optimal weight is far from zero, and Newton's method on all weights at once
approaches it by steps of about 1. Fitting these weights one at a time is cheap, because a rare
column has few entries.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import kernels


class RareColumns(NamedTuple):
    """The entries of some columns, one column after the other.

    Column columns[j] of X has the entries in the slice starts[j]:starts[j+1] of rows and values.
    """

    columns: np.ndarray
    starts: np.ndarray
    rows: np.ndarray
    values: np.ndarray


def gather_rare_columns(
    X: tuple[np.ndarray, np.ndarray, np.ndarray], counts: np.ndarray, n_entries: int
) -> RareColumns:
    """Return the rarest columns of a CSR matrix, which have at most `n_entries` entries together.

    Parameters
    ----------
    X : tuple of ndarray
        The arrays (data, indices, indptr), with unsigned indices.
    counts : ndarray of int, shape (d,)
        The number of entries of each column.
    n_entries : int
        The largest number of entries.
    """
    order = np.argsort(counts)
    columns = np.sort(order[np.cumsum(counts[order]) <= n_entries])
    starts = np.append(0, np.cumsum(counts[columns]))
    slot = np.full(len(counts), -1, np.int32)
    slot[columns] = np.arange(len(columns), dtype=np.int32)
    rows, values = np.empty(starts[-1], np.int64), np.empty(starts[-1])
    kernels.gather_columns(*X, slot, starts[:-1].copy(), rows, values)
    return RareColumns(columns, starts, rows, values)


def fit_rare_columns(
    rare: RareColumns,
    y: np.ndarray,
    weight: np.ndarray,
    alpha: np.ndarray,
    loss: tuple[int, float],
    w: np.ndarray,
    margins: np.ndarray,
) -> np.ndarray:
    """Minimise a convex loss over the weights of rare columns, one at a time, in a single sweep.

    Parameters
    ----------
    rare : RareColumns
        The entries of the columns.
    y, weight : ndarray, shape (n,)
        The labels and the weights of the rows.
    alpha : ndarray, shape (d,)
        The penalty is sum alpha w^2/2.
    loss : tuple of int and float
        The code and the width of a compiled loss.
    w : ndarray, shape (d,)
        The weights of all columns at the start.
    margins : ndarray, shape (n,)
        The margins at w. They are updated in place, as if the columns were not centred.

    Returns
    -------
    ndarray, shape (d,)
        The new weights.
    """
    new, fitted = w.copy(), w[rare.columns]
    kernels.fit_columns(
        rare.rows, rare.values, rare.starts, y, weight, alpha[rare.columns], fitted, *loss, margins
    )
    new[rare.columns] = fitted
    return new
