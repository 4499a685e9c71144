"""The minimization of a `Halfspace`, an objective of the paper, by the solver of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..methods.halfspace import Halfspace
from ..result import Progress, Result
from ..validation import complaint, vector, whole_number
from .centring import shift_far_columns
from .least_norm import LeastNorm
from .solver.penalty import DensePenalty, DiagonalPenalty, Penalty
from .solver.problem import Problem
from .solver.samples import Samples
from .solver.stages import make_stages
from .solver.whitened import run
from .unpenalised import settle


def minimize_halfspace(
    objective: Halfspace,
    w0: np.ndarray | None,
    max_iter: int,
    tol: float,
    callback: Callable[[Progress], Any] | None,
    *,
    n_restarts: int = 0,
    seed: int = 0,
    n_threads: int = 1,
) -> Result:
    """Minimise a `Halfspace` by the solver of the linear models, which is the method "whitened".

    Parameters
    ----------
    objective : Halfspace
        The objective, whose max_length must be infinite.
    w0 : array-like, shape (d,) or (d + 1,), or None
        The start, which is on the line S^-1 u by default.
    max_iter : int
        The largest number of iterations on all rows.
    tol : float
        The estimated relative suboptimality at which the run stops.
    callback : callable or None
        A function that is called with a `Progress` at every iterate.
    n_restarts : int, default=0
        The number of further runs if the loss is not convex.
    seed : int, default=0
        The seed of subsamples and of random starts.
    n_threads : int, default=1
        The number of threads.

    Returns
    -------
    Result
        The lowest result of all runs.
    """
    who, design = "minimize (whitened)", objective.design
    n_restarts = whole_number(n_restarts, who, "n_restarts")
    n_threads = whole_number(n_threads, who, "n_threads", at_least=1)
    rng = np.random.default_rng(whole_number(seed, who, "seed"))
    if objective.max_length < np.inf:
        advice = "Use a length_penalty or an l2_penalty, or one of the paper's methods."
        got = f"{objective.max_length:g}"
        raise ValueError(complaint(who, "max_length", "be infinite", got, advice))
    n, d = design.shape[0], design.n_features
    weight = np.ones(n) if design.weights is None else design.weights
    X, centre = shift_far_columns(design.X, design.mean)
    samples = Samples.from_arrays(
        X, objective.labels, weight / n, centre, objective.loss, n_threads
    )
    penalty: Penalty = DiagonalPenalty(np.full(d, objective.l2_penalty))
    if objective.length_penalty:
        S = objective.moments.S[:d, :d]
        penalty = DensePenalty(objective.length_penalty * S + objective.l2_penalty * np.identity(d))
    problem = Problem(samples, penalty, objective.intercept)
    theta = None if w0 is None else vector(w0, who, "w0", length=d + objective.intercept)
    stages = make_stages(problem, rng)
    result = run(stages, theta, tol, max_iter, rng, callback, n_restarts)
    if not penalty.is_zero:
        return result
    least_norm = LeastNorm(stages[-1].samples, objective.intercept)
    return settle(result, samples, stages[-1], least_norm, design.mean, rng)
