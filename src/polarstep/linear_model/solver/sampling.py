"""Drawing a subsample: the number of rows of each class, and the rows of a class."""

from __future__ import annotations

import numpy as np


def class_shares(m: int, sizes: list[int]) -> list[int]:
    """Return how many rows to draw from each of K classes of these sizes, about m in all.

    The shares are proportional to the sizes, but at least m/(2 K) rows are drawn from each class
    that has that many. This is case-control sampling, as in Fithian and Hastie (2014).
    """
    n, least = sum(sizes), m // (2 * len(sizes))
    return [min(size, max(round(m * size / n), least)) for size in sizes]


def rows_of_classes(y: np.ndarray, weight: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Return, for each of the labels, the rows of positive weight that carry it."""
    classes = [np.flatnonzero(y == label) for label in labels]
    if not weight.all():
        classes = [rows[weight[rows] > 0] for rows in classes]
    return classes


def draw_in_order(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw about `count` of the rows, one from each of as many stretches of equal length.

    The rows keep their order, so that they are read from memory in order.
    """
    places = (np.arange(count) + rng.random(count)) * (len(rows) / count)
    chosen = rows[np.minimum(places.astype(np.intp), len(rows) - 1)]
    return chosen[np.append(True, np.diff(chosen) > 0)]  # neighbouring stretches may share a row
