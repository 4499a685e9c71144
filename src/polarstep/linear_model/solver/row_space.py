"""Coordinates of the weights: one for each column of X, or one for each row.

If X has far more columns than rows, the optimum lies in the space that the rows span, because the
penalty ||w||^2 is smallest there among all w with the same margins. An orthonormal basis Q of that
space, X^T = Q R, keeps ||w||: with w = Q z the problem has n unknowns and the rows of R^T.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import scipy.linalg as la


class Coordinates(ABC):
    """A change of coordinates of the weights in theta; the intercept after them does not change."""

    @abstractmethod
    def enter(self, theta: np.ndarray) -> np.ndarray:
        """Convert weights of the columns of X to the coordinates of the problem."""

    @abstractmethod
    def leave(self, theta: np.ndarray) -> np.ndarray:
        """Convert the coordinates of the problem to weights of the columns of X."""


class ColumnCoordinates(Coordinates):
    """The identity: the coordinates are the weights of the columns of X."""

    def enter(self, theta: np.ndarray) -> np.ndarray:
        return theta

    def leave(self, theta: np.ndarray) -> np.ndarray:
        return theta


class RowSpace(Coordinates):
    """Coordinates in an orthonormal basis of the rows of a matrix, by Householder's QR.

    Parameters
    ----------
    X : ndarray, shape (n, d)
        A centred matrix with d >= n.

    Attributes
    ----------
    rows : ndarray, shape (n, n)
        The rows of X in the new coordinates, that is R^T.
    """

    def __init__(self, X: np.ndarray) -> None:
        (reflectors, factors), R = la.qr(X.T, mode="raw", check_finite=False)
        self._reflectors = np.asfortranarray(reflectors, np.float64)  # Q as LAPACK stores it
        self._factors = factors
        self._d, self._n = self._reflectors.shape
        self.rows = np.ascontiguousarray(R[: self._n].T, np.float64)

    def enter(self, theta: np.ndarray) -> np.ndarray:
        z = self._product("T", theta[: self._d])[: self._n]
        return np.append(z, theta[self._d :])

    def leave(self, theta: np.ndarray) -> np.ndarray:
        padded = np.zeros(self._d)
        padded[: self._n] = theta[: self._n]
        return np.append(self._product("N", padded), theta[self._n :])

    def _product(self, which: str, v: np.ndarray) -> np.ndarray:
        """Return Q v for "N" and Q^T v for "T"."""
        column = np.asfortranarray(v[:, None])
        work = max(1, 64 * len(v))
        out, _, _ = la.lapack.dormqr("L", which, self._reflectors, self._factors, column, work)
        return out[:, 0]
