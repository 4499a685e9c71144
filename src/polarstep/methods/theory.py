"""The rates and bounds that the theorems guarantee, to compare with what a run measured.

The theorems are stated in the form in which they hold on every instance: norms are those of S and
S^-1, which do not depend on the units of the features. Source: J. Kohler et al., AISTATS 2019
(arXiv:1805.10694), Theorems 1 and 2.
"""

from __future__ import annotations

import numpy as np

from ..losses import MarginLoss, margin_loss
from ..moments import Moments
from ..validation import number, whole_number
from .assumptions import Assumptions, Projection, check_assumptions

__all__ = [
    "Assumptions",
    "Projection",
    "check_assumptions",
    "contraction",
    "gradient_bound",
    "rate_bound",
]


def contraction(moments: Moments, step_size: float | None = None) -> float:
    """Return the factor gamma by which one direction step contracts the error.

    Parameters
    ----------
    moments : Moments
        The moments, which contain mu and L.
    step_size : float, optional
        The constant step of the direction, > 0; 1/L by default.

    Returns
    -------
    float
        The factor max(|1 - step mu|, |1 - step L|).

    Notes
    -----
    gamma is 1 - mu/L at the theorem's step 1/L, and (L - mu)/(L + mu) at the best constant step
    2/(L + mu). With a step of 2/L or more nothing contracts: gamma >= 1.

    Examples
    --------
    >>> import numpy as np
    >>> import polarstep as ps
    >>> contraction(ps.Moments([0.5, 0.1], np.diag([1.0, 0.25])))
    0.75
    """
    step = 1.0 / moments.L
    if step_size is not None:
        step = number(step_size, "theory.contraction", "step_size", above=0)
    return max(abs(1.0 - step * moments.mu), abs(1.0 - step * moments.L))


def rate_bound(
    moments: Moments, gap: float, n_iter: int, *, step_size: float | None = None
) -> np.ndarray:
    """Return Theorem 1's bound on the direction gap at every iterate.

    Parameters
    ----------
    moments : Moments
        The moments, which contain mu and L.
    gap : float
        The gap rho(w_0) - rho* at the start, for instance ``result.trace.direction_gap[0]``.
    n_iter : int
        The number of steps.
    step_size : float, optional
        The constant step of the direction; 1/L by default.

    Returns
    -------
    ndarray, shape (n_iter + 1,)
        The bound gamma^(2t) gap for t = 0, ..., n_iter, where gamma is given by `contraction`.

    Notes
    -----
    For least squares the bound holds on any data, for other losses if z is Gaussian. In both cases
    it needs u^T w_0 != 0.

    Examples
    --------
    >>> import numpy as np
    >>> import polarstep as ps
    >>> f = ps.GaussianHalfspace([0.5, 0.1], np.diag([1.0, 0.25]))
    >>> trace = ps.minimize(f, "gdnp", max_iter=5, tol=0.0).trace
    >>> bound = rate_bound(f.moments, trace.direction_gap[0], 5)
    >>> bool((trace.direction_gap <= bound * (1 + 1e-9)).all())
    True
    """
    gap = number(gap, "theory.rate_bound", "gap", at_least=0)
    steps = np.arange(whole_number(n_iter, "theory.rate_bound", "n_iter") + 1)
    return gap * contraction(moments, step_size) ** (2.0 * steps)


def gradient_bound(
    moments: Moments,
    gap: float,
    n_iter: int,
    loss: str | MarginLoss,
    *,
    length_penalty: float = 0.0,
    bisection_steps: int | None = None,
    bracket_width: float = 0.0,
    step_size: float | None = None,
) -> np.ndarray:
    """Return Theorem 2's bound on ||grad f(wt_t)||_{S^-1} for gdnp on Gaussian z.

    Parameters
    ----------
    moments : Moments
        The moments, which contain mu and L.
    gap : float
        The gap rho(w_0) - rho* at the start, for instance ``result.trace.direction_gap[0]``.
    n_iter : int
        The number of steps.
    loss : str or MarginLoss
        The margin loss phi.
    length_penalty : float, default 0
        The factor lam.
    bisection_steps : int, optional
        T_s, the number of halvings. By default the length is assumed to be exact, so that its
        term is zero.
    bracket_width : float, default 0
        |b_0 - a_0|, the width of the bracket that is halved.
    step_size : float, optional
        The constant step of the direction; 1/L by default.

    Returns
    -------
    ndarray, shape (n_iter + 1,)
        The bound for t = 0, ..., n_iter.

    Notes
    -----
    The bound is sqrt(C1^2 gamma^(2t) gap + (C2 2^-T_s |b_0 - a_0|)^2) with C1 = sup |c1|,
    C2 = sup |phi''| + lam and gamma from `contraction`. It holds for iterates whose length is a
    root of the slope. It does not cover a start (t = 0) with another length.
    """
    loss = margin_loss(loss, "theory.gradient_bound")
    direction = loss.sup_coefficient**2 * rate_bound(moments, gap, n_iter, step_size=step_size)
    if bisection_steps is None:
        return np.sqrt(direction)
    halvings = whole_number(bisection_steps, "theory.gradient_bound", "bisection_steps")
    length = (loss.sup_curvature + length_penalty) * 2.0**-halvings * abs(bracket_width)
    return np.sqrt(direction + length**2)
