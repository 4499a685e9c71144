"""The inverse of an information matrix, and which coefficients the data determine."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg as la

from .standard_rows import Standard

_SINGULAR = 1e-13  # eigenvalues of the scaled matrix below this share of the largest are zero
_WELL_CONDITIONED = 1e-10  # a reciprocal condition number from which no eigenvalue can be zero
_PART = 1e-5  # the smallest share of a coefficient in a direction that the data do not determine


class Inverse(NamedTuple):
    """The inverse of a positive semidefinite matrix on the space where it is definite.

    Attributes
    ----------
    matrix : ndarray, shape (m, m)
        A symmetric generalised inverse.
    null : ndarray, shape (m, r)
        A basis of the null space; r = 0 if the matrix is regular.
    scale : ndarray, shape (m,)
        The factors of rows and columns that turn the diagonal to ones.
    condition : float
        The condition number of the scaled matrix, on that space.
    """

    matrix: np.ndarray
    null: np.ndarray
    scale: np.ndarray
    condition: float


def invert(H: np.ndarray) -> Inverse:
    """Invert a positive semidefinite matrix after scaling its diagonal to ones."""
    diagonal = np.diag(H)
    scale = np.divide(1.0, np.sqrt(diagonal), out=np.ones_like(diagonal), where=diagonal > 0)
    C = H * np.outer(scale, scale)
    try:
        factor = la.cholesky(C, check_finite=False)
        rcond, _ = la.lapack.dpocon(factor, np.abs(C).sum(axis=0).max())
    except la.LinAlgError:
        rcond = 0.0
    m = len(H)
    if rcond > _WELL_CONDITIONED:
        matrix = la.cho_solve((factor, False), np.identity(m), check_finite=False)
        matrix = (matrix + matrix.T) * (0.5 * np.outer(scale, scale))
        return Inverse(matrix, np.zeros((m, 0)), scale, 1.0 / float(rcond))
    values, vectors = la.eigh(C, check_finite=False)
    kept = values > _SINGULAR * max(values[-1], 0.0)
    if not kept.any():
        return Inverse(np.zeros_like(H), np.diag(scale), scale, np.inf)
    root = vectors[:, kept] / np.sqrt(values[kept]) * scale[:, None]
    condition = float(values[-1] / values[kept][0])
    return Inverse(root @ root.T, vectors[:, ~kept] * scale[:, None], scale, condition)


def determined(null: np.ndarray, scale: np.ndarray, standard: Standard) -> np.ndarray:
    """Return which coefficients of (x, 1) the data determine, as a mask of shape (q, p).

    A coefficient is not determined if it differs between two points that the likelihood cannot
    tell from each other, as the weights of columns that depend on each other linearly do.

    Parameters
    ----------
    null : ndarray, shape (q p, r)
        The directions, in coefficients for z, along which the likelihood is constant.
    scale : ndarray, shape (q p,)
        The size of each entry of ``null`` that counts as one.
    standard : Standard
        The coordinates z.
    """
    p = standard.n_terms
    entries = np.abs(null / scale[:, None]).T.reshape(-1, len(scale) // p, p)
    signed = np.where(entries > _PART, null.T.reshape(entries.shape), 0.0)
    parts = signed.copy()
    if standard.intercept:  # b = b_z - sum_j w_zj centre_j/unit_j
        parts[:, :, :-1] *= -standard.centre / standard.unit
        change, size = parts.sum(axis=2), np.abs(parts).sum(axis=2)
        signed[:, :, -1] = np.where(np.abs(change) > 1e-6 * size, change, 0.0)
    return np.logical_not(np.any(signed != 0, axis=0))
