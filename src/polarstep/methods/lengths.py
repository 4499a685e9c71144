"""Length rules: the next g of a method.

A rule is made by a function ``rule(objective, parameterization, **options)``, whose keyword-only
arguments are its options. The rule itself is a function that maps the iterate and the ray along
the new direction to the next g.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..validation import number, whole_number
from .cap import cap_length
from .iterate import Iterate
from .objective import Objective, Ray
from .parameterization import Parameterization, batch_norm
from .roots import bisect, bracket, brent, newton, slope_at
from .steps import checked_step_size

LengthRule = Callable[[Iterate, Ray], float]


def fixed_length(objective: Objective, parameterization: Parameterization) -> LengthRule:
    """Return the rule for the plain parameterization wt = w: the length is always 1.

    Parameters
    ----------
    objective : Objective
        The objective.
    parameterization : Parameterization
        The plain parameterization.

    Returns
    -------
    callable
        The length rule.
    """
    return lambda it, ray: 1.0


def constant_length_step(
    objective: Objective,
    parameterization: Parameterization,
    *,
    length_step_size: float | None = None,
) -> LengthRule:
    """Return the rule of gradient descent on the length, g - length_step_size d_g f.

    Parameters
    ----------
    objective : Objective
        The objective.
    parameterization : Parameterization
        The parameterization of wt by w and g.
    length_step_size : float, optional
        The step size. By default it is 1/`Objective.curvature` in the metric S and
        1/`Objective.smoothness` in the Euclidean one.

    Returns
    -------
    callable
        The length rule. It uses the derivative at the current iterate, so that length and direction
        step at the same time.
    """
    if length_step_size is not None:
        eta = number(length_step_size, "minimize", "length_step_size", above=0)
    else:
        eta = checked_step_size(objective, None)
        if parameterization is batch_norm:
            eta = 1.0 / objective.curvature

    def rule(it: Iterate, ray: Ray) -> float:
        slope = float(it.ray.v @ it.gradient)
        return cap_length(objective, ray, it.g - eta * slope)

    return rule


def length_search(
    objective: Objective,
    parameterization: Parameterization,
    *,
    bisection_steps: int | None = None,
) -> LengthRule:
    """Return the rule that goes to the root of the slope along the new direction.

    Parameters
    ----------
    objective : Objective
        The objective.
    parameterization : Parameterization
        The parameterization with the metric S.
    bisection_steps : int, optional
        T_s, the number of times that the bracket is halved, as in Algorithm 1. By default
        Newton's method, started at the current length, finds the root up to rounding; if it fails,
        Brent's method does.

    Returns
    -------
    callable
        The length rule. It raises `Stopped` if no length is optimal.

    Notes
    -----
    The root is sought on the side of g = 0 on which f decreases. Each evaluation costs O(n) and no
    pass over X; Newton's method usually needs one to three. Least squares has a formula for the
    root.
    """
    halvings = None
    if bisection_steps is not None:
        halvings = whole_number(bisection_steps, "minimize", "bisection_steps", at_least=1)

    def rule(it: Iterate, ray: Ray) -> float:
        if ray.stationary is not None:
            return cap_length(objective, ray, ray.stationary)
        side = -np.sign(slope_at(ray, 0.0))
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
