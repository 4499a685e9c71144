"""The cap ||wt||_S <= max_length."""

from __future__ import annotations

import numpy as np

from ..moments import Moments
from .objective import Objective, Ray


def cap_length(objective: Objective, ray: Ray, g: float) -> float:
    """Return the length g, clipped so that ||g v||_S <= max_length.

    Parameters
    ----------
    objective : Objective
        The objective, which has the cap.
    ray : Ray
        The ray along v.
    g : float
        The length.

    Returns
    -------
    float
        The length within the cap.
    """
    limit = objective.max_length / np.sqrt(ray.squared) if ray.squared > 0 else np.inf
    return float(np.clip(g, -limit, limit))


def project_to_ball(moments: Moments, wt: np.ndarray, radius: float) -> np.ndarray:
    """Return the Euclidean projection of wt onto the ball ||wt||_S <= radius.

    Parameters
    ----------
    moments : Moments
        The moments that define the norm.
    wt : ndarray, shape (d,)
        The weight.
    radius : float
        The radius of the ball.

    Returns
    -------
    ndarray, shape (d,)
        The closest point of the ball: wt itself if it is inside.

    Notes
    -----
    The projection is (I + t S)^-1 wt for the t >= 0 at which its S-norm is `radius`.
    """
    if not radius < moments.norm(wt) < np.inf:
        return wt
    from scipy.optimize import brentq

    values, vectors = moments.eigen
    coordinates = vectors.T @ wt

    def excess(t: float) -> float:
        return float(np.sqrt(values @ np.square(coordinates / (1 + t * values)))) - radius

    if not excess(0.0) > 0:  # wt is outside only by a rounding error
        return wt * (radius / moments.norm(wt))
    high = 1.0 / moments.L
    while excess(high) > 0:
        high *= 4
    t = brentq(excess, 0.0, high, xtol=1e-16 * high, rtol=1e-15)
    projected = vectors @ (coordinates / (1 + t * values))
    return projected * (radius / moments.norm(projected))
