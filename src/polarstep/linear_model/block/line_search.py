"""The lengths of the steps of all models of a block."""

from __future__ import annotations

import numpy as np

from .problem import BlockProblem

_MOST_TRIALS = 40  # largest number of lengths that are tried in a step


def take_steps(
    problem: BlockProblem,
    which: np.ndarray,
    theta: np.ndarray,
    start: np.ndarray,
    first: np.ndarray,
    p: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take the unit step along p where it satisfies the Wolfe conditions, else search a length.

    Each trial reads X once for the models that are still searching. The lengths follow from the
    secant of the slope within a bracket.

    Parameters
    ----------
    problem : BlockProblem
    which : ndarray of int, shape (b,)
        The indices of the models.
    theta : ndarray, shape (b, k, p)
        The current points.
    start, first : ndarray, shape (b,) and (b, k, p)
        The values and the gradients there.
    p : ndarray, shape (b, k, p)
        The directions.

    Returns
    -------
    length : ndarray, shape (b,)
        0 where no step lowers f.
    fun : ndarray, shape (b,)
    gradient : ndarray, shape (b, k, p)
    """
    slope = np.einsum("bkp,bkp->b", first, p)
    length, fun, gradient = np.zeros(len(p)), start.copy(), first.copy()
    low, high = np.zeros(len(p)), np.full(len(p), np.inf)
    slope_low, t = slope.copy(), np.ones(len(p))
    is_flat = -slope <= 1e-11 * np.abs(start)
    hopeless = -slope <= 1e-15 * np.abs(start)
    searching = np.arange(len(p))
    for trial in range(_MOST_TRIALS):
        f, g = problem.evaluate(
            theta[searching] + t[searching, None, None] * p[searching], which[searching]
        )
        s = np.einsum("bkp,bkp->b", g, p[searching])
        f0, s0, now = start[searching], slope[searching], t[searching]
        lower = f <= f0 + 1e-4 * now * s0
        lower |= is_flat[searching] & (f <= f0 * (1 + 1e-12))
        accepted = lower & (np.abs(s) <= 0.9 * np.abs(s0))
        better = accepted | (lower & (s < 0))  # the best length so far, if no other is found
        at = searching[better]
        length[at], fun[at], gradient[at] = now[better], f[better], g[better]
        rest = ~accepted
        if trial == 0:
            rest &= ~hopeless[searching]
        if not rest.any():
            break
        searching, s, now, rising = searching[rest], s[rest], now[rest], ~(lower & (s < 0))[rest]
        old_low, old_slope = low[searching], slope_low[searching]
        new_low = np.where(rising, old_low, now)
        high[searching] = np.where(rising, now, high[searching])
        with np.errstate(all="ignore"):
            secant = old_low - old_slope * (now - old_low) / (s - old_slope)
        low[searching], slope_low[searching] = new_low, np.where(rising, old_slope, s)
        top = high[searching]
        closed = np.isfinite(top)
        gap = np.where(closed, top - new_low, now)
        middle = np.where(closed, np.where(new_low == 0, 0.1 * top, 0.5 * (new_low + top)), 4 * now)
        edge = 0.01 * gap
        inside = np.isfinite(secant) & (secant > new_low + edge)
        inside &= np.where(closed, secant < top - edge, secant <= 10.0 * now)
        t[searching] = np.where(inside, secant, middle)
        going = np.where(closed, gap > 1e-14 * top, now < 1e12)
        searching = searching[going]
        if not len(searching):
            break
    return length, fun, gradient
