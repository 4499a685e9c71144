"""Which models a block consists of, and the result of solving them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...result import Progress, Status


@dataclass(frozen=True)
class Models:
    """B models that share their rows.

    Attributes
    ----------
    split : ndarray of int, shape (B,)
        Model b weighs the rows by the row weights of split[b]: a fold or a bootstrap sample.
    alpha : ndarray, shape (B,)
        The l2 penalty of model b is alpha[b] ||w||^2/2. The weights of a split sum to 1.
    positive : ndarray of int, shape (B,)
        The index of the class that counts as positive, for a margin loss.
    """

    split: np.ndarray
    alpha: np.ndarray
    positive: np.ndarray

    @classmethod
    def of(
        cls, alpha: Sequence[float] | np.ndarray, split: object = 0, positive: object = 1
    ) -> Models:
        """Make models of arrays or numbers, which are repeated for every penalty."""
        ridge = np.atleast_1d(np.asarray(alpha, float))
        shape = ridge.shape
        return cls(
            np.broadcast_to(np.asarray(split, np.intp), shape).copy(),
            ridge,
            np.broadcast_to(np.asarray(positive, np.intp), shape).copy(),
        )

    def __len__(self) -> int:
        return len(self.alpha)

    @cached_property
    def alike(self) -> np.ndarray:
        """Numbers of groups of models that differ only in their splits, shape (B,).

        Penalties in a group differ by at most a tenth, because the same C means a slightly other
        penalty for a split of another total weight.
        """
        group, number = np.empty(len(self), np.intp), -1
        positive, largest = -1, -np.inf
        for b in np.lexsort((self.alpha, self.positive)):
            if self.positive[b] != positive or self.alpha[b] > largest:
                positive, largest = self.positive[b], 1.1 * self.alpha[b]
                number += 1
            group[b] = number
        return group

    def take(self, which: np.ndarray) -> Models:
        """Return some of the models."""
        return Models(self.split[which], self.alpha[which], self.positive[which])


@dataclass(frozen=True)
class BlockResult:
    """How the models of a block ended.

    Attributes
    ----------
    theta : ndarray, shape (B, k, d + 1) or (B, k, d)
        The weights for features minus their centre and, last, the intercept if there is one.
    fun : ndarray, shape (B,)
        The minimum of each model.
    gap : ndarray, shape (B,)
        The estimated relative suboptimality of each model.
    n_iter : ndarray of int, shape (B,)
        The number of iterations of each model on all rows.
    status : list of Status
        How the run of each model ended.
    rows : list of Progress
        One row for each iteration of the block. Its ``fun`` is the mean over the models, and its
        ``x`` holds those of all models in one vector.
    passes : float
        The number of reads of all of X.
    """

    theta: np.ndarray
    fun: np.ndarray
    gap: np.ndarray
    n_iter: np.ndarray
    status: list[Status]
    rows: list[Progress]
    passes: float
