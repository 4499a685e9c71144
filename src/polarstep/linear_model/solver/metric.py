"""The metric of the solver: an approximation of the Hessian that is cheap to factorize.

With up to a few thousand columns the metric is a weighted Gram matrix of a subsample, rescaled to
the diagonal of all rows, so that the curvature of a column that is rare in the subsample is not
underestimated. With more columns it has two levels, like the preconditioners of additive Schwarz
type for partial differential equations (Nicolaides 1987): the diagonal, and a Gram matrix of the
frequent columns and of *sums* of the others. The sums matter where columns are indicators: the
indicators of one category add up to 1, so that f is almost flat along their sum, which a diagonal
metric cannot represent.
"""

from __future__ import annotations

from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg as la

from .columns import GramColumns
from .penalty import Penalty
from .weighted_rows import WeightedRows

ENOUGH_ROWS = 100  # effective rows of a column that make its moments reliable


class SecondMoments:
    """The weighted second moments of a sample, computed on first use.

    One object serves all problems that differ only in their labels or their loss.

    Parameters
    ----------
    samples : WeightedRows
    columns : GramColumns

    Attributes
    ----------
    is_known : bool
        Whether the moments have been computed.
    """

    def __init__(self, samples: WeightedRows[Any], columns: GramColumns) -> None:
        self._samples, self._columns, self.is_known = samples, columns, False

    @cached_property
    def values(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The Gram matrix of the columns and of 1; and the diagonal, or None if G has all of it."""
        self.is_known = True
        samples, columns = self._samples, self._columns
        G = samples.gram(samples.weight, columns.place, columns.size)
        return G, None if columns.all_single else samples.squares(samples.weight)


class HessianMetric:
    """A positive definite approximation H0 of the Hessian, in factorized form.

    Parameters
    ----------
    G : ndarray, shape (k+1, k+1)
        Weighted second moments of the Gram columns and of 1 (the intercept), as
        `WeightedRows.gram` returns them.
    columns : GramColumns
    penalty : Penalty
    intercept : bool
        Whether theta ends with an intercept.
    diagonal : ndarray, shape (d,), optional
        The diagonal of H0 on the columns of X, without the penalty. By default that of G.
    effective_rows : ndarray, shape (d,), optional
        The number of rows that effectively determine the moments of each column in G. If it is
        below `ENOUGH_ROWS`, the correlations of the column are shrunk. By default none are.
    """

    def __init__(
        self,
        G: np.ndarray,
        columns: GramColumns,
        penalty: Penalty,
        intercept: bool,
        diagonal: np.ndarray | None = None,
        effective_rows: np.ndarray | None = None,
    ) -> None:
        self.columns, self.intercept = columns, intercept
        if diagonal is not None or effective_rows is not None:
            G = _rescaled(G, columns, diagonal, effective_rows)
        H = G.copy() if intercept else G[: columns.size, : columns.size].copy()
        penalty.add_to_gram(H, columns)
        scale = np.sqrt(H.diagonal())
        if not scale.all():
            scale[scale == 0] = 1.0
        H /= scale
        H /= scale[:, None]
        self.scale, self.factor = scale, cholesky_with_ridge(H)
        self.inverse_of_rest: np.ndarray | None = None
        if diagonal is not None and not columns.all_single:
            rest = (columns.place < 0) | (columns.place >= columns.n_single)
            fine = diagonal + penalty.diagonal
            inverse = np.divide(1.0, fine, out=np.zeros_like(fine), where=rest & (fine > 0))
            self.inverse_of_rest = inverse

    def times(self, factor: float) -> HessianMetric:
        """Return the metric factor * H0."""
        other = copy(self)
        other.scale = self.scale * np.sqrt(factor)
        if self.inverse_of_rest is not None:
            other.inverse_of_rest = self.inverse_of_rest / factor
        return other

    def solve(self, g: np.ndarray) -> np.ndarray:
        """Return H0^-1 g."""
        if self.columns.all_single:
            return self._solve_gram(g)
        w = g[:-1] if self.intercept else g
        right = self.columns.restrict(w)
        x = self._solve_gram(np.append(right, g[-1]) if self.intercept else right)
        step = self.columns.extend(x[: self.columns.size]) + self.inverse_of_rest * w
        return np.append(step, x[-1]) if self.intercept else step

    def solve_rows(self, g: np.ndarray) -> np.ndarray:
        """Return the products of H0^-1 with the rows of g, which are solved for together."""
        columns, w = self.columns, g[:, :-1] if self.intercept else g
        right = g
        if not columns.all_single:
            right = np.array([columns.restrict(row) for row in w])
            if self.intercept:
                right = np.column_stack([right, g[:, -1]])
        x, _ = la.lapack.dpotrs(self.factor, (right / self.scale).T, lower=1)
        solved = x.T / self.scale
        if columns.all_single:
            return solved
        step = np.array([columns.extend(row[: columns.size]) for row in solved])
        step += self.inverse_of_rest * w
        return np.column_stack([step, solved[:, -1]]) if self.intercept else step

    def _solve_gram(self, right: np.ndarray) -> np.ndarray:
        x, _ = la.lapack.dpotrs(self.factor, right / self.scale, lower=1)
        x /= self.scale
        return x


class DiagonalMetric:
    """A diagonal approximation H0 of the Hessian, for columns that are nearly uncorrelated.

    Its overall scale does not matter, because the method fits it to each step.

    Parameters
    ----------
    diagonal : ndarray
        The positive entries of H0, with that of the intercept if there is one.
    """

    def __init__(self, diagonal: np.ndarray) -> None:
        self.diagonal = diagonal

    def solve(self, g: np.ndarray) -> np.ndarray:
        """Return H0^-1 g."""
        return g / self.diagonal


def _rescaled(
    G: np.ndarray,
    columns: GramColumns,
    diagonal: np.ndarray | None,
    effective_rows: np.ndarray | None,
) -> np.ndarray:
    """Rescale G to a given diagonal, and shrink the correlations of columns with few rows."""
    k, single = columns.size, columns.n_single
    moments = G.diagonal()
    target = moments.copy()
    if diagonal is not None:
        target[:single] = columns.of_single(diagonal)
    trust = np.ones(k + 1)
    if effective_rows is not None:
        trust[:single] = np.minimum(1.0, columns.of_single(effective_rows) / ENOUGH_ROWS)
    factor = np.sqrt(np.divide(trust * target, moments, out=np.zeros(k + 1), where=moments > 0))
    H = G * np.outer(factor, factor)
    np.fill_diagonal(H, target)
    return H


def cholesky_with_ridge(A: np.ndarray) -> np.ndarray:
    """Return the lower Cholesky factor of a matrix of diagonal 1 or 0, plus the smallest ridge.

    The ridge is raised until the matrix is positive definite. It does no harm, because along a
    direction without curvature there is no gradient either.
    """
    index = np.arange(len(A))
    ridge = 1e-14 * len(A)
    while True:
        A[index, index] = 1.0 + ridge
        factor, info = la.lapack.dpotrf(A, lower=1)
        if info == 0:
            return factor
        ridge *= 10.0
