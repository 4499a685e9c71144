"""Plateaus: regions in which f is flat because its loss has levelled off on all margins."""

from __future__ import annotations

import numpy as np

from .iterate import Iterate

_NEARBY = (0.9, 1.1)  # factors of the length at which f is flat on a plateau
_FACTORS = np.concatenate([[0.0], 2.0 ** np.arange(-40.0, 0.0), 2.0 ** np.arange(0.5, 10.5)])


def is_on_plateau(it: Iterate, tol: float) -> bool:
    """Return whether an iterate is on a plateau, from which f falls along its own ray.

    Parameters
    ----------
    it : Iterate
        An iterate whose gradient has at most the norm tol.
    tol : float
        The tolerance of the run.

    Returns
    -------
    bool
        True if the slope along the ray is negligible nearby as well, and f is lower at another
        length by more than the gradient explains. For a convex f it is always False.
    """
    ray, g = it.ray, it.g
    size = float(np.sqrt(ray.squared))
    if g == 0 or size == 0:
        return False
    if any(abs(ray.slope(t * g)) > 2.0 * tol * size for t in _NEARBY):
        return False
    value = ray.value(g)
    explained = 2.0 * tol * abs(g) * size * np.abs(1.0 - _FACTORS) + 1e-10 * abs(value)
    values = np.array([ray.value(t * g) for t in _FACTORS])
    return bool((value - values > explained).any())
