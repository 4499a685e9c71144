"""The interface through which the solver reads its data: weighted rows, wherever they are.

Unless it says otherwise, a method makes at most one pass over the rows, and its result is a sum of
the contributions of blocks of rows. `Samples` implements the interface for rows in memory, and
`DaskSamples` for rows on the workers of a cluster.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from ...losses import MarginLoss
from ...validation import complaint
from .row_space import RowSpace

Values = TypeVar("Values")
"""One value for each row: an ndarray of shape (n,), or a collection of the values of blocks."""


class Sums(NamedTuple):
    """Sums over rows at (w, b), where p = (x - centre)^T w and a = -y (p + b) is the margin."""

    value: float  # sum of s phi(a)
    by_w: np.ndarray  # gradient of value with respect to w, shape (d,)
    by_b: float  # derivative of value with respect to b
    mean: float  # sum of s p
    square: float  # sum of s p^2

    def __add__(self, other: Any) -> Sums:
        return Sums(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class WeightedRows(ABC, Generic[Values]):
    """n rows x of d features with labels y, weights s and a loss phi.

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
    weight : Values
        The weights s.
    loss : MarginLoss
    """

    n: int
    d: int
    size: int
    is_sparse: bool
    centre: np.ndarray
    weight: Values
    loss: MarginLoss

    @abstractmethod
    def with_loss(self, loss: MarginLoss) -> WeightedRows[Values]:
        """Return the same rows with another loss."""

    @abstractmethod
    def one_against_rest(self, label: float) -> WeightedRows[Values]:
        """Return the same rows with +1 for one of the labels and -1 for the others."""

    @abstractmethod
    def subsample(self, m: int, rng: np.random.Generator) -> WeightedRows[Any]:
        """Draw about m of the rows, with at least half of an equal share from each class.

        The weights of the drawn rows are scaled up so that each class keeps its total weight.
        """

    def raise_not_finite(self, who: str) -> None:
        """Raise the error that explains why f is not finite at the start.

        Raises
        ------
        ValueError
            Always. If X is finite, its products overflow. A subclass that does not check X
            beforehand names the first NaN or infinity instead.
        """
        got, advice = "numbers whose products overflow", "Rescale the largest columns."
        raise ValueError(complaint(who, "X", "hold numbers of a reasonable size", got, advice))

    # ------------------------------------------------------------------ properties of X

    @abstractmethod
    def effective_rows(self) -> np.ndarray:
        """Return how many rows effectively determine the variance of each column, shape (d,)."""

    @abstractmethod
    def category_starts(self) -> np.ndarray:
        """Return the first column of each category of a sparse X.

        X is categorical if all rows have the same number of entries, and the first entries of all
        rows, the second ones, and so on lie in separate ranges of columns. Otherwise the result
        is [0].
        """

    @abstractmethod
    def gram_cost(self, k: int) -> float:
        """Estimate the time of a Gram matrix of k columns, in passes over X."""

    @abstractmethod
    def in_memory(self) -> tuple[Any, np.ndarray] | None:
        """Return X, which is not centred, and the labels; None if the rows are not in memory."""

    @abstractmethod
    def in_row_space(self) -> tuple[WeightedRows[Values], RowSpace] | None:
        """Return the rows in coordinates of the space that they span, and the `RowSpace`.

        The result is None if the rows are not in memory or if their coordinates would take too much
        memory.
        """

    @abstractmethod
    def gram(self, h: Values, place: np.ndarray, k: int) -> np.ndarray:
        """Return Z^T diag(h) Z for Z = ((X - 1 centre^T) A, 1), in one read of X.

        A adds column j of X to column place[j] of the result; place[j] < 0 leaves column j out. The
        result has shape (k+1, k+1). Columns of a dense X cannot be added up.
        """

    @abstractmethod
    def squares(self, h: Values) -> np.ndarray:
        """Return the sums of h (x - centre)^2 by column, shape (d,), in one read of X."""

    @abstractmethod
    def gram_times_vector(self, h: Values, v: np.ndarray, b: float) -> tuple[np.ndarray, float]:
        """Return Z^T r, shape (d,), and the sum of r = h (Z v + b), in one read of X.

        Z = X - 1 centre^T, so that with the weights h of the Hessian these are the products of its
        rows with (v, b), without the penalty.
        """

    # ------------------------------------------------------------------ passes over the rows

    @abstractmethod
    def evaluate(self, w: np.ndarray, b: float) -> tuple[Sums, Values]:
        """Return the sums at (w, b) and the margins -y (p + b), in one read of X."""

    @abstractmethod
    def project(self, v: np.ndarray, h: float) -> Values:
        """Return the change -y ((x - centre)^T v + h) of the margins, in one read of X."""

    @abstractmethod
    def plane(self, margins: Values, p: Values, t: float, h: float) -> np.ndarray:
        """Return the loss at margins + t p - h y and its derivatives by t, h, tt, th and hh.

        The result has shape (6,). X is not read.
        """

    @abstractmethod
    def move(self, margins: Values, p: Values, t: float, h: float) -> Values:
        """Return the margins after a step, margins + t p - h y."""

    @abstractmethod
    def total(self, values: Values) -> float:
        """Return the sum of one value for each row."""

    @abstractmethod
    def largest(self, values: Values) -> float:
        """Return the largest of one value for each row."""

    @abstractmethod
    def root_mean_square(self, values: Values) -> float:
        """Return the weighted root mean square of one value for each row."""

    @abstractmethod
    def curvatures(self, margins: Values) -> Values:
        """Return the weights s |phi''(a)| of the Hessian.

        If almost all of these are zero, the result is at least a small multiple of s |phi'(a)|: a
        loss such as a narrow smooth hinge has a slope but almost no curvature away from its bend,
        so that Newton steps from there would be unbounded.
        """

    @abstractmethod
    def fit_rare_columns(
        self, w: np.ndarray, b: float, alpha: np.ndarray
    ) -> tuple[np.ndarray, float, Sums, Values] | None:
        """Fit the weights of the rarest columns of a sparse X one at a time, with a convex loss.

        The penalty is sum alpha w^2/2. Returns the new w and b, and the sums and margins there, in
        two reads of X; or None, without any work, if X is dense or not in memory, or if the loss is
        not compiled.
        """
