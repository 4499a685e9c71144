"""The inverse of an information matrix, singular or not, with a penalty or without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as la

_SINGULAR = 1e-13  # eigenvalues of the scaled information below this share of the largest are zero
_SAFE = 1e-10  # reciprocal condition number from which no eigenvalue of a matrix can be zero
_SAFE_PENALISED = 1e-4  # the same with a penalty: its square times 1e-16 is the rounding error
_SAFE_INFORMATION = 1e-8  # the same for the information alone
_LIGHT = 1e-6  # share of the information in a diagonal entry of the sum


@dataclass(frozen=True)
class Inverse:
    """The inverse of H = J + P for an information J and a penalty P.

    The rounding errors of J are enlarged by P^-1 twice along directions in which J is zero, in
    products such as H^-1 J H^-1. Such directions are therefore axes of the basis, and products with
    J and with sums of scores are exactly zero along them.

    Attributes
    ----------
    basis : ndarray, shape (m,) or (m, m)
        The matrix F of basis vectors, or its diagonal.
    core : ndarray, shape (m, m)
        (F^T H F)^-1; zero along directions in which H is zero.
    inside : ndarray of bool, shape (m,)
        The basis vectors along which J is not zero.
    scale : ndarray, shape (m,)
        The factors of rows and columns that turn the diagonal of H to ones.
    null : ndarray, shape (m, r)
        A basis of the null space of H.
    condition : float
        The condition number of the scaled H on the space where it is not zero.
    """

    basis: np.ndarray
    core: np.ndarray
    inside: np.ndarray
    scale: np.ndarray
    null: np.ndarray
    condition: float

    @property
    def matrix(self) -> np.ndarray:
        """H^-1, a symmetric generalised inverse, shape (m, m)."""
        return self._out(self.core)

    def on_rows(self) -> np.ndarray:
        """Return H^-1 in the span of the rows, which is enough for z^T H^-1 z."""
        return self._out(self.core * np.outer(self.inside, self.inside))

    def root(self) -> np.ndarray:
        """Return R with R R^T = H^-1, shape (m, m)."""
        return self._times(_root(self.core))

    def sandwich_root(self, squares: np.ndarray) -> np.ndarray:
        """Return R = H^-1 B^(1/2), shape (m, m), of which R R^T is the sandwich H^-1 B H^-1.

        The null space of B, which is positive semidefinite, must contain that of J. A product of
        the matrices themselves would have its small entries, those of weights that a penalty holds
        or of sums that cancel, as differences of large ones.
        """
        return self._times(self.core @ _root(self._into(squares)))

    def trace(self, information: np.ndarray) -> float:
        """Return tr(J H^-1)."""
        return float(np.sum(self._into(information) * self.core))

    def solve(self, slopes: np.ndarray, pull: np.ndarray) -> tuple[np.ndarray, float]:
        """Return H^-1 (g - h), and (g - h)^T H^-1 (g - h), for a sum of scores g and any h."""
        if self.basis.ndim == 1:
            rhs = self.basis * (slopes - pull)
        else:
            rhs = self.inside * (self.basis.T @ slopes) - self.basis.T @ pull
        step = self.core @ rhs
        return (self.basis * step if self.basis.ndim == 1 else self.basis @ step), float(rhs @ step)

    def _times(self, root: np.ndarray) -> np.ndarray:
        return self.basis[:, None] * root if self.basis.ndim == 1 else self.basis @ root

    def _into(self, B: np.ndarray) -> np.ndarray:
        if self.basis.ndim == 1:
            return B * np.outer(self.basis, self.basis)
        return (self.basis.T @ B @ self.basis) * np.outer(self.inside, self.inside)

    def _out(self, core: np.ndarray) -> np.ndarray:
        F = self.basis
        M = core * np.outer(F, F) if F.ndim == 1 else F @ core @ F.T
        return (M + M.T) / 2


def invert(J: np.ndarray, P: np.ndarray | None = None) -> Inverse:
    """Invert J + P for positive semidefinite matrices of any scale.

    Parameters
    ----------
    J : ndarray, shape (m, m)
        An information matrix, with rounding errors.
    P : ndarray, shape (m, m), optional
        The Hessian of a penalty.
    """
    H = J if P is None else J + P
    scale = _unit_factors(np.diag(H))
    units, m = np.outer(scale, scale), len(H)
    factor, rcond = _factorized(H * units)
    safe = rcond > (_SAFE if P is None else _SAFE_PENALISED)
    if not safe and P is not None and rcond > _SAFE:
        own = _unit_factors(np.diag(J))
        safe = _factorized(J * np.outer(own, own))[1] > _SAFE_INFORMATION
    if safe:
        core = la.cho_solve((factor, False), np.identity(m), check_finite=False)
        everything = np.ones(m, bool)
        return Inverse(scale, core, everything, scale, np.zeros((m, 0)), 1.0 / rcond)

    C = J * units
    # Where the penalty outweighs the information, there is nothing to enlarge, and eigenvectors
    # would lose the small entries; the axes stay as they are.
    light = np.flatnonzero(np.diag(C) > _LIGHT)
    values, vectors = np.linalg.eigh(C[np.ix_(light, light)])
    largest = max(values[-1], 0.0) if len(values) else 0.0
    inside = np.ones(m, bool)
    inside[light] = values > _SINGULAR * largest
    inside &= np.isin(np.arange(m), light) | (np.diag(C) > 0)
    basis = np.identity(m)
    basis[np.ix_(light, light)] = vectors
    basis *= scale[:, None]
    own = (basis.T @ J @ basis) * np.outer(inside, inside)
    own[np.ix_(light, light)] = np.diag(np.where(inside[light], values, 0.0))
    whole = own if P is None else own + basis.T @ P @ basis
    used, core = np.diag(whole) > 0, np.zeros((m, m))
    if used.any():
        core[np.ix_(used, used)] = _pseudoinverse(whole[np.ix_(used, used)])
    kept = np.diag(whole)[used]
    condition = float(kept.max() / kept.min()) if len(kept) else np.inf
    return Inverse(basis, core, inside, scale, basis[:, ~used], condition)


def _unit_factors(diagonal: np.ndarray) -> np.ndarray:
    """Return the factors that turn a diagonal to ones; 1 for entries that are not positive."""
    roots = np.sqrt(np.maximum(diagonal, 0.0))
    return np.divide(1.0, roots, out=np.ones_like(roots), where=roots > 0)


def _factorized(C: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the Cholesky factor and the reciprocal condition number, 0 if there is no factor."""
    try:
        factor = la.cholesky(C, check_finite=False)
    except la.LinAlgError:
        return C, 0.0
    return factor, float(la.lapack.dpocon(factor, np.abs(C).sum(axis=0).max())[0])


def _root(B: np.ndarray) -> np.ndarray:
    """Return R with R R^T = B for a positive semidefinite B, by a pivoted Cholesky factor."""
    scale = _unit_factors(np.diag(B))
    factor, pivots, rank, _ = la.lapack.dpstrf(B * np.outer(scale, scale))
    factor = np.triu(factor)
    factor[rank:] = 0.0
    root = np.empty_like(factor)
    root[pivots - 1] = factor.T
    return root / scale[:, None]


def _pseudoinverse(H: np.ndarray) -> np.ndarray:
    """Return the inverse of a matrix of positive diagonal, on the space where it is definite."""
    scale = _unit_factors(np.diag(H))
    units = np.outer(scale, scale)
    factor, rcond = _factorized(H * units)
    if rcond > _SINGULAR:
        return la.cho_solve((factor, False), np.identity(len(H)), check_finite=False) * units
    values, vectors = np.linalg.eigh(H * units)
    kept = values > _SINGULAR * max(values[-1], 0.0)
    root = vectors[:, kept] / np.sqrt(values[kept])
    return root @ root.T * units
