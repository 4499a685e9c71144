"""The objectives of a block of models: their values, gradients and subsamples."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..solver.columns import GramColumns
from ..solver.metric import ENOUGH_ROWS
from .data import BlockData
from .families import Family
from .models import Models

_CAUTION_ROWS = 5.0  # number of occurrences to which the extra penalty of a rare column amounts


class NotFinite(ValueError):
    """A loss is not finite at the start: X contains NaN or infinity, or its products overflow."""


class BlockProblem:
    """The objectives F_b(theta) = sum_i s_bi loss_i + (alpha_b/2) ||w||^2 of B models.

    Parameters
    ----------
    rows : BlockData
    family : Family
    models : Models
    intercept : bool
    extra : ndarray, shape (d,), optional
        An additional penalty of each column.
    columns : GramColumns, optional
        The columns of the metrics' Gram matrices.
    """

    def __init__(
        self,
        rows: BlockData,
        family: Family,
        models: Models,
        intercept: bool,
        *,
        extra: np.ndarray | None = None,
        columns: GramColumns | None = None,
    ) -> None:
        self.rows, self.family, self.models, self.intercept = rows, family, models, intercept
        self.extra = np.zeros(rows.d) if extra is None else extra
        self.columns = rows.gram_columns() if columns is None else columns
        self.n_outputs, self.width = family.n_outputs, rows.d + intercept
        self.passes = 0.0

    def ridge(self, which: np.ndarray) -> np.ndarray:
        """Return the penalty of each column in some models, shape (b, d)."""
        return self.models.alpha[which][:, None] + self.extra

    def magnitude(self, fun: np.ndarray) -> np.ndarray:
        """Return |f| + 1e-14 f(0), to which suboptimalities are relative, as for one model."""
        return np.abs(fun) + 1e-14 * self.family.value_at_zero

    def evaluate(self, theta: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the values (b,) and the gradients (b, k, p) of some models, in one read of X."""
        d = self.rows.d
        models = self.models.take(which)
        fun, gradient = self.rows.evaluate(self.family, models, theta, self.intercept)
        self.passes += len(which) / len(self.models)
        w = theta[:, :, :d]
        shrink = self.ridge(which)[:, None, :] * w
        gradient[:, :, :d] += shrink
        return fun + 0.5 * np.einsum("bkd,bkd->b", w, shrink), gradient

    def curvature_state(self, theta: np.ndarray, which: np.ndarray) -> Any:
        """Return the state of `hessian_products` for some models at theta, in one read of X."""
        self.passes += len(which) / len(self.models)
        models = self.models.take(which)
        return self.rows.curvature_state(self.family, models, theta, self.intercept)

    def hessian_products(self, state: Any, directions: np.ndarray, which: np.ndarray) -> np.ndarray:
        """Return the products of the Hessians of some models with directions (b, k, p)."""
        self.passes += len(which) / len(self.models)
        models, d = self.models.take(which), self.rows.d
        out = self.rows.hessian_products(self.family, models, state, directions, self.intercept)
        out[:, :, :d] += self.ridge(which)[:, None, :] * directions[:, :, :d]
        return out

    def subsample(self, m: int, rng: np.random.Generator) -> BlockProblem:
        """Return the same problem on about m of the rows.

        A column that hardly occurs in them gets an additional penalty, as if it occurred a few
        times more, so that no large weight rests on one row.
        """
        rows = self.rows.subsample(m, rng)
        counts = rows.matrix.effective_rows()
        doubt = np.maximum(1.0 - counts / ENOUGH_ROWS, 0.0)
        extra = np.zeros(rows.d)
        if doubt.any():
            squares = rows.matrix.squares(rows.weights.mean(axis=0))
            np.divide(doubt * squares, counts, out=extra, where=counts > 0)
        extra *= _CAUTION_ROWS * 0.25
        return BlockProblem(
            rows, self.family, self.models, self.intercept, extra=extra, columns=self.columns
        )
