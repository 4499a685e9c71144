"""The weights of least norm among those with the same margins, for data with collinear columns.

Without a penalty the optimum is not unique if columns are collinear. The one of least norm is the
limit of the penalised optima as C goes to infinity. It lies in the space that the rows (with an
intercept: the centred rows) span, and no choice of units decides which columns count as collinear.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, lsqr

from .solver.weighted_rows import WeightedRows

_MOST_DENSE = 3_000  # largest number of rows or columns for which a Gram matrix is decomposed
_LARGEST = 20_000_000  # largest number of values of X for which the rows are decomposed
_FLAT = 1e-13  # eigenvalues below it, for each row, count as zero
_SUSPECT = 1e-5  # eigenvalues of the correlations below it call for a closer look
_NULL = 1e-10  # root mean square of a combination of standardised columns that counts as zero
_CLOSE = 1e-8  # largest change of the margins, relative to their root mean square
_CHUNK = 1 << 20  # values of X that are standardised at a time


class LeastNorm:
    """The projection of weights onto the space of the rows of a sample.

    Parameters
    ----------
    samples : WeightedRows
        The rows. Their labels and their loss do not matter.
    intercept : bool
        Whether there is an intercept, so that the rows are centred.
    """

    def __init__(self, samples: WeightedRows[Any], intercept: bool) -> None:
        self.samples, self.intercept = samples, intercept

    def of(self, theta: np.ndarray) -> np.ndarray:
        """Return the theta of least norm with the same margins.

        The result is theta itself if the columns are independent, or if the margins would change by
        more than rounding errors.
        """
        for change_of in (self._change_by_rows, self._change_by_kernel, self._change_by_lsqr):
            change = change_of(theta[: self.samples.d])
            found = None if change is None else self._changed(theta, change)
            if found is not None:
                return found
        return theta

    def _changed(self, theta: np.ndarray, change: np.ndarray) -> np.ndarray | None:
        """Return theta after a change of w, or None if the margins change."""
        samples, d = self.samples, self.samples.d
        w, b, shift = theta[:d], 0.0, 0.0
        if self.intercept:
            b, shift = float(theta[d]), -float(self._means @ change)
        moved = samples.root_mean_square(samples.project(change, shift))
        if not moved <= _CLOSE * samples.root_mean_square(samples.project(w, b)):
            return None
        return np.append(w + change, b + shift) if self.intercept else w + change

    # ------------------------------------------------------------------ few rows

    def _change_by_rows(self, w: np.ndarray) -> np.ndarray | None:
        """Solve (X - means) v = (X - means) w for v = (X - means)^T a, if there are few rows."""
        n, d = self.samples.n, self.samples.d
        if n >= d or n > _MOST_DENSE or n * d > _LARGEST:
            return None
        found = self.samples.in_memory()
        if found is None:
            return None
        X = found[0].toarray() if sp.issparse(found[0]) else found[0]
        Z = X - self.samples.centre
        if self.intercept:
            Z -= Z.mean(axis=0)
        size = np.sqrt(np.square(Z).sum(axis=1))
        size[size == 0] = 1.0
        values, vectors = la.eigh(Z @ Z.T / np.outer(size, size), check_finite=False)
        inverse = np.where(values > _FLAT * n, 1.0 / np.where(values > 0, values, 1.0), 0.0)
        margins, v = Z @ w, np.zeros(d)
        for _ in range(4):  # refine the solution
            residual = (margins - Z @ v) / size
            v += Z.T @ (vectors @ (inverse * (vectors.T @ residual)) / size)
        return v - w

    # ------------------------------------------------------------------ few columns

    def _change_by_kernel(self, w: np.ndarray) -> np.ndarray | None:
        """Subtract from w what lies in the kernel of the standardised columns."""
        if len(w) > _MOST_DENSE or self._kernel is None:
            return None
        # The columns of the kernel may differ in their units by many orders of magnitude.
        K = self._kernel / self._unit[:, None]
        K = K / np.linalg.norm(K, axis=0)
        return -K @ la.lstsq(K, w, lapack_driver="gelsy", check_finite=False)[0]

    @cached_property
    def _gram(self) -> np.ndarray:
        samples, d = self.samples, self.samples.d
        return samples.gram(samples.weight, np.arange(d, dtype=np.int32), d)

    @cached_property
    def _means(self) -> np.ndarray:
        """The weighted means of x - centre, shape (d,)."""
        samples = self.samples
        if samples.d <= _MOST_DENSE:
            return self._gram[:-1, -1] / self._gram[-1, -1]
        found = samples.in_memory()
        assert found is not None  # LSQR is used in memory only
        return found[0].T @ (samples.weight / samples.weight.sum()) - samples.centre

    @cached_property
    def _unit(self) -> np.ndarray:
        """The standard deviations of the columns (without an intercept, their root mean squares).

        Those of constant columns are replaced by 1.
        """
        second = self._gram.diagonal()[:-1] / self._gram[-1, -1]
        variance = second - np.square(self._means) if self.intercept else second
        return np.sqrt(np.where(variance > 1e-13 * second, variance, 1.0))

    @cached_property
    def _kernel(self) -> np.ndarray | None:
        """A basis of the combinations of standardised columns that vanish, or None if none do."""
        C = self._gram[:-1, :-1] / self._gram[-1, -1]
        if self.intercept:
            C = C - np.outer(self._means, self._means)
        C /= np.outer(self._unit, self._unit)
        shifted = C.copy()
        shifted[np.diag_indices_from(C)] -= _SUSPECT
        if la.lapack.dpotrf(shifted, lower=1, overwrite_a=1)[1] == 0:
            return None
        values, vectors = la.eigh(C, check_finite=False)
        suspects = vectors[:, values < 2.0 * _SUSPECT]
        combined = self._combine(suspects)
        if combined is None:  # decide by the Gram matrix alone
            kernel = vectors[:, values <= _FLAT * len(values)]
            return _reduced(kernel) if kernel.shape[1] else None
        _, sizes, rotation = la.svd(combined, full_matrices=len(combined) < suspects.shape[1])
        sizes = np.pad(sizes, (0, suspects.shape[1] - len(sizes)))
        kernel = suspects @ rotation[sizes <= _NULL * np.sqrt(self.samples.n)].T
        return _reduced(kernel) if kernel.shape[1] else None

    def _combine(self, directions: np.ndarray) -> np.ndarray | None:
        """Return combinations of the standardised columns, shape (n, k), if X is in memory."""
        found = self.samples.in_memory()
        if found is None:
            return None
        X, centre = found[0], self.samples.centre
        out = np.empty((X.shape[0], directions.shape[1]))
        scaled = directions / self._unit[:, None]
        if sp.issparse(X):
            out[:] = X @ scaled - centre @ scaled
        else:
            step = max(1, _CHUNK // X.shape[1])
            for start in range(0, len(X), step):
                out[start : start + step] = (X[start : start + step] - centre) @ scaled
        return out - out.mean(axis=0) if self.intercept else out

    # ------------------------------------------------------------------ many columns

    def _change_by_lsqr(self, w: np.ndarray) -> np.ndarray | None:
        """Solve (X - means) v = (X - means) w from zero, which keeps v in the space of the rows."""
        found = self.samples.in_memory()
        if len(w) <= _MOST_DENSE or found is None:
            return None
        X = found[0]
        means = self.samples.centre + (self._means if self.intercept else 0.0)
        operator = LinearOperator(
            X.shape,
            matvec=lambda v: X @ v - means @ v,
            rmatvec=lambda r: X.T @ r - means * r.sum(),
            dtype=np.float64,
        )
        v = lsqr(operator, operator @ w, atol=1e-14, btol=1e-14, conlim=0.0, iter_lim=1_000)[0]
        return v - w


def _reduced(kernel: np.ndarray) -> np.ndarray:
    """Return a basis of the same space in which each vector has a column of X to itself.

    Such a basis does not mix groups of columns that have nothing to do with one another.
    """
    k = kernel.shape[1]
    _, pivots = la.qr(kernel.T, mode="r", pivoting=True)
    basis = la.solve(kernel[pivots[:k]].T, kernel.T, check_finite=False).T
    return np.where(np.abs(basis) > _NULL, basis, 0.0)
