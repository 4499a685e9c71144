"""The log-likelihood of logistic models, its gradient, its Hessian and squares of its scores.

Two classes or several are one model: the scores of the classes relative to a base class, whose own
score is 0. Coefficients have the shape (q, p): one equation for each of the q other classes, and p
terms. Codes number the equations; the base class has the code -1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from .standard_rows import BLOCK_VALUES, DenseBlock, SparseBlock, Standard, blocks_of_rows

_WHOLE_LEVERAGE = 1e-10  # a row with 1 - leverage below this determines a coefficient by itself


class LikelihoodSums(NamedTuple):
    """Sums over rows; those of several sets of rows can be added."""

    value: float  # the log-likelihood, sum s log P(y)
    gradient: np.ndarray  # its gradient, shape (q, p)
    information: np.ndarray  # minus its Hessian, shape (q p, q p)

    def __add__(self, other: Any) -> LikelihoodSums:
        return LikelihoodSums(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Probabilities(NamedTuple):
    """The model at some rows."""

    log: np.ndarray  # log P(y) of the observed classes, shape (m,)
    of: np.ndarray  # the probabilities of the q classes, shape (m, q)
    others: np.ndarray  # 1 - of, without cancellation, shape (m, q)
    residual: np.ndarray  # 1[y = k] - of, shape (m, q)

    def curvature(self, k: int, j: int) -> np.ndarray:
        """Return the entry (k, j) of diag(P) - P P^T for each row."""
        return self.of[:, k] * (self.others[:, k] if k == j else -self.of[:, j])


def probabilities(scores: np.ndarray, codes: np.ndarray) -> Probabilities:
    """Return the probabilities and residuals for scores (m, q) relative to the base class."""
    top = np.maximum(scores.max(axis=1), 0.0)
    e, base = np.exp(scores - top[:, None]), np.exp(-top)
    total = base + e.sum(axis=1)
    P = e / total[:, None]
    others = (base[:, None] + e @ (1.0 - np.identity(e.shape[1]))) / total[:, None]
    rows = np.flatnonzero(codes >= 0)
    log = -top - np.log(total)
    log[rows] += scores[rows, codes[rows]]
    residual = -P
    residual[rows, codes[rows]] = others[rows, codes[rows]]
    return Probabilities(log, P, others, residual)


def likelihood_sums(
    X: Any, codes: np.ndarray, weight: np.ndarray, standard: Standard, theta: np.ndarray
) -> LikelihoodSums:
    """Return the sums at the coefficients theta (q, p) for z, in one read of X."""
    q, p = theta.shape
    value, gradient, information = 0.0, np.zeros((q, p)), np.zeros((q, p, q, p))
    for at, Z in blocks_of_rows(X, standard):
        s, model = weight[at], probabilities(Z.times(theta.T), codes[at])
        value += float(s @ model.log)
        gradient += Z.combined(np.ascontiguousarray((s[:, None] * model.residual).T))
        add_grams(information, Z, partial(_curvature, s, model))
    return LikelihoodSums(value, gradient, information.reshape(q * p, q * p))


def class_curvatures(
    X: Any, codes: np.ndarray, weight: np.ndarray, standard: Standard, theta: np.ndarray
) -> np.ndarray:
    """Return the sums of s P(k) (1 - P(k)), shape (q + 1,), that of the base class at the end."""
    sums = np.zeros(len(theta) + 1)
    for at, Z in blocks_of_rows(X, standard):
        s, model = weight[at], probabilities(Z.times(theta.T), codes[at])
        rest = model.of.sum(axis=1)
        sums += np.append(s @ (model.of * model.others), s @ (rest * np.maximum(1.0 - rest, 0.0)))
    return sums


def score_squares(
    X: Any,
    codes: np.ndarray,
    weight: np.ndarray,
    standard: Standard,
    theta: np.ndarray,
    inverse: np.ndarray | None,
    power: float,
    frequency: bool,
) -> np.ndarray:
    """Return the sum of u u^T over the scores u of all rows, shape (q p, q p).

    Parameters
    ----------
    X, codes, weight, standard, theta
        As for `likelihood_sums`.
    inverse : ndarray, shape (q p, q p), or None
        The inverse of the information, with which residuals are divided by (1 - leverage)^power;
        None leaves the residuals as they are.
    power : float
        1/2 for HC2, 1 for HC3.
    frequency : bool
        Whether a weight of k is k rows, so that u u^T counts k times, or multiplies u by k.
    """
    q, p = theta.shape
    out = np.zeros((q, p, q, p))
    for at, Z in blocks_of_rows(X, standard):
        s, model = weight[at], probabilities(Z.times(theta.T), codes[at])
        residual = model.residual
        if inverse is not None:
            one = np.ones_like(s) if frequency else s
            residual = _without_leverage(Z, model, one, inverse.reshape(q, p, q, p), power)
        factor = s if frequency else s * s
        with np.errstate(invalid="ignore"):  # NaN is reported by the caller
            add_grams(out, Z, partial(_product, factor, residual))
    return out.reshape(q * p, q * p)


def group_squares(
    X: Any,
    codes: np.ndarray,
    weight: np.ndarray,
    standard: Standard,
    theta: np.ndarray,
    groups: np.ndarray,
) -> np.ndarray:
    """Return the sum of u u^T over groups, where u is the sum of the scores of a group's rows.

    ``groups`` numbers the group of each row from 0. The rows are read in the order of their groups,
    so that the scores of a few groups are in memory at a time.
    """
    q, p = theta.shape
    out = np.zeros((q * p, q * p))
    order = np.argsort(groups, kind="stable")
    starts = np.append(0, np.cumsum(np.bincount(groups)))
    first, most = 0, max(1, BLOCK_VALUES // (q * p))
    while first < len(starts) - 1:
        last = max(int(np.searchsorted(starts, starts[first] + most, side="right")) - 1, first + 1)
        rows = order[starts[first] : starts[last]]
        scores = np.zeros((last - first, q, p))
        Xg, cg, sg, member = X[rows], codes[rows], weight[rows], groups[rows] - first
        for at, Z in blocks_of_rows(Xg, standard):
            r = sg[at, None] * probabilities(Z.times(theta.T), cg[at]).residual
            place = member[at], np.arange(len(r))
            for k in range(q):
                each = sp.csr_array((r[:, k], place), shape=(len(scores), len(r)))
                scores[:, k] += Z.combined(each)
        u = scores.reshape(len(scores), q * p)
        out += u.T @ u
        first = last
    return out


def add_grams(
    out: np.ndarray, Z: DenseBlock | SparseBlock, weights: Callable[[int, int], np.ndarray]
) -> None:
    """Add Z^T diag(weights(k, j)) Z to out[k, :, j, :] for all pairs of equations."""
    q = len(out)
    for k in range(q):
        for j in range(k, q):
            G = Z.gram(weights(k, j))
            out[k, :, j, :] += G
            if j > k:
                out[j, :, k, :] += G


def _curvature(s: np.ndarray, model: Probabilities, k: int, j: int) -> np.ndarray:
    return s * model.curvature(k, j)


def _product(s: np.ndarray, residual: np.ndarray, k: int, j: int) -> np.ndarray:
    return s * residual[:, k] * residual[:, j]


def _without_leverage(
    Z: DenseBlock | SparseBlock,
    model: Probabilities,
    s: np.ndarray,
    inverse: np.ndarray,
    power: float,
) -> np.ndarray:
    """Return (I - W A)^-power r for each row, W = s (diag(P) - P P^T) and A_kj = z^T inverse_kj z.

    With one equation this is r/(1 - leverage)^power. If the leverage is one, it is NaN. With
    A = L L^T and f(t) = (1 - t)^-power, f(W A) = I + W L g(L^T W L) L^T for g(t) = (f(t) - 1)/t.
    """
    q, m = len(inverse), len(s)
    A, W = np.empty((2, m, q, q))
    for k in range(q):
        for j in range(q):
            A[:, k, j] = Z.quadratic(inverse[k, :, j])
            W[:, k, j] = s * model.curvature(k, j)
    values, vectors = np.linalg.eigh((A + A.transpose(0, 2, 1)) / 2)
    L = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    up = L.transpose(0, 2, 1)
    values, vectors = np.linalg.eigh(up @ W @ L)
    t = np.where(1.0 - values > _WHOLE_LEVERAGE, np.maximum(values, 0.0), np.nan)
    g = np.divide(np.expm1(-power * np.log1p(-t)), t, out=np.full_like(t, power), where=t != 0)
    change = vectors.transpose(0, 2, 1) @ (up @ model.residual[:, :, None])
    change = W @ (L @ (vectors @ (g[:, :, None] * change)))
    return model.residual + change[:, :, 0]
