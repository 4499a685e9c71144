"""Direction rules: the next w of a method.

A rule is made by a function ``rule(objective, parameterization, **options)``, whose keyword-only
arguments are its options. The rule itself is a function that maps the iterate to the next w.
`polarstep.methods.lengths` has the length rules, the other half of every method.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..result import Status
from ..validation import complaint, number, type_of
from .cap import project_to_ball
from .iterate import Iterate, Stopped
from .objective import Objective
from .parameterization import Parameterization, batch_norm, plain

DirectionRule = Callable[[Iterate], np.ndarray]


def constant_step(
    objective: Objective, parameterization: Parameterization, *, step_size: float | None = None
) -> DirectionRule:
    """Return the rule of gradient descent, w - step_size grad_w f.

    Parameters
    ----------
    objective : Objective
        The objective.
    parameterization : Parameterization
        The parameterization of wt by w and g.
    step_size : float, optional
        The step size. By default it is ||w_0||^2/B in the norm of the parameterization (1/B for the
        plain one), where B is `Objective.smoothness`, the bound on the largest eigenvalue of the
        Hessian.

    Returns
    -------
    callable
        The direction rule.

    Raises
    ------
    ValueError, TypeError
        If `step_size` is not > 0, or is left out where B is not finite.
    """
    moments = objective.moments
    eta = checked_step_size(objective, step_size)
    scale: float | None = None if step_size is None else 1.0

    def rule(it: Iterate) -> np.ndarray:
        nonlocal scale
        if scale is None:
            scale = parameterization.norm(moments, it.w) ** 2
        if parameterization is plain:
            return project_to_ball(moments, it.w - eta * it.gradient, objective.max_length)
        # On the cap the weight is max_length * w/||w||_S in every parameterization.
        chart, g = parameterization, it.g
        if it.at_cap:
            chart, g = batch_norm, np.copysign(objective.max_length, it.g)
        return it.w - eta * scale * chart.pull_back(moments, it.w, g, it.gradient)[0]

    return rule


def nesterov(
    objective: Objective, parameterization: Parameterization, *, step_size: float | None = None
) -> DirectionRule:
    """Return the rule of Nesterov's accelerated gradient descent.

    Parameters
    ----------
    objective : Objective
        The objective.
    parameterization : Parameterization
        The plain parameterization.
    step_size : float, optional
        The step size; the default is that of `constant_step`.

    Returns
    -------
    callable
        The direction rule.

    Notes
    -----
    With x_{k+1} = y_k - step_size grad f(y_k), the next point is
    y_{k+1} = x_{k+1} + k/(k+3) (x_{k+1} - x_k). The iterate is y, where the gradient is taken.

    References
    ----------
    Y. Nesterov, 1983. The momentum is that of W. Su, S. Boyd and E. Candes, JMLR 2016.
    """
    moments, eta = objective.moments, checked_step_size(objective, step_size)
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
    """Return the direction step of Theorems 1 and 2, w - s grad_w f.

    Parameters
    ----------
    objective : Objective
        The objective.
    parameterization : Parameterization
        The parameterization with the metric S.
    step_size : float, optional
        The step size eta, 1/L by default as in the theorems. The best constant step size is
        2/(L + mu).

    Returns
    -------
    callable
        The direction rule. At its first call it raises `Stopped` if u^T w is zero to rounding.

    Notes
    -----
    The factor is s = -eta ||w||_S^3/(g c1 u^T w). For Gaussian data, and for least squares on any
    data, the step is w - eta (S w - u ||w||_S^2/(u^T w)) whatever the loss and the length are.

    The theorems do not cover an l2 penalty. With one, c1 u^T w is replaced by `Ray.step_scale`,
    which makes the default step as safe as it is without a penalty.

    References
    ----------
    J. Kohler et al., "Exponential convergence rates for batch normalization", AISTATS 2019
    (arXiv:1805.10694), Algorithm 1.
    """
    moments = objective.moments
    eta = 1.0 / moments.L if step_size is None else checked_step_size(objective, step_size)
    started = False

    def rule(it: Iterate) -> np.ndarray:
        nonlocal started
        if not started:
            parts = moments.u * it.w
            if abs(parts.sum()) <= len(parts) * np.finfo(float).eps * np.abs(parts).sum():
                raise Stopped(Status.orthogonal_start)
            started = True
        h = it.ray.step_scale(it.g)
        if h == 0:
            return it.ray.v
        # s grad_w f does not depend on g; with g = 1 it is also defined where g = 0. It does not
        # depend on the scale of w either: v has ||v||_S = 1, and |h| (w - s grad_w f) is finite
        # even for the smallest h.
        tangent, _ = parameterization.pull_back(moments, it.ray.v, 1.0, it.gradient)
        w = abs(h) * it.ray.v + np.sign(h) * eta * tangent
        return w / np.abs(w).max()

    return rule


def whitened_direction(objective: Objective, parameterization: Parameterization) -> DirectionRule:
    """Return the rule that goes to S^-1 u at once, for objectives that depend on moments alone.

    Parameters
    ----------
    objective : Objective
        An objective whose critical points all lie on the line S^-1 u (`Objective.only_moments`).
    parameterization : Parameterization
        The parameterization with the metric S.

    Returns
    -------
    callable
        The direction rule.

    Raises
    ------
    TypeError
        If the objective does not depend on moments alone.

    References
    ----------
    J. Kohler et al., AISTATS 2019 (arXiv:1805.10694), Theorems 1 and 2.
    """
    if not objective.only_moments:
        must = "be a LeastSquares, Halfspace or GaussianHalfspace with this method"
        raise TypeError(complaint("minimize (whitened)", "objective", must, type_of(objective)))
    moments = objective.moments

    def rule(it: Iterate) -> np.ndarray:
        return moments.solve(moments.u) if moments.u.any() else it.w

    return rule


def checked_step_size(objective: Objective, step_size: float | None) -> float:
    """Return the given step size, or 1/B if it is None.

    Parameters
    ----------
    objective : Objective
        The objective, which has the bound B = `Objective.smoothness`.
    step_size : float or None
        The step size that the user gave.

    Returns
    -------
    float
        The step size.

    Raises
    ------
    ValueError, TypeError
        If the step size is not > 0, or is left out where B is not finite.
    """
    if step_size is not None:
        return number(step_size, "minimize", "step_size", above=0)
    if not 0 < objective.curvature < np.inf:
        got = "None, and the curvature of the loss has no finite bound from which to derive it"
        advice = "Pass step_size=..., or give the MarginLoss its `curvature`."
        raise ValueError(complaint("minimize", "step_size", "be given", got, advice))
    return 1.0 / objective.smoothness
