"""The geometry that a covariance matrix S defines: norms, projections, solves and the spectrum."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg as la

from .validation import complaint, matrix


class Geometry:
    """The norms ||.||_S and ||.||_{S^-1} of a covariance matrix S, and its spectrum.

    Parameters
    ----------
    S : array-like, shape (d, d)
        Symmetric, positive semidefinite and not zero.
    d : int
        The expected number of rows and columns.
    who : str
        The caller that error messages name.

    Attributes
    ----------
    S : ndarray, shape (d, d)
        The matrix.

    Notes
    -----
    Rank and solves are computed in the correlation scale diag(S)^(-1/2) S diag(S)^(-1/2), so that
    they do not depend on the units of the features.
    """

    def __init__(self, S: Any, d: int, who: str) -> None:
        self.S = _covariance(S, d, who)

    @cached_property
    def _whitening_and_null_basis(self) -> tuple[np.ndarray, np.ndarray]:
        """P with ||P^T v||_2 = ||v||_{S^-1} on range(S), and N, whose columns span null(S)."""
        scale = np.sqrt(np.diag(self.S))
        inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
        values, vectors = la.eigh(self.S * np.outer(inverse, inverse))
        d = len(scale)
        if values[0] < -1e-8 * d:
            got = f"a matrix with a negative eigenvalue ({values[0]:.2g} in correlation units)"
            raise ValueError(complaint("Moments", "S", "be positive semidefinite", got))
        kept = values > 64 * np.finfo(float).eps * d * values[-1]
        P = (inverse[:, None] * vectors[:, kept]) / np.sqrt(values[kept])
        if kept.all():
            return P, np.zeros((d, 0))
        # The null space of S is spanned by the null vectors of the correlation matrix, divided by
        # the scale, and by the constant columns, whose scale is zero.
        constant = scale == 0
        null = np.where(constant[:, None], vectors, vectors * inverse[:, None])[:, ~kept]
        return P, null / np.linalg.norm(null, axis=0)

    @cached_property
    def _null_coordinates(self) -> np.ndarray:
        """The pseudo-inverse of N, which gives the coordinates of a vector's part in null(S)."""
        return la.pinv(self._whitening_and_null_basis[1])

    @property
    def whitening(self) -> np.ndarray:
        """P, shape (d, rank), with P^T S P = I, so that wt = P v has ||wt||_S = ||v||_2."""
        return self._whitening_and_null_basis[0]

    def project(self, w: np.ndarray) -> np.ndarray:
        """Return the component of w in the range of S; the rest does not change any margin.

        Parameters
        ----------
        w : ndarray, shape (d,)
            The vector.

        Returns
        -------
        ndarray, shape (d,)
            The orthogonal projection.

        Notes
        -----
        N is not orthonormal: its entries are accurate relative to the units of the features, so
        that subtracting any combination of its columns leaves all margins as they are. An
        orthonormal basis would lose that accuracy if units differ by many orders of magnitude.
        """
        null = self._whitening_and_null_basis[1]
        return w - null @ (self._null_coordinates @ w) if null.shape[1] else w

    def project_dual(self, v: np.ndarray) -> np.ndarray:
        """Project a vector of the dual space, such as u or a gradient, to the range of S.

        Parameters
        ----------
        v : ndarray, shape (d,)
            The vector.

        Returns
        -------
        ndarray, shape (d,)
            S S^-1 v, whose rounding errors are relative to the units of each feature.
        """
        P, null = self._whitening_and_null_basis
        return self.S @ (P @ (P.T @ v)) if null.shape[1] else v

    def solve(self, v: np.ndarray) -> np.ndarray:
        """Return S^-1 v, with the pseudo-inverse in place of S^-1 if S is singular.

        Parameters
        ----------
        v : ndarray, shape (d,)
            A vector in the range of S.

        Returns
        -------
        ndarray, shape (d,)
            The solution in the range of S.
        """
        P = self._whitening_and_null_basis[0]
        return self.project(P @ (P.T @ v))

    def norm(self, w: np.ndarray) -> float:
        """Return ||w||_S = sqrt(w^T S w).

        Parameters
        ----------
        w : ndarray, shape (d,)
            The vector.

        Returns
        -------
        float
            The norm.
        """
        size = float(np.abs(w).max())
        if not 0 < size < np.inf:
            return size
        w = w / size  # so that its square neither overflows nor vanishes
        squared = float(w @ (self.S @ w))
        return size * float(np.sqrt(max(squared, 0.0)))

    def dual_norm(self, v: np.ndarray) -> float:
        """Return ||v||_{S^-1} = sqrt(v^T S^-1 v).

        Parameters
        ----------
        v : ndarray, shape (d,)
            A vector in the range of S.

        Returns
        -------
        float
            The norm.
        """
        return float(np.linalg.norm(self._whitening_and_null_basis[0].T @ v))

    # ------------------------------------------------------------------ the spectrum

    @property
    def rank(self) -> int:
        """The rank of S."""
        return self._whitening_and_null_basis[0].shape[1]

    @cached_property
    def eigen(self) -> tuple[np.ndarray, np.ndarray]:
        """The eigenvalues of S, ascending and >= 0, and its eigenvectors as columns."""
        values, vectors = la.eigh(self.S)
        return np.maximum(values, 0.0), vectors

    @property
    def L(self) -> float:
        """The largest eigenvalue of S."""
        return float(self.eigen[0][-1])

    @cached_property
    def mu(self) -> float:
        """The smallest non-zero eigenvalue of S."""
        return float(1.0 / np.linalg.norm(self.project(self.whitening), 2) ** 2)

    @property
    def condition_number(self) -> float:
        """The condition number L/mu of S on its range."""
        return max(self.L / self.mu, 1.0)


def _covariance(S: Any, d: int, who: str) -> np.ndarray:
    """Return S, made exactly symmetric; its eigenvalues are checked where they are computed."""
    S = matrix(S, who, "S", (d, d))
    scale = np.sqrt(np.maximum(np.diag(S), 0.0))
    products = np.outer(scale, scale)
    slack = 1e-8 * products + 1e-14 * scale.max() ** 2
    if (np.abs(S - S.T) > slack).any():
        raise ValueError(complaint(who, "S", "be symmetric", "a matrix that is not"))
    impossible = np.abs(S) > products + slack
    if impossible.any():
        row, column = (int(i) for i in np.argwhere(impossible)[0])
        got = (
            f"{S[row, column]:g} in row {row}, column {column}, which is too large for its diagonal"
        )
        raise ValueError(complaint(who, "S", "be positive semidefinite", got))
    if not scale.any():
        raise ValueError(complaint(who, "S", "not be zero", "a matrix of zeros"))
    return (S + S.T) / 2
