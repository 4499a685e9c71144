"""The start of the solver: the best point on the line S^-1 u.

For Gaussian data every critical point of f lies on this line, so that only a length and an
intercept remain to be found. Erdogdu, Bayati and Dicker call the result the scaled least squares
estimator.

References
----------
Erdogdu, Bayati and Dicker, "Scaled least squares estimator for GLMs in large-scale problems",
NeurIPS 2016.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .metric import HessianMetric
from .problem import Plane, Point, Problem, require_finite


def start_on_line(problem: Problem) -> tuple[np.ndarray, HessianMetric]:
    """Return the best point on the line S^-1 u, and the second moments S as a metric there."""
    samples, (G, diagonal) = problem.samples, problem.second_moments()
    zero = require_finite(problem.evaluate(np.zeros(samples.d + problem.intercept)))
    # For Gaussian z the Hessian is (E phi'') S; E phi'' is known only after the length is fitted.
    largest = samples.loss.sup_curvature
    if diagonal is not None:
        diagonal = largest * diagonal
    S = HessianMetric(largest * G, problem.columns, problem.penalty, problem.intercept, diagonal)
    theta, margins = fit_length(problem, zero, -S.solve(zero.gradient))
    return theta, S.times(samples.total(samples.curvatures(margins)) / largest)


def fit_length(problem: Problem, point: Point, p: np.ndarray) -> tuple[np.ndarray, Any]:
    """Fit the length along p and the intercept, from theta = 0, by Newton's method.

    A bounded loss can have several local optima in the length; the search then starts at the best
    of a few lengths.

    Returns
    -------
    theta : ndarray
    margins : ndarray or Parts
        The margins at theta.
    """
    f = Plane(problem, point, p)
    t, h = 1.0, 0.0
    if not problem.convex:
        unit = f.samples.root_mean_square(f.change)
        t = min(2.0 ** np.arange(-2, 6) / (unit if unit > 0 else 1.0), key=lambda t: f(t)[0])
    now = f(t, h)
    for _ in range(50):
        dt, dh = newton_step(now, problem.intercept)
        decrement = -0.5 * (now[1] * dt + now[2] * dh)
        if not decrement > 1e-4 * abs(now[0]):
            break
        size = 1.0
        new = f(t + dt, h + dh)
        while not new[0] <= now[0] - 1e-4 * size * decrement and size > 1e-9:
            size *= 0.3
            new = f(t + size * dt, h + size * dh)
        if not new[0] < now[0]:
            break
        t, h, now = t + size * dt, h + size * dh, new
    theta = t * p
    if problem.intercept:
        theta[-1] += h
    return theta, f.samples.move(point.margins, f.change, t, h)


def newton_step(f: np.ndarray, with_intercept: bool) -> tuple[float, float]:
    """Return the Newton step -H^-1 g in (t, h), or in t alone, from the six values of a `Plane`.

    Negative eigenvalues of H are replaced by their absolute values.
    """
    _, ft, fh, ftt, fth, fhh = (float(value) for value in f)
    if not with_intercept:
        return -ft / max(abs(ftt), 1e-300), 0.0
    determinant = ftt * fhh - fth * fth
    if ftt > 0 and determinant > 1e-12 * ftt * fhh:
        return (fth * fh - fhh * ft) / determinant, (fth * ft - ftt * fh) / determinant
    values, vectors = np.linalg.eigh([[ftt, fth], [fth, fhh]])
    values = np.maximum(np.abs(values), 1e-14 * np.abs(values).max() + 1e-300)
    dt, dh = -vectors @ (vectors.T @ [ft, fh] / values)
    return float(dt), float(dh)
