"""Newton directions of the models of a block, by preconditioned conjugate gradients.

The Hessian is never formed: its products with vectors cost one read of X each, without the
evaluation of a loss. This pays where no metric of moderate size is close to the Hessian, for
instance if X is wide and sparse.

References
----------
R. S. Dembo, S. C. Eisenstat, T. Steihaug, "Inexact Newton methods", SIAM Journal on Numerical
Analysis 1982.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .problem import BlockProblem

LOOSE, TIGHT = 0.3, 0.1  # largest and smallest relative residual at which an iteration stops
_MOST_PRODUCTS = 300  # largest number of products for one direction


def accuracies(suboptimality: np.ndarray, tol: float) -> np.ndarray:
    """Return how accurate the directions should be, given relative suboptimalities.

    Far from the minimum the quadratic model is inexact, and close to it the step only has to
    reach tol: a relative residual of r reduces the suboptimality by a factor of about r^2.
    """
    wanted = np.sqrt(0.2 * tol / np.maximum(suboptimality, 1e-300))
    return np.where(suboptimality > 0.1, LOOSE, np.clip(wanted, TIGHT, LOOSE))


def newton_directions(
    problem: BlockProblem,
    theta: np.ndarray,
    gradient: np.ndarray,
    which: np.ndarray,
    solve: Callable[[np.ndarray, np.ndarray], np.ndarray],
    accuracy: np.ndarray,
) -> np.ndarray:
    """Return approximate Newton directions -H^-1 g of some models.

    Parameters
    ----------
    problem : BlockProblem
    theta, gradient : ndarray, shape (b, k, p)
        The points of these models, and the gradients there.
    which : ndarray of int, shape (b,)
        The indices of the models in the block.
    solve : callable
        The product of the inverse metrics of some of the models, given by their positions in
        `which`, with gradients.
    accuracy : ndarray, shape (b,)
        The relative residuals, in the norm of the inverse metric, at which the iterations stop.

    Returns
    -------
    ndarray, shape (b, k, p)
        Descent directions. A model whose Hessian turns out not to be positive definite gets the
        direction that was reached before, or the gradient step of the metric.
    """
    state = problem.curvature_state(theta, which)
    step = np.zeros_like(gradient)
    at = np.arange(len(which))
    r = -gradient
    z = solve(at, r)
    p, first = z.copy(), np.einsum("bkp,bkp->b", r, z)
    now = first.copy()
    for _ in range(_MOST_PRODUCTS):
        product = problem.hessian_products(state[at], p, which[at])
        curvature = np.einsum("bkp,bkp->b", p, product)
        good = curvature > 0
        length = np.where(good, now[at], 0.0) / np.where(good, curvature, 1.0)
        step[at] += length[:, None, None] * p
        bad = at[~good]
        fresh = bad[~step[bad].any(axis=(1, 2))]
        if len(fresh):
            step[fresh] = -solve(fresh, gradient[fresh])
        r[at] -= length[:, None, None] * product
        z = solve(at, r[at])
        new = np.einsum("bkp,bkp->b", r[at], z)
        going = good & (new > accuracy[at] ** 2 * first[at])
        if not going.any():
            break
        beta = new / now[at]
        now[at] = new
        p = (z + beta[:, None, None] * p)[going]
        at = at[going]
    return step
