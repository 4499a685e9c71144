"""The splits of a cross-validation: which rows train the models, and which ones score them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import check_cv

from ..validation import complaint


class Split(NamedTuple):
    """The indices of the rows that train a model, and of the rows that score it."""

    train: np.ndarray
    held_out: np.ndarray


def read_splits(
    cv: Any, X: Any, y: np.ndarray, who: str, arguments: Mapping[str, Any] | None = None
) -> list[Split]:
    """Return the splits that a cross-validator makes of the rows.

    Parameters
    ----------
    cv : int, cross-validator, iterable of (train, held_out) or None
        As in scikit-learn: a number of stratified folds, 5 by default; an object with a method
        ``split``; or the indices or masks of the rows themselves.
    X : array-like, shape (n, d)
        The rows.
    y : ndarray, shape (n,)
        The class labels.
    who : str
        The name of the caller, for error messages.
    arguments : mapping, optional
        Further arguments of ``split``, such as ``groups``.

    Raises
    ------
    ValueError
        If there is no split, or a split holds out no row or trains on none.
    """
    splitter = check_cv(cv, y, classifier=True)
    n = len(y)
    splits = [
        Split(_indices(train, n, who), _indices(held_out, n, who))
        for train, held_out in splitter.split(X, y, **(arguments or {}))
    ]
    if not splits:
        raise ValueError(complaint(who, "cv", "make at least one split", "none"))
    for k, split in enumerate(splits):
        for rows, purpose in zip(split, ("train on", "hold out"), strict=True):
            if not len(rows):
                got = f"no row to {purpose} in split {k}"
                raise ValueError(complaint(who, "cv", "use rows on both sides of a split", got))
    return splits


def _indices(rows: Any, n: int, who: str) -> np.ndarray:
    """Return indices between 0 and n - 1 from indices or from a mask."""
    rows = np.asarray(rows)
    if rows.dtype == bool and rows.shape == (n,):
        return np.flatnonzero(rows)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        got = f"an array of shape {rows.shape} and dtype {rows.dtype}"
        must = "yield pairs of vectors of row indices"
        raise ValueError(complaint(who, "cv", must, got))
    if rows.size and not (-n <= rows.min() and rows.max() < n):
        got = f"index {rows.min() if rows.min() < -n else rows.max()} with {n} rows"
        raise ValueError(complaint(who, "cv", "yield indices of rows of X", got))
    return rows.astype(np.intp) % n


def split_weights(splits: Iterable[Split], weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the row weights of each split, and their totals before they were scaled to sum to 1.

    Parameters
    ----------
    splits : iterable of Split
    weight : ndarray, shape (n,)
        The weights of the rows.

    Returns
    -------
    weights : ndarray, shape (F, n)
        Each row sums to 1, or is zero if the split trains on rows of weight zero only. A row that
        a split trains on several times counts as often.
    totals : ndarray, shape (F,)
    """
    counts = np.array([np.bincount(split.train, minlength=len(weight)) for split in splits])
    weights = counts * weight
    totals = weights.sum(axis=1)
    weights /= np.where(totals > 0, totals, 1.0)[:, None]
    return weights, totals


def require_every_class(
    weights: np.ndarray, codes: np.ndarray, classes: Sequence[Any] | np.ndarray, who: str
) -> None:
    """Raise a ValueError unless every class has a positive weight in every split.

    Parameters
    ----------
    weights : ndarray, shape (F, n)
    codes : ndarray of int, shape (n,)
        The index of each row's class.
    classes : sequence of length K
    who : str
        The name of the caller, for error messages.
    """
    totals = np.array([np.bincount(codes, share, len(classes)) for share in weights])
    require_class_weights(totals, classes, who)


def require_class_weights(
    totals: np.ndarray, classes: Sequence[Any] | np.ndarray, who: str
) -> None:
    """Raise a ValueError unless every class has a positive weight in every split.

    Parameters
    ----------
    totals : ndarray, shape (F, K)
        The weight of each class in each split.
    classes : sequence of length K
    who : str
        The name of the caller, for error messages.
    """
    for k, present in enumerate(totals > 0):
        if not present.all():
            missing = classes[int(np.argmin(present))]
            got = f"split {k} without class {missing}, whose intercept then has no finite optimum"
            advice = "Use StratifiedKFold, fewer splits, or leave out classes of very few rows."
            must = "train on rows of every class in each split"
            raise ValueError(complaint(who, "cv", must, got, advice))
