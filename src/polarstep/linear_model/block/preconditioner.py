"""A metric for each model of a block: an approximation of its Hessian, in factorized form.

The Hessian of a softmax model consists of K x K blocks of d x d. If it is small, all of it is
computed and factorized. Otherwise the blocks on the diagonal are, which are weighted by p (1 - p):
one Gram matrix for each class. A margin loss has one block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import scipy.linalg as la

from ..solver.columns import GramColumns
from ..solver.metric import HessianMetric, cholesky_with_ridge
from ..solver.penalty import DiagonalPenalty
from .families import Family

_SINGLE_PRECISION_FROM = 256  # from this width on, a Hessian of all blocks is computed in float32
_LARGE_PRODUCT = 1e9  # and from this number of products on, because small ones cost little
_CHUNK_VALUES = 1 << 18  # values of the weighted rows that are formed at a time


class ModelMetric(ABC):
    """An approximation of the Hessian of one model."""

    @abstractmethod
    def solve(self, g: np.ndarray) -> np.ndarray:
        """Return H0^-1 g for a gradient of shape (k, p)."""


class BlockDiagonalMetric(ModelMetric):
    """One metric for each class.

    Parameters
    ----------
    parts : list of HessianMetric
    """

    def __init__(self, parts: list[HessianMetric]) -> None:
        self.parts = parts

    def solve(self, g: np.ndarray) -> np.ndarray:
        return np.array([part.solve(row) for part, row in zip(self.parts, g, strict=True)])


class ScaledMetric(ModelMetric):
    """Multiples of one metric, one for each class.

    Parameters
    ----------
    metric : HessianMetric
    factors : ndarray, shape (k,)
    """

    def __init__(self, metric: HessianMetric, factors: np.ndarray) -> None:
        self.metric, self.factors = metric, factors

    def solve(self, g: np.ndarray) -> np.ndarray:
        return self.metric.solve_rows(g) / self.factors[:, None]


class DiagonalMetric(ModelMetric):
    """A diagonal approximation of the Hessian.

    Parameters
    ----------
    diagonal : ndarray, shape (k, p)
        Second derivatives >= 0. Along a coordinate without curvature the inverse is 0.
    """

    def __init__(self, diagonal: np.ndarray) -> None:
        self.inverse = np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=diagonal > 0)

    def solve(self, g: np.ndarray) -> np.ndarray:
        return g * self.inverse


class SoftmaxHessian:
    """All blocks of the Hessian of a softmax model, without the penalty.

    Parameters
    ----------
    Z : ndarray, shape (m, p)
        Centred rows, with a column of ones if there is an intercept.
    p : ndarray, shape (k, m)
        The probabilities of the classes.
    s : ndarray, shape (m,)
        The row weights.

    Attributes
    ----------
    blocks : ndarray, shape (k, p, k, p)
        The blocks for columns in their units.
    unit : ndarray, shape (p,)
        The root mean square of each column.

    Notes
    -----
    Block (k, l) is Z^T diag(s (p_k 1[k=l] - p_k p_l)) Z. A change of all classes alike changes no
    probability; the mean of the blocks is added to the Hessian in these directions, in which no
    gradient points, so that it can be factorized.
    """

    def __init__(self, Z: np.ndarray, p: np.ndarray, s: np.ndarray) -> None:
        (k, m), width = p.shape, Z.shape[1]
        unit = np.sqrt(np.einsum("ij,ij,i->j", Z, Z, s))
        unit[unit == 0] = 1.0
        single = k * width >= _SINGLE_PRECISION_FROM and m * (k * width) ** 2 >= _LARGE_PRODUCT
        kind = np.float32 if single else np.float64
        syrk = la.blas.ssyrk if single else la.blas.dsyrk
        H = np.zeros((k * width, k * width), kind, order="F")
        own = np.zeros((k, width, width))
        step = max(32, _CHUNK_VALUES // (k * width))
        for start in range(0, m, step):
            at = slice(start, start + step)
            z = (Z[at] / unit).astype(kind)
            root = np.sqrt(s[at])
            A = ((root * p[:, at]).T[:, :, None] * z[:, None, :]).reshape(len(z), -1)
            H = syrk(-1.0, A.T.astype(kind, copy=False), beta=1.0, c=H, overwrite_c=True)
            for c in range(k):
                half = z * np.sqrt(s[at] * p[c, at]).astype(kind)[:, None]
                own[c] += half.T @ half
        H = H.astype(np.float64)
        H += np.triu(H, 1).T
        blocks = H.reshape(k, width, k, width)
        for c in range(k):
            blocks[c, :, c, :] += own[c]
        blocks += (own.mean(axis=0) / k)[None, :, None, :]
        self.blocks, self.unit = blocks, unit


class FullMetric(ModelMetric):
    """The Hessian of a softmax model.

    Parameters
    ----------
    hessian : SoftmaxHessian
        The Hessian without the penalty, which models of several penalties may share.
    ridge : ndarray, shape (d,)
        The penalty of each column.
    """

    def __init__(self, hessian: SoftmaxHessian, ridge: np.ndarray) -> None:
        blocks, unit = hessian.blocks.copy(), hessian.unit
        k, width = blocks.shape[:2]
        index = np.arange(len(ridge))
        for c in range(k):
            blocks[c, index, c, index] += ridge / unit[: len(ridge)] ** 2
        H = blocks.reshape(k * width, k * width)
        scale = np.sqrt(H.diagonal().clip(0.0))
        scale[scale == 0] = 1.0
        H /= scale
        H /= scale[:, None]
        self.factor = cholesky_with_ridge(H)
        self.scale = scale * np.tile(unit, k)

    def solve(self, g: np.ndarray) -> np.ndarray:
        x, _ = la.lapack.dpotrs(self.factor, g.ravel() / self.scale, lower=1)
        return (x / self.scale).reshape(g.shape)


class Preconditioner:
    """The metrics of some models of a block.

    Parameters
    ----------
    metrics : list of ModelMetric
    family : Family
    """

    def __init__(self, metrics: list[ModelMetric], family: Family) -> None:
        self.metrics, self.family = metrics, family

    def solve(self, g: np.ndarray) -> np.ndarray:
        """Return the products of the inverse metrics with gradients of shape (b, k, p)."""
        step = np.array([metric.solve(row) for metric, row in zip(self.metrics, g, strict=True)])
        return self.family.project(step)

    def take(self, which: np.ndarray) -> Preconditioner:
        """Return the metrics of some of the models."""
        return Preconditioner([self.metrics[b] for b in which], self.family)


def class_metrics(
    grams: list[np.ndarray],
    columns: GramColumns,
    ridge: np.ndarray,
    intercept: bool,
    diagonals: np.ndarray | None = None,
    effective_rows: np.ndarray | None = None,
) -> BlockDiagonalMetric:
    """Return the metric of one Gram matrix for each class."""
    penalty = DiagonalPenalty(ridge)
    return BlockDiagonalMetric(
        [
            HessianMetric(
                G, columns, penalty, intercept,
                None if diagonals is None else diagonals[c], effective_rows,
            )
            for c, G in enumerate(grams)
        ]
    )  # fmt: skip
