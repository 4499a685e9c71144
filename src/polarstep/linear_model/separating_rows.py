"""Rows of several classes, in the scaled coordinates in which a separating direction is sought."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, cg

MOST_DENSE = 1_500  # largest number of unknowns for which a Gram matrix is factorized
_SAME = 1e-9  # differences below this share of their summands are rounding errors
_DISTINCT = 1e-6  # and differences above this share are not

Pairs = np.ndarray
"""One number for each row and class, shape (n, K)."""


class RowsOfClasses:
    """Rows z = ((x - centre)/unit, 1) with their classes; the first class has the weights zero.

    The unknowns theta, shape (K - 1, p), are the weights of the other classes. The *leads* of a row
    are the differences between the score of its class and the scores of all classes.

    Parameters
    ----------
    Z : ndarray or CSR array, shape (n, p)
    codes : ndarray of int, shape (n,)
        The index of each row's class.
    n_classes : int
        K.
    weight : ndarray, shape (n,)
        The weights of the rows in the logistic loss; they sum to 1.
    centre : ndarray, shape (d,)
    unit : ndarray, shape (p,)
        The number by which each column was divided.
    intercept : bool
        Whether z ends with a constant, so that p = d + 1; otherwise p = d and the centre is zero.
    """

    def __init__(
        self,
        Z: Any,
        codes: np.ndarray,
        n_classes: int,
        weight: np.ndarray,
        centre: np.ndarray,
        unit: np.ndarray,
        intercept: bool,
    ) -> None:
        self.Z, self.codes, self.n_classes, self.weight = Z, codes, n_classes, weight
        self.centre, self.unit, self.intercept = centre, unit, intercept
        self.shape = n_classes - 1, Z.shape[1]
        self.own = codes[:, None] == np.arange(n_classes)

    @classmethod
    def of_data(
        cls,
        X: Any,
        codes: np.ndarray,
        n_classes: int,
        weight: np.ndarray | None,
        *,
        intercept: bool,
    ) -> RowsOfClasses:
        """Scale the columns of X, and centre them if X is dense and there is an intercept."""
        n, d = X.shape
        centre = np.zeros(d)
        if sp.issparse(X):
            X = sp.csr_array(X, dtype=np.float64)
            unit = _nonzero(np.sqrt(np.asarray(X.multiply(X).mean(axis=0), float).ravel()))
            Z: Any = sp.csr_array((X.data / unit[X.indices], X.indices, X.indptr), shape=X.shape)
            if intercept:  # constant columns would share the offset between them
                Z.data[_constant(X)[Z.indices]] = 0.0
                Z = sp.csr_array(sp.hstack([Z, sp.csr_array(np.ones((n, 1)))], format="csr"))
        else:
            Z = np.empty((n, d + intercept))
            if intercept:
                centre = X[0] + (X - X[0]).mean(axis=0, dtype=np.float64)
                Z[:, -1] = 1.0
            np.subtract(X, centre, out=Z[:, :d])
            unit = _nonzero(np.sqrt(np.square(Z[:, :d]).mean(axis=0)))
            Z[:, :d] /= unit
        if intercept:
            unit = np.append(unit, 1.0)
        share = np.full(n, 1.0 / n) if weight is None else weight / weight.sum()
        return cls(Z, codes, n_classes, share, centre, unit, intercept)

    def equilibrated(self) -> RowsOfClasses:
        """Return the rows scaled to norm 1 and of equal weight; the same directions separate them.

        The columns are scaled again, because a few large rows may have determined their units.
        """
        Z, unit = self.Z, self.unit
        for _ in range(2):
            norms = 1.0 / _nonzero(np.sqrt(_squared(Z).sum(axis=1)))
            Z = sp.csr_array(sp.diags_array(norms) @ Z) if sp.issparse(Z) else Z * norms[:, None]
            sizes = _nonzero(np.sqrt(_squared(Z).mean(axis=0)))
            Z = sp.csr_array(Z @ sp.diags_array(1.0 / sizes)) if sp.issparse(Z) else Z / sizes
            unit = unit * sizes
        weight = np.full(len(self.codes), 1.0 / len(self.codes))
        return RowsOfClasses(
            Z, self.codes, self.n_classes, weight, self.centre, unit, self.intercept
        )

    # ------------------------------------------------------------------ coordinates

    def enter(self, coefficients: np.ndarray) -> np.ndarray:
        """Convert weights and offsets, shape (1 or K, d + 1), to theta."""
        if len(coefficients) == self.n_classes:
            coefficients = coefficients[1:] - coefficients[:1]
        w = coefficients[:, :-1]
        if not self.intercept:
            return w * self.unit
        b = coefficients[:, -1] + w @ self.centre
        return np.column_stack([w, b]) * self.unit

    def leave(self, theta: np.ndarray) -> np.ndarray:
        """Convert theta to the weights and offsets of all classes, shape (K, d + 1)."""
        theta = theta / self.unit
        w, b = theta[:, : len(self.centre)], np.zeros(len(theta))
        if self.intercept:
            b = theta[:, -1] - w @ self.centre
        return np.vstack([np.zeros(w.shape[1] + 1), np.column_stack([w, b])])

    # ------------------------------------------------------------------ products

    def scores(self, theta: np.ndarray) -> Pairs:
        """Return the scores of all classes; those of the first class are zero."""
        return np.column_stack([np.zeros(len(self.codes)), np.asarray(self.Z @ theta.T)])

    def combine(self, R: Pairs) -> np.ndarray:
        """Return the transpose of `scores` applied to R, shape (K - 1, p)."""
        return np.asarray(self.Z.T @ R[:, 1:]).T

    def leads_of(self, scores: Pairs) -> Pairs:
        """Return the leads, which are zero for the class of the row itself."""
        return scores[np.arange(len(scores)), self.codes][:, None] - scores

    def separates(self, theta: np.ndarray) -> bool:
        """Whether no lead is negative and some lead is positive, up to rounding errors."""
        leads, sizes = self.leads_of(self.scores(theta)), self._sizes(theta)
        return bool((leads >= -_SAME * sizes).all() and (leads > _DISTINCT * sizes).any())

    def _sizes(self, theta: np.ndarray) -> Pairs:
        """Return the sums of the absolute values of the summands of the leads."""
        sizes = np.column_stack([np.zeros(len(self.codes)), abs(self.Z) @ np.abs(theta).T])
        return sizes + sizes[np.arange(len(sizes)), self.codes][:, None]

    # ------------------------------------------------------------------ linear systems

    def solve_for_leads(self, chosen: np.ndarray, theta: np.ndarray, ridge: float) -> np.ndarray:
        """Return the part of theta on which the chosen leads depend, up to a small ridge.

        `chosen` says for each row and class whether its lead is meant, shape (n, K).
        """

        def times(V: Pairs) -> Pairs:
            leads = np.where(chosen, self.leads_of(V), 0.0)
            out = -leads
            out[self.own] += leads.sum(axis=1)
            return out

        right = self.combine(times(self.scores(theta)))
        return self.solve(times, self._block_of_leads(chosen), right, ridge)

    def _block_of_leads(self, chosen: np.ndarray) -> Callable[[int, int], np.ndarray]:
        counts = chosen.sum(axis=1)

        def block(k: int, m: int) -> np.ndarray:
            own_k, own_m = self.own[:, k], self.own[:, m]
            if k == m:
                return np.where(own_k, counts, chosen[:, k]).astype(float)
            return -(own_k * chosen[:, m]).astype(float) - own_m * chosen[:, k]

        return block

    def kernel(self, chosen: np.ndarray) -> list[np.ndarray]:
        """Return a basis of the thetas on which the chosen leads do not depend."""
        scale, A = self._scaled(self._block_of_leads(chosen))
        values, vectors = np.linalg.eigh(A)
        flat = vectors[:, values <= 1e-10 * len(values)].T / scale
        return [(v / np.abs(v).max()).reshape(self.shape) for v in flat]

    def solve(
        self,
        times: Callable[[Pairs], Pairs],
        block: Callable[[int, int], np.ndarray],
        right: np.ndarray,
        ridge: float,
    ) -> np.ndarray:
        """Solve (A + ridge diag A) theta = right, where A is the sum of B_i (x) z_i z_i^T.

        Parameters
        ----------
        times : callable
            The function that multiplies the scores of each row by B_i, shape (K, K).
        block : callable
            The function that returns the entry (k, l) of all B_i, shape (n,).
        right : ndarray, shape (K - 1, p)
        ridge : float
        """
        if right.size > MOST_DENSE:
            return self._solve_iteratively(times, right, ridge, self._scale(block))
        scale, A = self._scaled(block)
        while True:
            A[np.diag_indices_from(A)] = 1.0 + ridge
            factor, info = la.lapack.dpotrf(A, lower=1)
            if info == 0:
                break
            ridge *= 10.0
        found, _ = la.lapack.dpotrs(factor, right.ravel() / scale, lower=1)
        return (found / scale).reshape(self.shape)

    def _scale(self, block: Callable[[int, int], np.ndarray]) -> np.ndarray:
        """Return the square roots of the diagonal of the sum of B_i (x) z_i z_i^T."""
        squares, classes = _squared(self.Z), range(1, self.n_classes)
        diagonal = np.concatenate([np.asarray(squares.T @ block(k, k)).ravel() for k in classes])
        return _nonzero(np.sqrt(np.maximum(diagonal, 0.0)))

    def _scaled(self, block: Callable[[int, int], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return the scale, and the sum of B_i (x) z_i z_i^T scaled to the diagonal 1."""
        scale, (count, p) = self._scale(block), self.shape
        A = np.empty((count * p, count * p))
        for k in range(count):
            for m in range(k + 1):
                part = self._weighted_gram(block(k + 1, m + 1))
                A[k * p : (k + 1) * p, m * p : (m + 1) * p] = part
                A[m * p : (m + 1) * p, k * p : (k + 1) * p] = part
        A /= np.outer(scale, scale)
        return scale, A

    def _weighted_gram(self, h: np.ndarray) -> np.ndarray:
        if sp.issparse(self.Z):
            return (self.Z.T @ (sp.diags_array(h) @ self.Z)).toarray()
        return self.Z.T @ (h[:, None] * self.Z)

    def _solve_iteratively(
        self,
        times: Callable[[Pairs], Pairs],
        right: np.ndarray,
        ridge: float,
        scale: np.ndarray,
    ) -> np.ndarray:
        def product(v: np.ndarray) -> np.ndarray:
            theta = (v / scale).reshape(self.shape)
            return self.combine(times(self.scores(theta))).ravel() / scale + ridge * v

        size = right.size
        operator = LinearOperator((size, size), product, dtype=np.float64)
        found, _ = cg(operator, right.ravel() / scale, rtol=1e-10, maxiter=500)
        return (found / scale).reshape(self.shape)


def _constant(X: Any) -> np.ndarray:
    """Return which columns of a CSR array have the same value in every row."""
    low, high = (np.asarray(e.toarray()).ravel() for e in (X.min(axis=0), X.max(axis=0)))
    return low == high


def _squared(Z: Any) -> Any:
    return Z.multiply(Z) if sp.issparse(Z) else np.square(Z)


def _nonzero(values: np.ndarray) -> np.ndarray:
    """Return the values with every zero replaced by 1."""
    return np.where(values > 0, values, 1.0)
