"""What a run without a penalty needs besides: the search for separation, and the least norm.

Without a penalty a loss that falls forever has no minimum if a hyperplane separates the classes,
and the minimum is not unique if columns are collinear.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..result import Result, Separation, Status
from .least_norm import LeastNorm
from .separation import leading_features, separating_direction, spreads
from .solver.problem import Problem
from .solver.weighted_rows import WeightedRows

_SAME = 1e-9  # margins below this share of their root mean square are rounding errors


def settle(
    result: Result,
    samples: WeightedRows[Any],
    inside: Problem,
    least_norm: LeastNorm,
    centre: np.ndarray,
    rng: np.random.Generator,
) -> Result:
    """Complete the result of a run without a penalty.

    Parameters
    ----------
    result : Result
        Its ``x`` is (w, b) for features minus their centre.
    samples : WeightedRows
        The rows with the labels -1 and +1 and the loss of the run.
    inside : Problem
        The problem that was solved, in its own coordinates.
    least_norm : LeastNorm
        The projection in these coordinates.
    centre : ndarray, shape (d,)
        The centre of the features as they were given.
    rng : numpy.random.Generator
        The source of subsamples.

    Returns
    -------
    Result
        The result with the status `separable` if a hyperplane separates the classes and the loss
        falls forever. Its ``x`` is the one of least norm with the same margins.
    """
    if result.status is Status.interrupted:
        return result
    result = with_separation(result, samples, inside.intercept, centre, rng)
    coordinates = inside.coordinates
    return replace(result, x=coordinates.leave(least_norm.of(coordinates.enter(result.x))))


def with_separation(
    result: Result,
    samples: WeightedRows[Any],
    intercept: bool,
    centre: np.ndarray,
    rng: np.random.Generator,
) -> Result:
    """Return the result with the status `separable` if a hyperplane separates the classes.

    The result stays as it is if the loss has a minimum then, or if the run was interrupted. The
    arguments are those of `settle` and `find_separation`.
    """
    if result.status is Status.interrupted or not samples.loss.falls_forever:
        return result
    separation = find_separation(samples, result.x, intercept, centre, rng)
    if separation is None:
        return result
    return replace(result, status=Status.separable, separation=separation)


def find_separation(
    samples: WeightedRows[Any],
    theta: np.ndarray,
    intercept: bool,
    centre: np.ndarray,
    rng: np.random.Generator,
) -> Separation | None:
    """Return the separation of rows with the labels -1 and +1, or None.

    Parameters
    ----------
    samples : WeightedRows
    theta : ndarray, shape (d,) or (d + 1,)
        The optimum that a run found, as (w, b) for features minus their centre.
    intercept : bool
        Whether there is an intercept.
    centre : ndarray, shape (d,)
        The centre of the features as they were given. The solver may have shifted them.
    rng : numpy.random.Generator
        The source of subsamples of rows that are not in memory.
    """
    d = samples.d
    w, b = theta[:d], float(theta[d]) if intercept else 0.0
    found = samples.in_memory()
    if found is not None:
        X, y = found
        start = np.append(w, b - samples.centre @ w)[None]
        direction = separating_direction(X, y, samples.weight, fit_intercept=intercept, start=start)
        spread = spreads(X) if direction is not None else np.ones(d)
    else:
        direction, spread = _on_workers(samples, w, b, intercept, rng)
    if direction is None:
        return None
    features = leading_features(direction, spread)
    offset = direction[:, -1] + direction[:, :-1] @ (samples.centre - centre)
    return Separation(np.column_stack([direction[:, :-1], offset]), features)


def _on_workers(
    samples: WeightedRows[Any],
    w: np.ndarray,
    b: float,
    intercept: bool,
    rng: np.random.Generator,
) -> tuple[np.ndarray | None, np.ndarray]:
    """Return a direction that separates all rows, and the spread of the columns.

    The weights themselves are tried first, then a direction that separates a subsample. A direction
    that only a few rows reveal is not found.
    """
    spread = np.sqrt(samples.squares(samples.weight))
    if samples.largest(samples.project(w, b)) < 0:
        return np.append(w, b - samples.centre @ w)[None], spread
    found = samples.subsample(max(2_000, 20 * samples.d), rng).in_memory()
    if found is None:
        return None, spread
    direction = separating_direction(*found, fit_intercept=intercept)
    if direction is not None:
        v, c = direction[0, :-1], float(direction[0, -1])
        margins = samples.project(v, c + float(samples.centre @ v))
        if samples.largest(margins) <= _SAME * samples.root_mean_square(margins):
            return direction, spread
    return None, spread
