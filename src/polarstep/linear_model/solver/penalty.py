"""The quadratic penalty on the weights."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from .columns import GramColumns


class Penalty(ABC):
    """A quadratic penalty w^T A w/2 with a positive semidefinite matrix A.

    Attributes
    ----------
    diagonal : ndarray, shape (d,)
        The diagonal of A.
    """

    diagonal: np.ndarray

    @abstractmethod
    def gradient(self, w: np.ndarray) -> np.ndarray:
        """Return A w, shape (d,)."""

    @abstractmethod
    def add_to_gram(self, G: np.ndarray, columns: GramColumns) -> None:
        """Add A, restricted to the columns of a Gram matrix, to the leading block of G."""

    @abstractmethod
    def plus(self, extra: np.ndarray) -> Penalty:
        """Return the penalty w^T (A + diag(extra)) w/2."""

    @property
    @abstractmethod
    def ridge(self) -> float:
        """The number alpha if A = alpha I; otherwise 0."""

    @property
    def is_zero(self) -> bool:
        """Whether there is no penalty."""
        return not self.diagonal.any()

    @property
    @abstractmethod
    def is_separable(self) -> bool:
        """Whether A is diagonal."""

    def along_line(self, w: np.ndarray, v: np.ndarray) -> tuple[float, float, float]:
        """Return the value of the penalty at w, and its slope and curvature along v."""
        at_w, at_v = self.gradient(w), self.gradient(v)
        return 0.5 * float(w @ at_w), float(v @ at_w), float(v @ at_v)


class DiagonalPenalty(Penalty):
    """The penalty sum alpha w^2/2, in which A is diagonal.

    Parameters
    ----------
    alpha : ndarray, shape (d,)
    """

    is_separable = True

    def __init__(self, alpha: np.ndarray) -> None:
        self.diagonal = alpha

    def gradient(self, w: np.ndarray) -> np.ndarray:
        return self.diagonal * w

    def add_to_gram(self, G: np.ndarray, columns: GramColumns) -> None:
        at = np.arange(columns.size)
        G[at, at] += columns.restrict(self.diagonal)

    def plus(self, extra: np.ndarray) -> DiagonalPenalty:
        return DiagonalPenalty(self.diagonal + extra)

    @property
    def ridge(self) -> float:
        return float(self.diagonal[0]) if np.ptp(self.diagonal) == 0 else 0.0


class DensePenalty(Penalty):
    """The penalty w^T A w/2, in which A is a dense matrix.

    Parameters
    ----------
    A : ndarray, shape (d, d)
        Symmetric and positive semidefinite.
    """

    is_separable = False
    ridge = 0.0

    def __init__(self, A: np.ndarray) -> None:
        self.A, self.diagonal = A, A.diagonal()

    def gradient(self, w: np.ndarray) -> np.ndarray:
        return self.A @ w

    def add_to_gram(self, G: np.ndarray, columns: GramColumns) -> None:
        k = columns.size
        G[:k, :k] += columns.restrict_matrix(self.A)

    def plus(self, extra: np.ndarray) -> DensePenalty:
        A = self.A.copy()
        A[np.diag_indices_from(A)] += extra
        return DensePenalty(A)
