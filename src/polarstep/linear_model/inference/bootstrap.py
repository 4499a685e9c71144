"""Bootstrap samples of the coefficients: many models on one X, which share each read of it."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from ...losses import LOSSES
from ...result import Status
from ..block.families import Family, Margins, Softmax
from ..block.models import Models
from ..block.rows import BlockRows
from ..block.solve import solve_block
from ..resampling import bootstrap_weights
from .fitted_model import FittedModel
from .identification import determined
from .optimum import Optimum
from .rows import RowsInMemory

_BATCH_VALUES = 1 << 23  # row weights of the samples that are fitted together: 64 MiB
_MOST_TOGETHER = 64
_ACCURACY = 0.01  # standard errors by which a fit may be off, which no interval shows
_PENALISED_ACCURACY = 1e-3  # the same in units of the errors without the penalty, which are larger
_MAX_ITER = 100
_FAR = 10.0  # standard errors from the optimum beyond which a sample is taken to be separated
_MOST_DRAWS = 100  # how often a sample that lacks a class is drawn anew


class Draws(NamedTuple):
    """The coefficients of bootstrap samples.

    Attributes
    ----------
    coef : ndarray, shape (n_samples, q p)
        Relative to the base class, equation by equation, for (x, 1).
    n_failed : int
        The number of samples whose fit did not converge, or led far away from that of all rows.
    """

    coef: np.ndarray
    n_failed: int


def bootstrap_coefficients(
    rows: RowsInMemory,
    fitted: FittedModel,
    optimum: Optimum,
    n_samples: int,
    rng: np.random.Generator,
    *,
    frequency: bool,
    n_threads: int,
    verbose: bool,
    who: str,
) -> Draws:
    """Refit the model to bootstrap samples of its rows, or of their groups if there are any.

    The samples are fitted in batches. A batch of F models holds F n row weights in memory, at most
    64 MiB of them unless one model needs more.

    Parameters
    ----------
    rows : RowsInMemory
    fitted : FittedModel
    optimum : Optimum
        The optimum on all rows, where the fits start.
    n_samples : int
        The number of samples.
    rng : numpy.random.Generator
    frequency : bool
        Whether a weight of k is k rows.
    n_threads : int
    verbose : bool
        Whether a line is printed after each batch.
    who : str
        The name of the caller, for error messages.
    """
    several = len(fitted.classes) > 2
    family: Family = Softmax(len(fitted.classes)) if several else Margins(LOSSES["softplus"])
    raw = rows.standard.to_raw(optimum.theta)
    start = _centred(fitted.of_classes(raw), rows)
    accuracy = _PENALISED_ACCURACY if optimum.is_penalised else _ACCURACY
    known = determined(optimum.inverse.null, optimum.inverse.scale, rows.standard).ravel()
    unit = np.sqrt(np.diag(rows.standard.covariance_to_raw(optimum.inverse.root())))
    farthest = np.where(known, _FAR * unit, np.inf)
    tol = float(np.clip(0.5 * accuracy**2 / max(-optimum.sums.value, 1e-300), 1e-12, 1e-4))
    together = int(np.clip(_BATCH_VALUES // rows.n, 1, _MOST_TOGETHER))
    coef, n_failed, clock = np.empty((n_samples, raw.size)), 0, time.perf_counter()
    for first in range(0, n_samples, together):
        count = min(together, n_samples - first)
        weights, totals = _draw(rows, count, rng, frequency, who)
        block = BlockRows.from_arrays(rows.X, rows.positions, weights, rows.remaining, n_threads)
        alpha = np.array([fitted.ridge(total) / total for total in totals])
        result = solve_block(
            block, family, Models.of(alpha, np.arange(count)), intercept=fitted.has_intercept,
            tol=tol, max_iter=_MAX_ITER, rng=rng, start=np.tile(start, (count, 1, 1)),
        )  # fmt: skip
        if Status.interrupted in result.status:
            raise KeyboardInterrupt
        theta = fitted.relative(_uncentred(result.theta, rows)).reshape(count, -1)
        failed = [status not in (Status.converged, Status.rounding) for status in result.status]
        n_failed += int((failed | (np.abs(theta - raw.ravel()) > farthest).any(axis=1)).sum())
        coef[first : first + count] = theta
        if verbose:
            seconds = time.perf_counter() - clock
            print(f"[{who}] {first + count} of {n_samples} bootstrap samples, {seconds:.2f} s")
    return Draws(coef, n_failed)


def _draw(
    rows: RowsInMemory, count: int, rng: np.random.Generator, frequency: bool, who: str
) -> tuple[np.ndarray, np.ndarray]:
    """Draw row weights, shape (count, n), and their totals; every class has a positive weight."""
    members = np.eye(len(rows.class_totals))[rows.positions]
    weights, totals = np.empty((count, rows.n)), np.empty(count)
    wanted = np.arange(count)
    for _ in range(_MOST_DRAWS):
        if frequency and rows.groups is None:
            size = max(1, round(rows.total_weight))
            drawn = rng.multinomial(size, rows.weight / rows.total_weight, len(wanted)) / size
            sums = np.full(len(wanted), float(size))
        else:
            drawn, sums = bootstrap_weights(len(wanted), rows.weight, rng, groups=rows.groups)
        weights[wanted], totals[wanted] = drawn, sums
        wanted = wanted[~(drawn @ members > 0).all(axis=1)]
        if not len(wanted):
            return weights, totals
    raise ValueError(
        f"{who}: the bootstrap found no samples that contain all classes. A class has too few rows "
        "or groups for it; leave it out, or use Wald intervals."
    )


def _centred(theta: np.ndarray, rows: RowsInMemory) -> np.ndarray:
    """Return weights and intercepts for rows minus their centre, without a zero intercept."""
    if not rows.standard.intercept:
        return theta[..., :-1]
    moved = theta.copy()
    moved[..., -1] += theta[..., :-1] @ rows.standard.centre
    return moved


def _uncentred(theta: np.ndarray, rows: RowsInMemory) -> np.ndarray:
    """Return weights and intercepts for the rows themselves; the inverse of `_centred`."""
    if not rows.standard.intercept:
        return theta
    moved = theta.copy()
    moved[..., -1] -= theta[..., :-1] @ rows.standard.centre
    return moved
