"""Which coefficients the data determine."""

from __future__ import annotations

import numpy as np

from .standard_rows import Standard

_PART = 1e-5  # the smallest share of a coefficient in a direction that the data do not determine


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
