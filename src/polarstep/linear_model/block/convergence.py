"""Estimates of the suboptimality of all models of a block."""

from __future__ import annotations

import numpy as np

from .newton_cg import LOOSE

_FIRST_CONTRACTION = 0.25  # contraction of the decrement that is assumed before the first steps
_SAFETY = 1.5  # factor by which the estimated suboptimality is raised
_SLOW = 0.5  # contraction from which a step counts as slow


class BlockConvergence:
    """Estimates of the suboptimality of the models; see `solver.lbfgs.Convergence`.

    Attributes
    ----------
    decrements : list of ndarray, shape (B,)
        The last decrements g^T H^-1 g/2 of the models, at most four.
    contraction, excess, gap : ndarray, shape (B,)
    """

    def __init__(self, n_models: int) -> None:
        self.decrements: list[np.ndarray] = []
        self.age = np.zeros(n_models, int)
        self.contraction = np.full(n_models, _FIRST_CONTRACTION)
        self.excess = np.ones(n_models)
        self.gap = np.full(n_models, np.inf)
        self.exact = np.zeros(n_models, bool)  # the decrement is that of Newton's method
        self.slow = np.zeros(n_models, int)

    def add(self, decrement: np.ndarray) -> None:
        """Update the estimates with the decrements of new iterates."""
        self.decrements = [*self.decrements[-3:], decrement]
        self.age += 1
        count = np.minimum(self.age, len(self.decrements))
        first = np.array(self.decrements)[len(self.decrements) - count, np.arange(len(decrement))]
        self.slow = np.where(self.contraction > _SLOW, self.slow + 1, 0)
        known = (count > 1) & (first > 0)
        power = 1.0 / np.maximum(count - 1, 1)
        ratio = np.maximum(decrement, 1e-300) / np.where(first > 0, first, 1.0)
        factor = np.clip(ratio**power, 1e-4, 0.95)
        self.contraction = np.where(known, factor, self.contraction)
        r = np.where(count < 4, np.maximum(self.contraction, _FIRST_CONTRACTION), self.contraction)
        root = np.where(self.exact, LOOSE, np.sqrt(r))
        self.gap = _SAFETY * decrement * self.excess * (1.0 + root) / (1.0 - root)

    def take(self, which: np.ndarray) -> None:
        """Keep some of the models."""
        self.decrements = [row[which] for row in self.decrements]
        self.age, self.contraction = self.age[which], self.contraction[which]
        self.excess, self.gap = self.excess[which], self.gap[which]
        self.exact, self.slow = self.exact[which], self.slow[which]
