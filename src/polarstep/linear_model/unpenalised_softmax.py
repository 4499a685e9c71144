"""What softmax regression without a penalty needs besides: separation, and the least norm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..result import Result, Separation, Status
from .block.data import BlockData
from .block.families import Softmax
from .block.models import Models
from .least_norm import LeastNorm
from .separation import leading_features, separating_direction, spreads

_FAR = 1e10  # the size of scores, in units of their spread, at which only the highest one counts
_SAME = 1e-9  # differences of scores below this share of their spread are rounding errors


def settle_softmax(
    result: Result,
    rows: BlockData,
    intercept: bool,
    centre: np.ndarray,
    rng: np.random.Generator,
) -> Result:
    """Complete the result of softmax regression without a penalty.

    Parameters
    ----------
    result : Result
        Its ``x`` is (w, b) for features minus their centre, with one row for each class.
    rows : BlockData
    intercept : bool
        Whether there are intercepts.
    centre : ndarray, shape (d,)
        The centre of the features as they were given. The solver may have shifted them.
    rng : numpy.random.Generator
        The source of subsamples of rows that are not in memory.

    Returns
    -------
    Result
        The result with the status `separable` if hyperplanes separate the classes, wholly or in
        part. Its ``x`` is the one of least norm with the same probabilities.
    """
    if result.status is Status.interrupted:
        return result
    separation = find_separation(rows, result.x, intercept, centre, rng)
    least_norm = LeastNorm(rows.samples, intercept)
    x = np.array([least_norm.of(theta) for theta in result.x])
    x -= x.mean(axis=0)
    if separation is None:
        return replace(result, x=x)
    return replace(result, x=x, status=Status.separable, separation=separation)


def find_separation(
    rows: BlockData,
    theta: np.ndarray,
    intercept: bool,
    centre: np.ndarray,
    rng: np.random.Generator,
) -> Separation | None:
    """Return the separation of the classes, or None; the arguments are those of `settle_softmax`.

    If the rows are not in memory, the weights themselves and a direction that separates a subsample
    are checked on all of them. A direction that only a few rows reveal is then not found.
    There is no search if a class has no rows, which happens without an intercept only.
    """
    if np.count_nonzero(rows.totals) < len(theta):
        return None
    d, shift = rows.d, rows.centre
    start = np.column_stack([theta[:, :d], -theta[:, :d] @ shift])
    if intercept:
        start[:, -1] += theta[:, d]
    inside = rows.in_memory()
    if inside is None:
        spread = np.sqrt(rows.samples.squares(rows.samples.weight))
        size = np.linalg.norm(start[:, :d] * spread)
        direction: np.ndarray | None = start / size if size > 0 else None
        if direction is None or not separates(rows, direction, intercept):
            some = rows.subsample(max(2_000, 20 * d), rng)
            direction = separating_direction(some.matrix.X, some.codes, fit_intercept=intercept)
            if direction is not None and not separates(rows, direction, intercept):
                direction = None
    else:
        X = inside.matrix.X
        direction = separating_direction(
            X, inside.codes, inside.weights[0], fit_intercept=intercept, start=start
        )
        spread = spreads(X) if direction is not None else np.ones(d)
    if direction is None:
        return None
    features = leading_features(direction, spread)
    offset = direction[:, -1] + direction[:, :-1] @ (shift - centre)
    return Separation(np.column_stack([direction[:, :-1], offset]), features)


def separates(rows: BlockData, direction: np.ndarray, intercept: bool) -> bool:
    """Whether no row loses along a direction, whose scores have a spread of about 1.

    Parameters
    ----------
    rows : BlockData
    direction : ndarray, shape (K, d + 1)
        Weights and offsets for the features as the rows hold them.
    intercept : bool

    Notes
    -----
    Far out along the direction the slope of the cross-entropy is the weighted mean of the highest
    score minus the score of the row's class, which is never negative. One read of X yields it.
    """
    v, n_classes = direction[:, :-1], len(direction)
    theta = np.column_stack([v, direction[:, -1] + v @ rows.centre]) if intercept else v
    _, gradient = rows.evaluate(Softmax(n_classes), Models.of([0.0]), _FAR * theta[None], intercept)
    return float(np.sum(gradient[0] * theta)) <= _SAME
