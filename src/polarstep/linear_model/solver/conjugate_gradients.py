"""Conjugate gradients for a Newton step, with a bound on what they leave to be gained.

References
----------
- Hestenes and Stiefel, "Methods of conjugate gradients for solving linear systems", Journal of
  Research of the National Bureau of Standards 1952.
- Golub and Meurant, "Matrices, moments and quadrature II", BIT 1997: the error in the energy norm
  is a Gauss quadrature rule, and a rule of Gauss-Radau type bounds it from above.
- Meurant and Tichy, "On computing quadrature-based bounds for the A-norm of the error in conjugate
  gradients", Numerical Algorithms 2013. The recurrence of the bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from . import kernels

_MOST_PRODUCTS = 2_000  # largest number of products with the Hessian in one solution


class NewtonStep(NamedTuple):
    """An approximate solution x of H x = -g.

    Attributes
    ----------
    x : ndarray, shape (d,)
    gain : float
        -(g^T x + x^T H x/2), by which the step x lowers the quadratic model.
    left : float
        An upper bound on what an exact solution would gain in addition.
    """

    x: np.ndarray
    gain: float
    left: float


def solve_newton_system(
    times: Callable[[np.ndarray], np.ndarray],
    alpha: np.ndarray,
    g: np.ndarray,
    inverse: np.ndarray,
    is_enough: Callable[[float, float, float], bool],
) -> NewtonStep:
    """Solve (A + diag(alpha)) x = -g by preconditioned conjugate gradients.

    Parameters
    ----------
    times : callable
        The product with the positive semidefinite matrix A, as a new array.
    alpha : ndarray, shape (d,)
        Positive numbers.
    g : ndarray, shape (d,)
        The gradient.
    inverse : ndarray, shape (d,)
        The inverse of the preconditioner, which is diagonal.
    is_enough : callable
        Called after each step with the gain so far, the bound on what is left to be gained, and the
        squared norm of the residual relative to that of g, both in the norm of `inverse`. It
        returns whether to stop.

    Returns
    -------
    NewtonStep

    Notes
    -----
    The bound holds because no eigenvalue of H in the metric of the preconditioner is smaller than
    min_j alpha_j inverse_j.
    """
    least = float((alpha * inverse).min())
    x, r = np.zeros(len(g)), -g
    p = inverse * r
    rr = first = float(p @ r)
    gain, n_products = 0.0, 0
    radau = 1.0 / least  # radau * rr/2 bounds what is left
    while rr > 0 and n_products < _MOST_PRODUCTS:
        product = times(p)
        n_products += 1
        curvature = kernels.add_penalty(alpha, p, product)
        if not 0 < curvature < np.inf:
            break
        length = rr / curvature
        new = kernels.conjugate_step(length, p, product, inverse, x, r)
        gain += 0.5 * length * rr
        share, rr = new / rr, new
        rest = radau - length
        radau = rest / (least * rest + share) if rest > 0 else 1.0 / least
        radau = min(radau, 1.0 / least)
        if is_enough(gain, 0.5 * radau * rr, rr / first):
            break
        kernels.conjugate_direction(share, r, inverse, p)
    return NewtonStep(x, gain, 0.5 * radau * rr)
