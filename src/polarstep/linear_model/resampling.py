"""Bootstrap samples as weights of rows."""

from __future__ import annotations

import numpy as np


def bootstrap_weights(
    n_resamples: int,
    weight: np.ndarray,
    rng: np.random.Generator,
    *,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw bootstrap samples, and return them as row weights that sum to 1.

    A bootstrap sample draws n of n rows with replacement, or G of G groups of rows. It is
    equivalent to weights that count how often each row was drawn, whose distribution is
    multinomial.

    Parameters
    ----------
    n_resamples : int
        The number F of samples.
    weight : ndarray, shape (n,)
        The weights of the rows, which multiply the counts. Rows of weight zero are not drawn.
    rng : numpy.random.Generator
    groups : ndarray of int, shape (n,), optional
        The group of each row, from 0. A group is drawn as a whole, if one of its rows has a
        positive weight.

    Returns
    -------
    weights : ndarray, shape (F, n)
        The weights of the rows in each sample. They take 8 F n bytes.
    totals : ndarray, shape (F,)
        The sums of the weights before they were scaled to sum to 1.
    """
    present = weight > 0
    if groups is not None:
        present = np.bincount(groups, present) > 0
    n = int(present.sum())
    counts = rng.multinomial(n, present / n, size=n_resamples)
    if groups is not None:
        counts = counts[:, groups]
    weights = counts * weight
    totals = weights.sum(axis=1)
    weights /= totals[:, None]
    return weights, totals
