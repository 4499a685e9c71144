"""The centre that the solver subtracts from every row, and a shift of columns far from zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

_CENTRE_ROWS = 500  # rows that yield a good centre; the optimum is the same for any centre
_FEW_COLUMNS = 1_000  # largest d for which the metric is dense and corrects an inexact centre
_GUESS_ROWS = 100  # rows that suffice to guess which columns are far from zero
_FAR = 1e3  # the ratio of a column's mean to its spread above which it is shifted


def centre_columns(
    X: Any, intercept: bool, weight: np.ndarray | None = None
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return X, perhaps with some columns shifted, and what is to be subtracted from its rows.

    Parameters
    ----------
    X : ndarray or CSR matrix, shape (n, d)
    intercept : bool
        Whether there is an intercept; without one nothing is subtracted.
    weight : ndarray, shape (n,), default=None
        The weights of the rows, > 0.

    Returns
    -------
    X : ndarray or CSR matrix, shape (n, d)
        The given X, or a copy in which `shift_far_columns` has shifted some columns.
    remaining : ndarray, shape (d,)
        What the solver subtracts from the rows of this X.
    centre : ndarray, shape (d,)
        What is subtracted from the rows of the given X altogether; zero without an intercept.
    """
    if not intercept:
        return X, np.zeros(X.shape[1]), np.zeros(X.shape[1])
    centre = approximate_centre(X, weight)
    return *shift_far_columns(X, centre), centre


def approximate_centre(X: Any, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the mean of some rows of X, which is exact for constant columns, shape (d,).

    A weight counts like repetitions of its row, so that few rows and their repetitions have the
    same centre. With many columns the metric is little more than a diagonal, and the error of a
    mean over m rows adds a direction of curvature 1 + d/m. The number of rows therefore grows
    with d.
    """
    n, d = X.shape
    step = max(1, n // (_CENTRE_ROWS if d <= _FEW_COLUMNS else 20 * d))
    if sp.issparse(X):
        # Any rows will do, and the first ones of a CSR matrix are the cheapest to select.
        first_rows = step > 1 and d <= _FEW_COLUMNS
        chosen = slice(_CENTRE_ROWS) if first_rows else slice(None, None, step)
        rows = X if step == 1 else X[chosen]
        if weight is None:
            return np.asarray(rows.mean(axis=0), float).ravel()
        return rows.T @ _shares(weight[chosen])
    rows = X[::step]
    origin = rows[0].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # the first pass reports overflow and NaN
        if weight is None:
            return origin + (rows - origin).mean(axis=0)
        return origin + _shares(weight[::step]) @ (rows - origin)


def _shares(weight: np.ndarray) -> np.ndarray:
    """Return weights, scaled so that they sum to 1, whatever their size."""
    scaled = weight / weight.max()
    return scaled / scaled.sum()


def shift_far_columns(X: Any, centre: np.ndarray) -> tuple[Any, np.ndarray]:
    """Subtract the centre from those columns of a sparse X that are far from zero and full.

    Returns X and the centre that remains to be subtracted. The products of a sparse X are centred
    after they are computed, so a column whose mean is 1e8 times its spread loses 8 digits. A column
    that has an entry in every row can be shifted beforehand; other columns would lose their zeros.
    """
    if not sp.issparse(X) or not X.nnz:
        return X, centre
    m, d = min(_GUESS_ROWS, X.shape[0]), X.shape[1]
    indices, data = X.indices[: X.indptr[m]], X.data[: X.indptr[m]]
    squares = np.bincount(indices, np.square(data), d)
    spread = np.sqrt(np.maximum(squares / m - np.square(centre), 0.0))
    far = np.abs(centre) > _FAR * spread
    far &= np.bincount(indices, minlength=d) == m
    if not far.any():
        return X, centre
    far &= np.bincount(X.indices, minlength=d) == X.shape[0]
    if not far.any():
        return X, centre
    shift = np.where(far, centre, 0.0)
    data = X.data - shift[X.indices]
    return sp.csr_array((data, X.indices, X.indptr), shape=X.shape), centre - shift
