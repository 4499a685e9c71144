"""A grid of penalties C, for one or several splits of the rows, solved as one block of models."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..result import Progress, Result, Status
from ..validation import complaint, whole_number
from .block.data import BlockData
from .block.families import Family
from .block.models import BlockResult, Models
from .block.problem import NotFinite
from .block.solve import solve_block
from .fitting import LARGEST_RIDGE


def read_Cs(Cs: Any, who: str) -> np.ndarray:
    """Return the values of C as an array: those of a sequence, or some between 1e-4 and 1e4.

    Raises
    ------
    TypeError, ValueError
        If `Cs` is neither a whole number >= 1 nor a sequence of numbers > 0.
    """
    if isinstance(Cs, Integral):
        return np.logspace(-4, 4, whole_number(Cs, who, "Cs", at_least=1))
    must = "be a whole number >= 1 or a sequence of numbers > 0"
    try:
        values = np.asarray(Cs, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(complaint(who, "Cs", must, repr(Cs))) from None
    if values.ndim != 1 or not values.size or not (values > 0).all():
        raise ValueError(complaint(who, "Cs", must, repr(Cs)))
    return values


def ridges(Cs: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Return the penalties alpha = 1/(C sum_i s_i) of mean losses, given C and sums of weights."""
    with np.errstate(over="ignore"):
        return np.minimum(1.0 / Cs / totals, LARGEST_RIDGE)


@dataclass(frozen=True)
class GridFit:
    """The models of a grid.

    Attributes
    ----------
    Cs : ndarray, shape (n_Cs,)
    theta : ndarray, shape (F, n_Cs, k, p)
        The weights of the model of each split and each C for centred features and, last, the
        intercept if there is one.
    coefs : ndarray, shape (F, n_Cs, k, d)
    intercepts : ndarray, shape (F, n_Cs, k)
        The intercepts for features that are not centred; zero if the models have none.
    n_iter : ndarray of int, shape (F, n_Cs)
        The largest number of iterations of the k scores of each model.
    result : BlockResult
        How the run of each model ended.
    """

    Cs: np.ndarray
    theta: np.ndarray
    coefs: np.ndarray
    intercepts: np.ndarray
    n_iter: np.ndarray
    result: BlockResult

    @property
    def outcome(self) -> Result:
        """How the run ended if there is one model."""
        return Result.from_rows(
            self.result.rows,
            status=self.result.status[0],
            method="whitened",
            gap=float(self.result.gap[0]),
        )

    def warn_unless_converged(self, who: str, *, stacklevel: int) -> None:
        """Issue one ConvergenceWarning about the models that did not converge.

        Parameters
        ----------
        who : str
            The name of the estimator.
        stacklevel : int
            How many frames above this method the warning points to.
        """
        status, gap = self.result.status, self.result.gap
        failed = [b for b in range(len(status)) if not status[b].is_success]
        if not failed:
            return
        if len(status) == 1:
            text = f"{who}:"
        else:
            split, C = divmod(failed[0] * self.n_iter.size // len(status), len(self.Cs))
            where = f"the first one is that of C={self.Cs[C]:.3g} in split {split}"
            text = f"{who}: {len(failed)} of {len(status)} models did not converge; {where}."
        advice = " ".join(dict.fromkeys(status[b].value for b in failed))
        distance = f" The relative suboptimality is about {np.nanmax(gap[failed]):.1e}."
        text = f"{text} {advice}{distance if np.isfinite(gap[failed]).any() else ''}"
        warnings.warn(text, ConvergenceWarning, stacklevel=stacklevel + 1)


def solve_grid(
    rows: BlockData,
    family: Family,
    Cs: np.ndarray,
    totals: np.ndarray,
    centre: np.ndarray,
    *,
    intercept: bool,
    tol: float,
    max_iter: int,
    rng: np.random.Generator,
    positive: np.ndarray | None = None,
    start: np.ndarray | None = None,
    callback: Callable[[Progress], None] | None = None,
    who: str,
) -> GridFit:
    """Fit one model for each split and each C; all of them share every read of the rows.

    Parameters
    ----------
    rows : BlockData
        The rows, with one vector of weights for each of F splits.
    family : Family
        The loss.
    Cs : ndarray, shape (n_Cs,)
    totals : ndarray, shape (F,)
        The total weight of each split. The penalty of a model is 1/(C total).
    centre : ndarray, shape (d,)
        What is subtracted from each row; zero without an intercept.
    intercept : bool
    tol, max_iter, rng
        As for `solve_block`.
    positive : ndarray of int, shape (k,), optional
        The classes that count as positive, one against the rest, for a margin loss. By default
        this is the second class alone.
    start : ndarray, shape (F, n_Cs, k, p), optional
        The start of each model.
    callback : callable, optional
        A function that is called with a `Progress` at every iteration of the block.
    who : str
        The name of the caller, for error messages.

    Returns
    -------
    GridFit

    Raises
    ------
    ValueError
        If the products of X with itself overflow.
    KeyboardInterrupt
        If the run is interrupted.
    """
    positive = np.array([1]) if positive is None else positive
    F, n_Cs, n_positive = len(totals), len(Cs), len(positive)
    split, C, at = (
        axis.ravel()
        for axis in np.meshgrid(np.arange(F), np.arange(n_Cs), np.arange(n_positive), indexing="ij")
    )
    alpha = ridges(Cs[C], totals[split])
    models = Models.of(alpha, split, positive[at])
    if start is not None:
        start = start.reshape(len(models), family.n_outputs, -1)
    try:
        result = solve_block(
            rows, family, models,
            intercept=intercept, tol=tol, max_iter=max_iter, rng=rng, start=start,
            callback=callback,
        )  # fmt: skip
    except NotFinite:
        rows.raise_not_finite(who)
        raise
    if Status.interrupted in result.status:
        raise KeyboardInterrupt
    theta = result.theta.reshape(F, n_Cs, n_positive * family.n_outputs, -1)
    d = len(centre)
    coefs = theta[..., :d]
    intercepts = theta[..., d] - coefs @ centre if intercept else np.zeros(coefs.shape[:-1])
    n_iter = result.n_iter.reshape(F, n_Cs, n_positive).max(axis=2)
    return GridFit(Cs, theta, coefs, intercepts, n_iter, result)
