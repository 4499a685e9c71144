"""What the solver of a block of models needs to know of its rows, wherever they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ..solver.columns import GramColumns
from ..solver.weighted_rows import WeightedRows
from .families import Family
from .models import Models


class BlockData(ABC):
    """n rows of d features with classes, and with weights in each of F splits.

    Attributes
    ----------
    n, d : int
        The numbers of rows and of columns of X.
    size : int
        The number of values of X that a pass reads.
    is_sparse : bool
        Whether X is sparse.
    centre : ndarray, shape (d,)
        The vector that is subtracted from every row, implicitly.
    """

    n: int
    d: int
    size: int
    is_sparse: bool
    centre: np.ndarray

    @property
    @abstractmethod
    def totals(self) -> np.ndarray:
        """The total weight of each class in each split, shape (F, K)."""

    @property
    @abstractmethod
    def samples(self) -> WeightedRows[Any]:
        """The rows with the mean of their weights, for what does not depend on labels or loss."""

    @property
    def largest_subsample(self) -> int:
        """The largest number of rows that `subsample` draws, even if it is asked for more."""
        return self.n

    @abstractmethod
    def gram_columns(self) -> GramColumns:
        """Choose the columns of the Gram matrices of the metrics."""

    @abstractmethod
    def gram_cost(self, k: int) -> float:
        """Estimate the time of a Gram matrix of k columns, in passes over X for one score."""

    @abstractmethod
    def subsample(self, m: int, rng: np.random.Generator) -> Any:
        """Draw about m of the rows into memory, as `BlockRows`.

        In each split each class keeps its total weight.
        """

    @abstractmethod
    def in_memory(self) -> Any:
        """Return all rows as `BlockRows` if they are in memory, and None otherwise."""

    @abstractmethod
    def evaluate(
        self, family: Family, models: Models, theta: np.ndarray, intercept: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the losses (B,) and their gradients (B, k, p), in one read of X."""

    @abstractmethod
    def curvature_squares(
        self, family: Family, models: Models, theta: np.ndarray, intercept: bool
    ) -> np.ndarray:
        """Return the sums of h z^2 by column, shape (B, k, d), in one read of X.

        h are the second derivatives of the loss by the scores, and z the centred rows.
        """

    @abstractmethod
    def curvature_state(
        self, family: Family, models: Models, theta: np.ndarray, intercept: bool
    ) -> Any:
        """Return what `hessian_products` needs to know of the rows at theta, in one read of X."""

    @abstractmethod
    def hessian_products(
        self, family: Family, models: Models, state: Any, directions: np.ndarray, intercept: bool
    ) -> np.ndarray:
        """Return the products of the Hessians of the losses with directions, shape (B, k, p)."""

    @abstractmethod
    def raise_not_finite(self, who: str) -> None:
        """Raise the error that explains why a loss is not finite at the start."""
