"""How the rows of a subsample are drawn: the share of each class, and the rows of a class."""

from __future__ import annotations

import numpy as np


def class_shares(m: int, sizes: list[int]) -> list[int]:
    """The numbers of rows to draw from K classes of these sizes, about m in all.

    They are in proportion to the sizes, but at least m/(2 K) rows come from each class that has as
    many. (Case-control sampling, as in Fithian and Hastie 2014.)
    """
    n, least = sum(sizes), m // (2 * len(sizes))
    return [min(size, max(round(m * size / n), least)) for size in sizes]


def rows_of_classes(y: np.ndarray, weight: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """The rows of positive weight that carry each of the labels."""
    classes = [np.flatnonzero(y == label) for label in labels]
    if not weight.all():
        classes = [rows[weight[rows] > 0] for rows in classes]
    return classes


def draw_in_order(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """About `count` of the rows, one from every stretch of equal length, in their order.

    Rows that keep their order are read from memory in order, too.
    """
    places = (np.arange(count) + rng.random(count)) * (len(rows) / count)
    chosen = rows[np.minimum(places.astype(np.intp), len(rows) - 1)]
    return chosen[np.append(True, np.diff(chosen) > 0)]  # neighbouring stretches may share a row
