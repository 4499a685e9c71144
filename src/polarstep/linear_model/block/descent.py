"""L-BFGS on all models of a block at once.

Each model has its own metric, steps and stopping test, as in `solver.lbfgs`; the reads of X are
shared. Models that have ended leave the block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np

from ...result import Status
from .convergence import BlockConvergence
from .line_search import take_steps
from .newton_cg import accuracies, newton_directions
from .preconditioner import ModelMetric, Preconditioner
from .problem import BlockProblem

_SMALLEST_SCALE = 0.1  # smallest factor by which the inverse of the metric is multiplied
_MOST_PAIRS = 30  # largest number of steps that are remembered, with the changes of the gradient
_PAIR_VALUES = 2e7  # largest number of values of all remembered steps
_PATIENCE = 3  # slow steps in a row before the directions are Newton's
_STALE = 0.1  # factor by which f may have fallen since the metric was computed
_STATE_VALUES = 4e7  # largest number of values that the products with a Hessian may need


Newton = Literal["never", "slow", "always"]


class BlockInverseHessian:
    """The L-BFGS approximations of the inverse Hessians, started from scale * H0^-1."""

    def __init__(self, metric: Preconditioner, n_models: int, shape: tuple[int, ...]) -> None:
        self.metric, self.shape, self.scale = metric, shape, np.ones(n_models)
        self.rejected = np.zeros(n_models, int)
        self.pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.most = int(np.clip(_PAIR_VALUES / (2 * n_models * np.prod(shape)), 5, _MOST_PAIRS))

    def add(self, step: np.ndarray, change: np.ndarray, is_unit: np.ndarray) -> None:
        """Remember a step of each model and the change of the gradient, where f is convex."""
        curvature = np.einsum("bp,bp->b", step, change)
        good = curvature > 0
        self.pairs.append((step, change, np.where(good, curvature, np.inf)))
        if len(self.pairs) > self.most:
            del self.pairs[0]
        self.rejected = np.where(good, np.where(is_unit, 0, self.rejected + 1), self.rejected)
        self.scale = np.where(good & is_unit, np.minimum(1.0, 2.0 * self.scale), self.scale)
        short = np.flatnonzero(good & ~is_unit & (self.rejected > 1))
        for b in short:
            y = change[b : b + 1]
            solved = self.metric.take(np.array([b])).solve(self._shaped(y)).reshape(-1)
            wanted = curvature[b] / float(y[0] @ solved)
            self.scale[b] = np.clip(wanted, _SMALLEST_SCALE, 1.0)

    def times(self, g: np.ndarray) -> np.ndarray:
        """Return H^-1 g for gradients of shape (b, k, p)."""
        q = g.reshape(len(g), -1).copy()
        coefficients = []
        for step, change, curvature in reversed(self.pairs):
            a = np.einsum("bp,bp->b", step, q) / curvature
            q -= a[:, None] * change
            coefficients.append(a)
        x = self.metric.solve(self._shaped(q)).reshape(q.shape)
        x *= self.scale[:, None]
        for (step, change, curvature), a in zip(self.pairs, reversed(coefficients), strict=True):
            x += (a - np.einsum("bp,bp->b", change, x) / curvature)[:, None] * step
        return x.reshape(g.shape)

    def _shaped(self, q: np.ndarray) -> np.ndarray:
        return q.reshape(len(q), *self.shape)

    def reset(self, which: np.ndarray, metrics: list[ModelMetric]) -> None:
        """Start some models anew from other metrics."""
        new = list(self.metric.metrics)
        for b, metric in zip(which, metrics, strict=True):
            new[b] = metric
        self.metric = Preconditioner(new, self.metric.family)
        self.scale[which], self.rejected[which] = 1.0, 0
        for _, _, curvature in self.pairs:
            curvature[which] = np.inf
        self.pairs = [pair for pair in self.pairs if np.isfinite(pair[2]).any()]

    def take(self, which: np.ndarray) -> None:
        """Keep some of the models."""
        self.metric = self.metric.take(which)
        self.scale, self.rejected = self.scale[which], self.rejected[which]
        self.pairs = [(s[which], y[which], c[which]) for s, y, c in self.pairs]


class State:
    """The current points of all models of a block.

    Attributes
    ----------
    theta, gradient : ndarray, shape (B, k, p)
    fun, gap : ndarray, shape (B,)
        The values, and the estimated absolute suboptimalities.
    n_iter : ndarray of int, shape (B,)
    status : list of Status
    """

    def __init__(self, problem: BlockProblem, theta: np.ndarray) -> None:
        B = len(theta)
        self.theta = theta.copy()
        self.fun, self.gradient = problem.evaluate(theta, np.arange(B))
        self.gap, self.n_iter = np.full(B, np.inf), np.zeros(B, int)
        self.decrement = np.full(B, np.nan)
        self.status = [Status.max_iter] * B
        self.fun_of_metric = self.fun.copy()  # the values where the metrics were computed
        self.repaired = np.zeros(B, bool)  # no step has succeeded since the metric was repaired


class Renewal(Protocol):
    """A rule that gives models new metrics.

    Attributes
    ----------
    can_repair : bool
        Whether `repair` can be called.
    """

    can_repair: bool

    def __call__(
        self, state: State, active: np.ndarray, convergence: BlockConvergence
    ) -> tuple[np.ndarray, list[ModelMetric]] | None:
        """Return the positions of the active models that get new metrics, and these; or None."""

    def repair(self, state: State, which: np.ndarray) -> list[ModelMetric]:
        """Return the best metrics of some models, along whose directions no step lowers f."""


def descend_block(
    problem: BlockProblem,
    state: State,
    metric: Preconditioner,
    tol: float,
    max_iter: int,
    *,
    absolute: float = 0.0,
    newton: Newton = "never",
    observe: Callable[[State], None] | None = None,
    renew: Renewal | None = None,
) -> None:
    """Minimise each objective until its suboptimality is estimated to be at most tol.

    Parameters
    ----------
    problem : BlockProblem
    state : State
        The points from which the models start. It is updated in place.
    metric : Preconditioner
    tol : float
        The estimated relative suboptimality at which a model leaves the block.
    max_iter : int
        The largest number of steps.
    absolute : float, default=0.0
        The estimated absolute suboptimality at which a model leaves the block as well.
    newton : {"never", "slow", "always"}, default="never"
        Which models take Newton directions by conjugate gradients: none, those whose steps are
        slow, or all of them. The directions are L-BFGS's if they would need too much memory.
    observe : callable, optional
        A function that is called with the state at every iteration.
    renew : Renewal, optional
        The rule that is asked at every iteration whether models get new metrics.
    """
    active = np.arange(len(state.fun))
    inverse = BlockInverseHessian(metric, len(active), state.theta.shape[1:])
    convergence = BlockConvergence(len(active))
    values = len(active) * problem.n_outputs * problem.rows.n
    if not problem.family.is_convex or values > _STATE_VALUES:
        newton = "never"
    convergence.exact[:] = newton == "always"
    iteration = 0
    while True:
        g = state.gradient[active]
        p = _directions(problem, state, active, g, inverse, convergence, tol)
        decrement = -0.5 * np.einsum("bkp,bkp->b", g, p)
        convergence.add(decrement / np.where(convergence.exact, 1.0, inverse.scale))
        state.gap[active], state.decrement[active] = convergence.gap, convergence.decrements[-1]
        if observe is not None:
            observe(state)
        done = convergence.gap <= np.maximum(tol * problem.magnitude(state.fun[active]), absolute)
        done &= decrement >= 0.0
        old = done & ~convergence.exact & (state.fun < _STALE * state.fun_of_metric)[active]
        if old.any() and renew is not None and renew.can_repair:
            # Where f has fallen by a large factor, the metric may miss what is left of it.
            which = np.flatnonzero(old)
            inverse.reset(which, renew.repair(state, active[which]))
            state.fun_of_metric[active[which]] = state.fun[active[which]]
            p[which] = -inverse.times(g)[which]
            decrement[which] = -0.5 * np.einsum("bkp,bkp->b", g[which], p[which])
            done &= ~old
        if iteration == max_iter:
            for b in active[done]:
                state.status[b] = Status.converged
            return
        if done.any():
            for b in active[done]:
                state.status[b] = Status.converged
            keep = np.flatnonzero(~done)
            active, p, decrement, g = active[keep], p[keep], decrement[keep], g[keep]
            inverse.take(keep)
            convergence.take(keep)
        if not len(active):
            return
        renewed = None if renew is None else renew(state, active, convergence)
        if renewed is not None:
            which, metrics = renewed
            inverse.reset(which, metrics)
            state.fun_of_metric[active[which]] = state.fun[active[which]]
            p[which] = -inverse.times(g)[which]
            decrement[which] = -0.5 * np.einsum("bkp,bkp->b", g[which], p[which])
            convergence.decrements[-1][which] = decrement[which]
            convergence.slow[which] = 0
        elif newton == "slow":
            convergence.exact |= convergence.slow >= _PATIENCE
        length, fun, gradient = take_steps(
            problem, active, state.theta[active], state.fun[active], g, p
        )
        staying = length > 0
        state.n_iter[active[staying]] += 1
        state.repaired[active[staying]] = False
        is_flat = np.abs(decrement) <= 1e-11 * np.abs(state.fun[active])
        if not staying.all():
            stuck = np.flatnonzero(~staying & ~is_flat & ~state.repaired[active])
            if renew is not None and len(stuck) and renew.can_repair:
                inverse.reset(stuck, renew.repair(state, active[stuck]))
                state.repaired[active[stuck]] = staying[stuck] = True
            for at in np.flatnonzero(~staying):
                state.status[active[at]] = Status.rounding if is_flat[at] else Status.stalled
        step = (length[:, None, None] * p).reshape(len(active), -1)
        change = (gradient - g).reshape(len(active), -1)
        if not convergence.exact.all():
            inverse.add(step, change, length == 1.0)
        before = state.fun[active]
        expected = decrement > 1e-9 * np.abs(before)
        ratio = np.divide(before - fun, decrement, out=np.ones_like(fun), where=expected)
        convergence.excess = np.where(expected, np.clip(ratio, 1.0, 10.0), convergence.excess)
        state.theta[active] += step.reshape(p.shape)
        state.fun[active], state.gradient[active] = fun, gradient
        if not staying.all():
            keep = np.flatnonzero(staying)
            active = active[keep]
            inverse.take(keep)
            convergence.take(keep)
            if not len(active):
                return
        iteration += 1


def _directions(
    problem: BlockProblem,
    state: State,
    active: np.ndarray,
    g: np.ndarray,
    inverse: BlockInverseHessian,
    convergence: BlockConvergence,
    tol: float,
) -> np.ndarray:
    """Return the directions of the next steps: those of L-BFGS, or of Newton where it is slow."""
    exact = np.flatnonzero(convergence.exact)
    p = -inverse.times(g) if len(exact) < len(active) else np.empty_like(g)
    if len(exact):

        def solve(at: np.ndarray, r: np.ndarray) -> np.ndarray:
            return inverse.metric.take(exact[at]).solve(r)

        models = active[exact]
        expected = convergence.gap[exact] * convergence.contraction[exact]
        accuracy = accuracies(expected / problem.magnitude(state.fun[models]), tol)
        p[exact] = newton_directions(
            problem, state.theta[models], g[exact], models, solve, accuracy
        )
    return p
