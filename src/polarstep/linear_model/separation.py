"""Separation: a direction along which no row loses and some row gains, if there is one.

The maximum-likelihood estimate of a logistic model without a penalty exists if and only if no
hyperplane separates the classes, wholly or in part (Albert and Anderson 1984). Along a separating
direction the likelihood rises forever.

References
----------
Albert and Anderson, "On the existence of maximum likelihood estimates in logistic regression
models", Biometrika 1984.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from .separating_newton import find_direction, rules_out_all
from .separating_rows import RowsOfClasses

_SHARE = 0.1  # smallest weight of a leading feature, relative to the largest one
_SOME_ROWS = 20  # number of rows for each unknown that are likely to decide for all rows


def separating_direction(
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    fit_intercept: bool = True,
    start: np.ndarray | None = None,
) -> np.ndarray | None:
    """Return a direction that separates the classes, wholly or in part; None if there is none.

    Parameters
    ----------
    X : ndarray or CSR matrix, shape (n, d)
        Finite real numbers.
    y : array-like, shape (n,)
        The class labels, two or more.
    sample_weight : array-like, shape (n,), default=None
        Rows of weight 0 are left out. The other weights matter only at `start`.
    fit_intercept : bool, default=True
        Whether the hyperplanes may have an offset.
    start : ndarray, shape (1, d + 1) or (n_classes, d + 1), default=None
        Weights and offsets that almost minimise the logistic loss with these weights of the
        samples. If they do, a single Newton step proves that nothing separates the classes.

    Returns
    -------
    ndarray, shape (1, d + 1) or (n_classes, d + 1), or None
        The weights V and, in the last column, the offsets c, scaled so that the largest weight in
        standard deviations of its feature is 1. With two classes the row is the direction of the
        second one: (2 [y_i is the second class] - 1) (x_i^T v + c) >= 0 for all rows, and > 0 for
        some. With more classes x_i^T (v_k - v_l) + c_k - c_l >= 0 for all rows, their class k and
        every other class l, and > 0 for some. Rounding errors of a relative 1e-9 are allowed.

    Notes
    -----
    If there are many rows, a small share of them is tried first: if nothing separates them and they
    determine all weights, nothing separates the others. Then single features are tried, and then
    Newton's method minimises the logistic loss. Its step changes the probabilities p to p + dp to
    first order, and these satisfy the equations sum_i (p_ik + dp_ik - [y_i = k]) x_i = 0 exactly.
    If p + dp > 0, this proves by Stiemke's lemma that nothing separates the classes. Otherwise the
    step approaches a separating direction, which is checked on every row. In the rare case that
    rounding errors prevent both, the result is None.

    References
    ----------
    Albert and Anderson, "On the existence of maximum likelihood estimates in logistic regression
    models", Biometrika 1984.
    """
    classes, codes = np.unique(np.asarray(y), return_inverse=True)
    weight = None if sample_weight is None else np.asarray(sample_weight, float)
    if weight is not None and not weight.all():
        kept = np.flatnonzero(weight)
        X, weight = X[kept], weight[kept]
        classes, codes = np.unique(codes[kept], return_inverse=True)
    if len(classes) < 2:
        return None
    if _some_rows_rule_out_all(X, codes, len(classes), fit_intercept):
        return None
    found = _single_feature(X, codes, len(classes), fit_intercept)
    if found is None:
        rows = RowsOfClasses.of_data(X, codes, len(classes), weight, intercept=fit_intercept)
        found = find_direction(rows, None if start is None else rows.enter(start))
        if found is None:
            return None
        found = rows.leave(found)
    if len(classes) == 2:
        found = found[1:] - found[:1]
    largest = float(np.abs(found[:, :-1] * spreads(X)).max())
    return found / largest if largest > 0 else found


def leading_features(direction: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return the features of the largest weights of a direction, the largest first.

    Parameters
    ----------
    direction : ndarray, shape (k, d + 1)
        The weights and offsets, as `separating_direction` returns them.
    spread : ndarray, shape (d,)
        The standard deviations of the features.

    Returns
    -------
    ndarray of int
        The columns whose weight is at least a tenth of the largest one, in standard deviations.
    """
    sizes = np.abs(direction[:, :-1] * spread).max(axis=0)
    order = np.argsort(-sizes, kind="stable")
    return order[sizes[order] >= _SHARE * sizes[order[0]]]


def spreads(X: Any) -> np.ndarray:
    """Return the standard deviation of each column, shape (d,)."""
    if sp.issparse(X):
        mean = np.asarray(X.mean(axis=0), float).ravel()
        squares = np.asarray(X.multiply(X).mean(axis=0), float).ravel()
        return np.sqrt(np.maximum(squares - np.square(mean), 0.0))
    return X.std(axis=0, dtype=np.float64)


def _some_rows_rule_out_all(X: Any, codes: np.ndarray, n_classes: int, intercept: bool) -> bool:
    """Whether a small share of the rows proves that nothing separates all of them."""
    n, p = X.shape[0], X.shape[1] + intercept
    step = n // max(2_000, _SOME_ROWS * p * (n_classes - 1))
    if step < 4:
        return False
    some = codes[::step]
    if len(np.unique(some)) < n_classes:
        return False
    rows = RowsOfClasses.of_data(X[::step], some, n_classes, None, intercept=intercept)
    return rules_out_all(rows)


def _single_feature(X: Any, codes: np.ndarray, n_classes: int, intercept: bool) -> Any:
    """Return the direction of the single feature that separates the classes best, or None.

    A feature separates one class from the others if its smallest value in the class is no smaller
    than its largest value in the others, or the reverse. Without an intercept the value between
    them must be zero.
    """
    low, high = _ranges(X, codes, n_classes)
    extent = high.max(axis=0) - low.min(axis=0)
    best, direction = (-1.0, 0.0), None
    for k in range(1 if n_classes == 2 else 0, n_classes):
        others = [c for c in range(n_classes) if c != k]
        above = low[k], high[others].max(axis=0)
        below = -high[k], -low[others].min(axis=0)
        for sign, (own, rest) in ((1.0, above), (-1.0, below)):
            good = (own >= rest) & (extent > 0)
            if not intercept:
                good &= (own >= 0) & (rest <= 0)
            at = np.flatnonzero(good)
            if not len(at):
                continue
            # The widest gap is the clearest; of features without a gap, the one that varies most.
            gap, spread = (own - rest)[at] / extent[at], spreads(X[:, at]) / extent[at]
            j = at[np.lexsort((spread, gap))[-1]]
            rank = float(gap.max()), float(spreads(X[:, [j]])[0] / extent[j])
            if rank > best:
                best, direction = rank, np.zeros((n_classes, X.shape[1] + 1))
                direction[k, j] = sign
                if intercept:
                    direction[k, -1] = -sign * (0.5 * own[j] + 0.5 * rest[j]) * sign
    return direction


def _ranges(X: Any, codes: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and the largest value of each column in each class, shape (K, d)."""

    def extreme(rows: Any, which: str) -> np.ndarray:
        found = getattr(rows, which)(axis=0)
        return np.asarray(found.toarray() if sp.issparse(found) else found, float).ravel()

    parts = [X[np.flatnonzero(codes == k)] for k in range(n_classes)]
    low, high = ([extreme(part, which) for part in parts] for which in ("min", "max"))
    return np.array(low), np.array(high)
