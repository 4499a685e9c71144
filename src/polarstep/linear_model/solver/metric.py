"""The metric that "whitened" steps in: the Hessian as far as it is cheap.

Up to a few thousand columns it is a weighted Gram matrix of a subsample, brought to the diagonal of
all rows, so that a column that is rare in the subsample is not taken for a flat one. Beyond, it has
two levels, as preconditioners of partial differential equations do (additive Schwarz: Nicolaides
1987): the diagonal, and a Gram matrix of frequent columns and of *sums* of the others. The sums
matter where columns are indicators: those of one category add up to 1, so that f is almost flat
along them, which a diagonal cannot see.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg as la

from .samples import Samples

ENOUGH_ROWS = 100  # for a column of a subsample to be judged by them
_DENSE_COLUMNS = 3_000  # with a Gram matrix of their own
_SPARSE_COLUMNS = 1_000
_FREQUENT = 0.01  # the share of rows in which a column must not be zero to be among them


@dataclass(frozen=True)
class Coarse:
    """Which columns the Gram matrix has: column j of X counts to column place[j], < 0 to none."""

    place: np.ndarray  # int32, shape (d,)
    size: int
    n_own: int  # the first n_own are single columns of X

    @property
    def is_all(self) -> bool:
        """Whether every column of X has its own."""
        return self.n_own == len(self.place)

    def own(self, v: np.ndarray) -> np.ndarray:
        """The entries of v that belong to single columns."""
        return v if self.is_all else v[self._own]

    def restrict(self, v: np.ndarray) -> np.ndarray:
        """The sums of v over the columns that count together."""
        if self.is_all:
            return v
        return np.bincount(self._together, np.where(self.place < 0, 0.0, v), self.size)

    def extend(self, x: np.ndarray) -> np.ndarray:
        """The transpose of `restrict`."""
        if self.is_all:
            return x
        return np.where(self.place < 0, 0.0, x[self._together])

    @cached_property
    def _own(self) -> np.ndarray:
        single = np.flatnonzero((self.place >= 0) & (self.place < self.n_own))
        return single[np.argsort(self.place[single])]

    @cached_property
    def _together(self) -> np.ndarray:
        return np.maximum(self.place, 0)


def choose_columns(samples: Samples) -> Coarse:
    """All columns where they are few; else frequent ones, and sums of the rest by category.

    Not more of them than make a factorization cost a few reads of X.
    """
    d, affordable = samples.d, int((200.0 * samples.size) ** (1 / 3))
    if d <= (_SPARSE_COLUMNS if samples.is_sparse else _DENSE_COLUMNS):
        return Coarse(np.arange(d, dtype=np.int32), d, d)
    place = np.full(d, -1, np.int32)
    if not samples.is_sparse:
        count = min(affordable, _DENSE_COLUMNS)
        own = np.sort(np.argsort(-samples.squares(samples.weight))[:count])
        place[own] = np.arange(len(own), dtype=np.int32)
        return Coarse(place, len(own), len(own))
    counts = samples.effective_rows()
    own = np.argsort(-counts, kind="stable")[: min(affordable, _SPARSE_COLUMNS)]
    own = np.sort(own[counts[own] >= _FREQUENT * samples.n])
    place[own] = np.arange(len(own), dtype=np.int32)
    starts = samples.categories()
    category = np.searchsorted(starts, np.arange(d), side="right") - 1
    rest = place < 0
    place[rest] = len(own) + category[rest]
    return Coarse(place, len(own) + len(starts), len(own))


class Metric:
    """A positive definite H0 by its solves.

    Parameters
    ----------
    G : ndarray, shape (k+1, k+1)
        Second moments of the coarse columns and of 1 (the intercept), as `Samples.gram` gives them.
    coarse : Coarse
    penalty : ndarray, shape (d,)
        The diagonal of the penalty.
    intercept : bool
        Whether theta ends with an intercept.
    diagonal : ndarray, shape (d,), optional
        The diagonal that H0 has on the columns of X, without the penalty; that of G by default.
    seen : ndarray, shape (d,), optional
        On how many rows each column's part in G rests; all that there are by default. Correlations
        of columns that rest on few are taken with caution.
    dense_penalty : ndarray, shape (d, d), optional
        The rest of the penalty.
    """

    def __init__(
        self,
        G: np.ndarray,
        coarse: Coarse,
        penalty: np.ndarray,
        intercept: bool,
        diagonal: np.ndarray | None = None,
        seen: np.ndarray | None = None,
        dense_penalty: np.ndarray | None = None,
    ) -> None:
        self.coarse, self.intercept = coarse, intercept
        k, own = coarse.size, coarse.n_own
        H = G if diagonal is None and seen is None else _mended(G, coarse, diagonal, seen)
        H = H[:k, :k].copy() if not intercept else H.copy()
        at = np.arange(k)
        H[at, at] += coarse.restrict(penalty)
        if dense_penalty is not None:
            H[:k, :k] += dense_penalty
        scale = np.sqrt(H.diagonal())
        if not scale.all():
            scale[scale == 0] = 1.0
        H /= scale
        H /= scale[:, None]
        self.scale, self.factor = scale, _cholesky(H)
        self.fine = None
        if diagonal is not None and not coarse.is_all:
            rest = (coarse.place < 0) | (coarse.place >= own)
            fine = diagonal + penalty
            self.fine = np.divide(1.0, fine, out=np.zeros_like(fine), where=rest & (fine > 0))

    def times(self, factor: float) -> Metric:
        """The same metric, multiplied."""
        other = copy(self)
        other.scale = self.scale * np.sqrt(factor)
        other.fine = None if self.fine is None else self.fine / factor
        return other

    def solve(self, g: np.ndarray) -> np.ndarray:
        """H0^-1 g."""
        if self.coarse.is_all:
            x, _ = la.lapack.dpotrs(self.factor, g / self.scale, lower=1)
            x /= self.scale
            return x
        w = g[:-1] if self.intercept else g
        right = self.coarse.restrict(w)
        if self.intercept:
            right = np.append(right, g[-1])
        x, _ = la.lapack.dpotrs(self.factor, right / self.scale, lower=1)
        x /= self.scale
        step = self.coarse.extend(x[: self.coarse.size]) + self.fine * w
        return np.append(step, x[-1]) if self.intercept else step


def _mended(
    G: np.ndarray, coarse: Coarse, diagonal: np.ndarray | None, seen: np.ndarray | None
) -> np.ndarray:
    """G brought to the diagonal of all rows; correlations that rest on few rows made smaller."""
    k, own = coarse.size, coarse.n_own
    moments = G.diagonal()
    target = moments.copy()
    if diagonal is not None:
        target[:own] = coarse.own(diagonal)
    trust = np.ones(k + 1)
    if seen is not None:
        trust[:own] = np.minimum(1.0, coarse.own(seen) / ENOUGH_ROWS)
    factor = np.sqrt(np.divide(trust * target, moments, out=np.zeros(k + 1), where=moments > 0))
    H = G * np.outer(factor, factor)
    np.fill_diagonal(H, target)
    return H


def _cholesky(A: np.ndarray) -> np.ndarray:
    """The lower factor of a matrix with diagonal 1 (or 0), made definite by as little as it takes.

    A direction without curvature has no gradient either; what is added there is of no consequence.
    """
    index = np.arange(len(A))
    ridge = 1e-14 * len(A)
    while True:
        A[index, index] = 1.0 + ridge
        factor, info = la.lapack.dpotrf(A, lower=1)
        if info == 0:
            return factor
        ridge *= 10.0
