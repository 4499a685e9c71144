"""Expectations under a Gaussian: the trapezoid rule, which keeps its digits at any width."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

_REACH = 9.5  # standard units to either side: the density beyond holds less than 1e-20
_STEP = 0.4  # in standard units: resolves the density
_FINE = 0.2  # in units of the argument: resolves the integrand
_LARGEST_RATE = 2.0**18  # 25 million points, a second
_CHUNK = 1 << 16


def expectation(
    f: Callable[[np.ndarray], np.ndarray], mean: float, sd: float, rate: float | None = None
) -> np.ndarray:
    """E f(a) for a ~ N(mean, sd^2).

    Parameters
    ----------
    f : callable
        Takes an array of m points and returns an array whose last axis has length m; the other
        axes are several integrands that share their points.
    mean, sd : float
    rate : float, optional
        How fast f varies as a moves by one standard deviation; `sd` by default, which fits an f
        that varies on the scale of 1.

    Notes
    -----
    The step is min(0.4, 0.2/rate) in standard units, so that the density and the integrand are
    both resolved. For integrands that are analytic in a strip of half-width y around the real axis
    the trapezoid rule's error is of the order exp(-10 pi y) (Trefethen and Weideman, SIAM Review
    2014), at sd = 1000 as well, where Gauss-Hermite rules have lost every digit. Points and time
    grow with the rate; beyond 2^18 the answer is NaN.
    """
    return np.asarray(
        sum(f(mean + sd * x) @ weight for x, weight in _rule(sd if rate is None else rate))
    )


def expectation_2d(
    f: Callable[[np.ndarray, np.ndarray], np.ndarray], rates: tuple[float, float]
) -> np.ndarray:
    """E f(x1, x2) for independent standard normal x1, x2.

    `rates` says how fast the integrand varies with x1 and with x2, as `rate` does in `expectation`.
    `f` takes a column of x1 and a row of x2; the last two axes of what it returns run over them.
    """
    total: np.ndarray | float = 0.0
    for x2, weight2 in _rule(rates[1]):
        for x1, weight1 in _rule(rates[0], chunk=max(1, 4 * _CHUNK // len(x2))):
            total = total + np.einsum(
                "...ij,i,j->...", f(x1[:, None], x2[None, :]), weight1, weight2
            )
    return np.asarray(total)


def _rule(rate: float, chunk: int = _CHUNK) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Points in standard units and their weights, in chunks of bounded size."""
    if not rate <= _LARGEST_RATE:
        yield np.full(1, np.nan), np.full(1, np.nan)
        return
    h = min(_STEP, _FINE / rate) if rate > 0 else _STEP
    last = int(np.ceil(_REACH / h))
    for start in range(-last, last + 1, chunk):
        x = h * np.arange(start, min(start + chunk, last + 1))
        yield x, h / np.sqrt(2 * np.pi) * np.exp(-0.5 * x * x)
