"""Covariance matrices of the coefficients: from the model, robust, and clustered."""

from __future__ import annotations

import numpy as np

from ...validation import complaint
from .likelihood import group_squares, score_squares
from .optimum import Optimum
from .rows import FittedRows

KINDS = ("model", "HC0", "HC1", "HC2", "HC3", "cluster")
_POWERS = {"HC2": 0.5, "HC3": 1.0}


def covariance_root(
    kind: str, rows: FittedRows, optimum: Optimum, *, correction: bool, frequency: bool, who: str
) -> np.ndarray:
    """Return a root R, shape (q p, q p), of the covariance matrix R R^T of coefficients for z.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    rows : FittedRows
        The rows, with groups if the kind is "cluster".
    optimum : Optimum
    correction : bool
        Whether the factor for small samples multiplies a clustered matrix.
    frequency : bool
        Whether a weight of k is k rows.
    who : str
        The name of the caller, for error messages.

    Raises
    ------
    ValueError
        If the kind is "HC2" or "HC3" and a row determines a coefficient by itself.
    """
    if kind == "model" and not optimum.is_penalised:
        return optimum.inverse.root()
    if kind == "model":
        squares = optimum.sums.information  # the scores' covariance, if the model is right
    elif kind == "cluster":
        squares = rows.sum(group_squares, optimum.theta, rows.groups)
    else:
        inverse = optimum.inverse.on_rows() if kind in _POWERS else None
        power = _POWERS.get(kind, 0.0)
        squares = rows.sum(score_squares, optimum.theta, inverse, power, frequency)
        if not np.isfinite(squares).all():
            got = f"{kind!r}, and the leverage of a row is 1"
            advice = "Such a row determines a coefficient by itself. Use 'HC0' or 'HC1'."
            raise ValueError(complaint(who, "covariance", "be defined", got, advice))
    root = optimum.inverse.sandwich_root(squares)
    size = rows.total_weight if frequency else rows.n
    left = size - optimum.df
    if kind == "HC1" or (kind == "cluster" and correction):
        if left <= 0:
            got = f"{size:g} rows and {optimum.df:.6g} coefficients"
            must = (
                "be used with more rows than coefficients because of its factor for small samples"
            )
            raise ValueError(complaint(who, "covariance", must, got, "Use 'HC0' or more rows."))
        g = n_groups(rows)
        factor = size / left if kind == "HC1" else g / (g - 1) * ((size - 1) / left)
        root *= np.sqrt(factor)
    return root


def n_groups(rows: FittedRows) -> int:
    """Return the number of groups; 0 if there are none."""
    return 0 if rows.groups is None else int(rows.groups.max()) + 1
