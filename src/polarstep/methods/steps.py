"""Direction rules and length rules, the two halves of every method.

A rule is made by a function ``rule(objective, parameterization, **options)`` and is itself a
function: a direction rule takes the iterate and returns the next w, a length rule takes the iterate
and the ray along the new direction and returns the next g. Its keyword arguments are its options.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..moments import Moments
from ..validation import complaint, number, whole_number
from .objectives import GaussianHalfspace, LeastSquares, Objective, Ray
from .parameterization import Parameterization, batch_norm, plain

LARGEST_LENGTH = 2.0**16  # a root of the slope further out than this counts as none


@dataclass(frozen=True)
class Iterate:
    """A point of a trajectory: wt = g * ray.v, with the gradient there."""

    w: np.ndarray
    g: float
    ray: Ray
    gradient: np.ndarray
    at_cap: bool = False  # on the sphere ||wt||_S = max_length, with f falling outwards

    @property
    def wt(self) -> np.ndarray:
        """The weight that multiplies x."""
        return self.g * self.ray.v


class OrthogonalStart(Exception):
    """u^T w_0 is zero to rounding: the direction step is not defined."""


class NoLengthRoot(Exception):
    """The slope along a direction keeps its sign out to LARGEST_LENGTH."""


class NotANumber(Exception):
    """The slope along a direction is NaN, so that no search can go on."""


DirectionRule = Callable[[Iterate], np.ndarray]
LengthRule = Callable[[Iterate, Ray], float]


# --------------------------------------------------------------------------- direction rules


def constant_step(
    objective: Objective, parameterization: Parameterization, *, step_size: float | None = None
) -> DirectionRule:
    """w - step_size grad_w f.

    The default step is 1/B, with B the bound on the largest eigenvalue of the Hessian, times
    ||w_0||^2 in the norm of the parameterization. B is C L, C the bound on the curvature of f in
    the metric S; an l2 penalty alpha adds alpha to it.
    """
    moments = objective.moments
    eta = _step(objective, step_size)
    scale: float | None = None if step_size is None else 1.0

    def rule(it: Iterate) -> np.ndarray:
        nonlocal scale
        if scale is None:
            scale = parameterization.norm(moments, it.w) ** 2
        if parameterization is plain:
            return project_to_ball(moments, it.w - eta * it.gradient, objective.max_length)
        # On the cap the weight is max_length * w/||w||_S whatever the parameterization.
        chart, g = parameterization, it.g
        if it.at_cap:
            chart, g = batch_norm, np.copysign(objective.max_length, it.g)
        return it.w - eta * scale * chart.pull_back(moments, it.w, g, it.gradient)[0]

    return rule


def nesterov(
    objective: Objective, parameterization: Parameterization, *, step_size: float | None = None
) -> DirectionRule:
    """Nesterov's accelerated gradient: x = y - step_size grad f(y), y = x + k/(k+3) (x - x_before).

    The iterate is y, the point where the gradient is taken. Default step as in `constant_step`.
    Source: Nesterov 1983; the momentum as in Su, Boyd and Candes 2016.
    """
    moments, eta = objective.moments, _step(objective, step_size)
    before: np.ndarray | None = None
    k = 0

    def rule(it: Iterate) -> np.ndarray:
        nonlocal before, k
        x = project_to_ball(moments, it.w - eta * it.gradient, objective.max_length)
        y = x if before is None else x + k / (k + 3) * (x - before)
        before, k = x, k + 1
        return project_to_ball(moments, y, objective.max_length)

    return rule


def theorem_step(
    objective: Objective, parameterization: Parameterization, *, step_size: float | None = None
) -> DirectionRule:
    """The direction step of Theorems 1 and 2: w - s grad_w f, s = -step ||w||_S^3/(g c1 u^T w).

    On Gaussian data, and for least squares on any, it is
    w - step (S w - u ||w||_S^2/(u^T w)), whatever the loss and the length. The default step is
    1/L, the theorem's; a constant step up to 2/L, for instance 2/(L + mu), is faster. With an l2
    penalty, which the theorems do not cover, c1 u^T w gives way to a number by which the default is
    as safe as it is without (see `objectives.DataRay.step_scale`).
    Source: Kohler et al. 2019, Algorithm 1.
    """
    moments = objective.moments
    eta = 1.0 / moments.L if step_size is None else _step(objective, step_size)
    started = False

    def rule(it: Iterate) -> np.ndarray:
        nonlocal started
        if not started:
            parts = moments.u * it.w
            if abs(parts.sum()) <= len(parts) * np.finfo(float).eps * np.abs(parts).sum():
                raise OrthogonalStart
            started = True
        h = it.ray.step_scale(it.g)
        if h == 0:
            return it.ray.v
        # s grad_w f does not depend on g; at g = 1 it is also defined where g = 0. The scale of w
        # does not matter either: the iterate's v has ||v||_S = 1, and |h| (w - s grad_w f) is
        # finite for the smallest h.
        tangent, _ = parameterization.pull_back(moments, it.ray.v, 1.0, it.gradient)
        w = abs(h) * it.ray.v + np.sign(h) * eta * tangent
        return w / np.abs(w).max()

    return rule


def whitened_direction(objective: Objective, parameterization: Parameterization) -> DirectionRule:
    """S^-1 u, the line that holds every critical point: for objectives that are all moments.

    Source: Theorems 1 and 2. On a sample it is only where `whitened` starts from.
    """
    if not isinstance(objective, (LeastSquares, GaussianHalfspace)):
        must = "be a LeastSquares, Halfspace or GaussianHalfspace with this method"
        got = f"a {type(objective).__name__}"
        raise TypeError(complaint("minimize (whitened)", "objective", must, got))
    moments = objective.moments

    def rule(it: Iterate) -> np.ndarray:
        return moments.solve(moments.u) if moments.u.any() else it.w

    return rule


def _step(objective: Objective, step_size: float | None) -> float:
    """The given step size, or 1/B."""
    if step_size is not None:
        return number(step_size, "minimize", "step_size", above=0)
    if not 0 < objective.curvature < np.inf:
        got = "none, and the curvature of the loss has no finite bound to set a default by"
        advice = "Pass step_size=..., or give the MarginLoss its `curvature`."
        raise ValueError(complaint("minimize", "step_size", "be given", got, advice))
    return 1.0 / objective.smoothness


# --------------------------------------------------------------------------- length rules


def fixed_length(objective: Objective, parameterization: Parameterization) -> LengthRule:
    """No length of its own: wt is w itself, and the ray's length is 1."""
    return lambda it, ray: 1.0


def constant_length_step(
    objective: Objective,
    parameterization: Parameterization,
    *,
    length_step_size: float | None = None,
) -> LengthRule:
    """g - length_step_size d_g f, taken at the old point, together with the direction's step.

    The default step is 1/C in the metric S and 1/B in the Euclidean one, B as in `constant_step`.
    """
    if length_step_size is not None:
        eta = number(length_step_size, "minimize", "length_step_size", above=0)
    else:
        eta = _step(objective, None)
        if parameterization is batch_norm:
            eta = 1.0 / objective.curvature

    def rule(it: Iterate, ray: Ray) -> float:
        slope = float(it.ray.v @ it.gradient)
        return capped(objective, ray, it.g - eta * slope)

    return rule


def length_search(
    objective: Objective,
    parameterization: Parameterization,
    *,
    bisection_steps: int | None = None,
) -> LengthRule:
    """The length where the slope along the new direction vanishes, on the side where f falls.

    With `bisection_steps` = T_s the bracket is halved T_s times, as in Algorithm 1. By default the
    root is found to rounding: by Newton's method from the length before, which takes one to three
    steps, and where that does not settle by Brent's method in the bracket. Each evaluation costs
    O(n) and no pass over X. Least squares uses its formula.
    """
    halvings = None
    if bisection_steps is not None:
        halvings = whole_number(bisection_steps, "minimize", "bisection_steps", at_least=1)

    def rule(it: Iterate, ray: Ray) -> float:
        if ray.stationary is not None:
            return capped(objective, ray, ray.stationary)
        side = -np.sign(_slope(ray, 0.0))
        if side == 0:
            return 0.0
        limit = objective.max_length / np.sqrt(ray.squared)
        start = abs(it.g) or 1.0
        if halvings is None:
            root = newton(ray, side * start, limit)
            if root is not None:
                return root
        a, b = bracket(ray, side, start, limit)
        if a == b:
            return b
        return brent(ray, a, b) if halvings is None else bisect(ray, a, b, halvings)

    return rule


def bracket(
    ray: Ray, side: float, start: float = 1.0, limit: float = np.inf
) -> tuple[float, float]:
    """(a_0, b_0) with a sign change of the slope, by doubling; both at the cap if it comes first.

    Raises
    ------
    NoLengthRoot
        If the slope keeps its sign out to LARGEST_LENGTH.
    NotANumber
        If the slope is NaN on the way.
    """
    low, high = 0.0, min(start, limit)
    while side * _slope(ray, side * high) <= 0:
        if high >= limit:
            return side * limit, side * limit
        if high >= LARGEST_LENGTH:
            raise NoLengthRoot
        low, high = high, min(2 * high, limit)
    return side * low, side * high


def bisect(ray: Ray, a: float, b: float, halvings: int) -> float:
    """The middle of [a, b] after halving it around a root of the slope, `halvings` times."""
    sign = np.sign(_slope(ray, b))
    for _ in range(halvings):
        middle = 0.5 * (a + b)
        a, b = (a, middle) if _slope(ray, middle) * sign > 0 else (middle, b)
    return 0.5 * (a + b)


def newton(ray: Ray, start: float, limit: float, max_steps: int = 8) -> float | None:
    """The root of the slope near `start`; None if the iteration leaves the side or does not settle.

    A step below 1e-7 of the length is the last: what it leaves over is of the order of its square.
    """
    g = start
    for _ in range(max_steps):
        curvature = ray.curvature(g)
        if not curvature > 0:
            return None
        step = _slope(ray, g) / curvature
        g -= step
        if not 0 < g * np.sign(start) < min(limit, LARGEST_LENGTH):
            return None
        if abs(step) <= 1e-7 * abs(g):
            return g
    return None


def brent(ray: Ray, a: float, b: float) -> float:
    """The root of the slope in [a, b], to rounding."""
    from scipy.optimize import brentq

    xtol = 1e-13 * max(abs(a), abs(b))
    return float(brentq(partial(_slope, ray), a, b, xtol=xtol, rtol=1e-13))


def _slope(ray: Ray, g: float) -> float:
    slope = ray.slope(g)
    if np.isnan(slope):
        raise NotANumber
    return slope


# --------------------------------------------------------------------------- the cap


def capped(objective: Objective, ray: Ray, g: float) -> float:
    """g, cut so that ||g v||_S <= max_length."""
    limit = objective.max_length / np.sqrt(ray.squared) if ray.squared > 0 else np.inf
    return float(np.clip(g, -limit, limit))


def project_to_ball(moments: Moments, wt: np.ndarray, radius: float) -> np.ndarray:
    """The Euclidean projection of wt onto {||wt||_S <= radius}.

    It is (I + t S)^-1 wt for the t >= 0 at which the S-norm is `radius`.
    """
    if not radius < moments.norm(wt) < np.inf:
        return wt
    from scipy.optimize import brentq

    values, vectors = moments.eigen
    coordinates = vectors.T @ wt

    def excess(t: float) -> float:
        return float(np.sqrt(values @ np.square(coordinates / (1 + t * values)))) - radius

    if not excess(0.0) > 0:  # outside by a rounding error only
        return wt * (radius / moments.norm(wt))
    high = 1.0 / moments.L
    while excess(high) > 0:
        high *= 4
    t = brentq(excess, 0.0, high, xtol=1e-16 * high, rtol=1e-15)
    projected = vectors @ (coordinates / (1 + t * values))
    return projected * (radius / moments.norm(projected))
