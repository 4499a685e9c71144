"""Roots of the slope along a ray: bracketing, bisection, Newton's method and Brent's method."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..result import Status
from .iterate import Stopped
from .objective import Ray

LARGEST_LENGTH = 2.0**16  # a root beyond this length counts as missing
_NEWTON_STEPS = 8


def slope_at(ray: Ray, g: float) -> float:
    """Return the slope of a ray at g.

    Parameters
    ----------
    ray : Ray
        The ray.
    g : float
        The length.

    Returns
    -------
    float
        The slope d f(g v)/dg.

    Raises
    ------
    Stopped
        With the status `diverged` if the slope is NaN.
    """
    slope = ray.slope(g)
    if np.isnan(slope):
        raise Stopped(Status.diverged)
    return slope


def bracket(
    ray: Ray, side: float, start: float = 1.0, limit: float = np.inf
) -> tuple[float, float]:
    """Return an interval in which the slope changes its sign, found by doubling.

    Parameters
    ----------
    ray : Ray
        The ray.
    side : {-1.0, 1.0}
        The sign of the lengths to search.
    start : float, default 1
        The first length to try, > 0.
    limit : float, default infinity
        The largest length to try, > 0.

    Returns
    -------
    tuple of (float, float)
        The end closer to zero and the other end. Both equal the limit if f decreases up to it.

    Raises
    ------
    Stopped
        With the status `no_length_root` if the slope keeps its sign out to `LARGEST_LENGTH`.
    """
    low, high = 0.0, min(start, limit)
    while side * slope_at(ray, side * high) <= 0:
        if high >= limit:
            return side * limit, side * limit
        if high >= LARGEST_LENGTH:
            raise Stopped(Status.no_length_root)
        low, high = high, min(2 * high, limit)
    return side * low, side * high


def bisect(ray: Ray, a: float, b: float, halvings: int) -> float:
    """Return the middle of [a, b] after halving the interval around a root of the slope.

    Parameters
    ----------
    ray : Ray
        The ray.
    a, b : float
        The ends of an interval in which the slope changes its sign.
    halvings : int
        The number of times that the interval is halved.

    Returns
    -------
    float
        A length whose distance from the root is at most 2^-(halvings + 1) |b - a|.
    """
    sign = np.sign(slope_at(ray, b))
    for _ in range(halvings):
        middle = 0.5 * (a + b)
        a, b = (a, middle) if slope_at(ray, middle) * sign > 0 else (middle, b)
    return 0.5 * (a + b)


def newton(ray: Ray, start: float, limit: float) -> float | None:
    """Return the root of the slope near a start by Newton's method.

    Parameters
    ----------
    ray : Ray
        The ray.
    start : float
        The length to start from.
    limit : float
        The largest length allowed.

    Returns
    -------
    float or None
        The root. It is None if the iteration meets a curvature that is not positive, crosses zero,
        passes the limit or does not converge within eight steps.

    Notes
    -----
    The iteration ends with a step below 1e-7 of the length. Since the convergence is quadratic, the
    remaining error is of the order of the square of that step.
    """
    g = start
    for _ in range(_NEWTON_STEPS):
        curvature = ray.curvature(g)
        if not curvature > 0:
            return None
        step = slope_at(ray, g) / curvature
        g -= step
        if not 0 < g * np.sign(start) < min(limit, LARGEST_LENGTH):
            return None
        if abs(step) <= 1e-7 * abs(g):
            return g
    return None


def brent(ray: Ray, a: float, b: float) -> float:
    """Return the root of the slope in [a, b] to rounding, by Brent's method.

    Parameters
    ----------
    ray : Ray
        The ray.
    a, b : float
        The ends of an interval in which the slope changes its sign.

    Returns
    -------
    float
        The root.
    """
    from scipy.optimize import brentq

    xtol = 1e-13 * max(abs(a), abs(b))
    return float(brentq(partial(slope_at, ray), a, b, xtol=xtol, rtol=1e-13))
