"""Random starts, and runs of different methods from the same weight."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...methods.objective import Objective
from ...minimization import minimize
from ...result import Result, Status


def random_start(objective: Objective, seed: int) -> np.ndarray:
    """Draw a standard normal vector and project it onto the range of S."""
    rng = np.random.default_rng(seed)
    return objective.moments.project(rng.standard_normal(len(objective.moments.u)))


def run_from(
    objective: Objective,
    method: str,
    w0: np.ndarray,
    length: float,
    max_iter: int,
    callback: Any = None,
    **options: Any,
) -> Result:
    """Call `minimize` at the weight of S-norm `length` in the direction of w0.

    The weight is the same for all methods. In a parameterization by length and direction, w itself
    starts at norm 1 in the norm of the parameterization, so that a step size has the same effect
    for every start.

    Raises
    ------
    KeyboardInterrupt
        The run was interrupted, and not by a callback.
    """
    moments = objective.moments
    w = w0 / moments.norm(w0)
    if method in ("gd", "agd"):
        w = length * w
    elif method == "wn":
        norm = float(np.linalg.norm(w))
        w, options = w / norm, {"length": length * norm, **options}
    else:
        options = {"length": length, **options}
    result = minimize(
        objective, method, w, max_iter=max_iter, tol=0.0, callback=callback, **options
    )
    if result.status is Status.interrupted and callback is None:
        raise KeyboardInterrupt
    return result
