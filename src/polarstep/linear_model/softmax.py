"""Softmax regression of several classes by the solver for blocks of models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..result import Progress, Result
from .block.data import BlockData
from .block.families import Softmax
from .block.models import Models
from .block.problem import NotFinite
from .block.solve import solve_block
from .unpenalised_softmax import settle_softmax

ABSENT_INTERCEPT = float(np.log(np.finfo(float).tiny))
"""The intercept of a class of no weight: its probability is below 3e-308. The optimum is -inf."""


def solve_softmax(
    rows: BlockData,
    n_classes: int,
    alpha: float,
    start: np.ndarray | None,
    *,
    centre: np.ndarray,
    intercept: bool,
    tol: float,
    max_iter: int,
    rng: np.random.Generator,
    callback: Callable[[Progress], Any] | None,
    who: str,
) -> Result:
    """Minimise the penalised mean cross-entropy of softmax regression.

    Parameters
    ----------
    rows : BlockData
        The rows, whose weights sum to 1, with the indices of their classes.
    n_classes : int
        The number of classes K.
    alpha : float
        The l2 penalty.
    start : ndarray, shape (K, d) or (K, d + 1), or None
        The weights, and the intercepts if there are any, for features minus their centre.
    centre : ndarray, shape (d,)
        The centre of the features as they were given.
    intercept : bool
    tol, max_iter, rng, callback
        As for `solve_block`.
    who : str
        The name of the caller, for error messages.

    Returns
    -------
    Result
        Its ``x`` has one row for each class, and the sum of the rows is zero. Its ``length`` is
        NaN, because the classes have no length in common.
    """
    try:
        found = solve_block(
            rows, Softmax(n_classes), Models.of([alpha]), intercept=intercept, tol=tol,
            max_iter=max_iter, rng=rng, start=None if start is None else start[None],
            callback=callback,
        )  # fmt: skip
    except NotFinite:
        rows.raise_not_finite(who)
        raise
    result = Result.from_rows(
        found.rows, status=found.status[0], method="whitened", n_passes=round(found.passes),
        gap=float(found.gap[0]),
    )  # fmt: skip
    result = replace(result, x=found.theta[0])
    return result if alpha else settle_softmax(result, rows, intercept, centre, rng)


def without_absent(codes: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes that have rows, and the indices of the rows' classes among these."""
    present = np.flatnonzero(np.bincount(codes, minlength=n_classes))
    return present, (codes if len(present) == n_classes else np.searchsorted(present, codes))


def with_absent(theta: np.ndarray, present: np.ndarray, n_classes: int) -> np.ndarray:
    """Return (w, b) of all classes, in which classes that have no rows are never predicted.

    Their weights are zero, as the penalty makes them while their probability vanishes.
    """
    full = np.zeros((n_classes, theta.shape[1]))
    full[:, -1] = ABSENT_INTERCEPT
    full[present] = theta
    return full
