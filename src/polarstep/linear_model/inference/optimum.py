"""The optimum of the likelihood near a model's coefficients: whether it exists, and where it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...result import Separation, Status
from ...validation import complaint
from ..separation import leading_features, separating_direction, spreads
from .fitted_model import FittedModel
from .inverse import Inverse, invert
from .likelihood import LikelihoodSums, class_curvatures, likelihood_sums
from .rows import FittedRows, RowsInMemory

_CLOSE = 1e-10  # the distance in standard errors at which the optimum counts as reached
_MOST_STEPS = 60
_PROGRESS = 0.8  # Newton's method shrinks the distance to 0.61 where a probability tends to zero
_FARTHEST = 1.0  # standard errors between the model and the optimum, beyond which it is refused
_FLAT = 1e-6  # the largest slope per weight along a direction in which the likelihood is constant


@dataclass(frozen=True)
class Optimum:
    """The maximum of log-likelihood - theta^T P theta/2.

    Attributes
    ----------
    theta : ndarray, shape (q, p)
    sums : LikelihoodSums
        The sums at theta, without the penalty.
    inverse : Inverse
        The inverse of the penalised information.
    start_distance : float
        How far the start was from the optimum: a bound for the difference of every coefficient,
        in units of the root of the inverse's diagonal, its standard error without a penalty.
    distance : float
        The same for theta.
    df : float
        The number of coefficients that the data determine. With a penalty the effective number,
        tr(J H^-1) for the information J and the penalised information H.
    is_penalised : bool
    """

    theta: np.ndarray
    sums: LikelihoodSums
    inverse: Inverse
    start_distance: float
    distance: float
    df: float
    is_penalised: bool


def refuse_separation(
    rows: FittedRows, fitted: FittedModel, model: Any, names: Sequence[str], who: str
) -> None:
    """Raise a ValueError if a hyperplane separates the classes, wholly or in part.

    Rows on Dask are not read for this; the status of the model's run then has to tell.
    """
    if isinstance(rows, RowsInMemory):
        direction = separating_direction(
            rows.raw, rows.positions, rows.weight,
            fit_intercept=fitted.has_intercept, start=fitted.of_classes(fitted.theta),
        )  # fmt: skip
        if direction is None:
            return
        found = Separation(direction, leading_features(direction, spreads(rows.raw)))
        named = f" along {found.describe(names)}"
    else:
        if getattr(getattr(model, "result_", None), "status", None) is not Status.separable:
            return
        named = ""
    must = "be fitted to classes that overlap, or with a penalty"
    got = f"classes that a hyperplane separates{named}"
    advice = (
        "No finite coefficients maximise the likelihood, so that they have no standard errors. Use "
        "a finite C, or leave out such features."
    )
    raise ValueError(complaint(who, "model", must, got, advice))


def steadiest_base(rows: FittedRows, fitted: FittedModel) -> int:
    """Return the class of the largest curvature, relative to which no equation loses digits.

    Relative to a class whose probability is almost nowhere between 0 and 1, all equations share the
    error of its intercept, and what distinguishes them is a small difference of large numbers.
    """
    if len(fitted.classes) == 2:
        return fitted.base
    start = rows.standard.from_raw(fitted.coef, fitted.intercept)
    curvatures = rows.sum(class_curvatures, start)
    positions = [*np.delete(np.arange(len(fitted.classes)), fitted.base), fitted.base]
    return int(positions[int(np.argmax(curvatures))])


def find_optimum(rows: FittedRows, fitted: FittedModel, ridge: float, who: str) -> Optimum:
    """Return the optimum near the model's coefficients.

    Raises
    ------
    ValueError
        If it is not near: more than a standard error away, and more than the accuracy of the fit
        lets expect.
    """
    q, standard = len(fitted.coef), rows.standard
    penalty = None
    if ridge:
        own = np.append(ridge / np.square(standard.unit), np.zeros(int(standard.intercept)))
        # Several classes have the penalty sum_k ||w_k||^2/2 with sum_k w_k = 0. In terms of the
        # differences g_k to the base class it is (sum_k ||g_k||^2 - ||sum_k g_k||^2/K)/2.
        mix = np.identity(q) - (1.0 / (q + 1) if q > 1 else 0.0)
        penalty = np.kron(mix, np.diag(own))
    # The objective at a distance t from the optimum is about t^2/2 above its minimum there.
    expected = float(np.sqrt(2.0 * fitted.excess * rows.total_weight))
    farthest = max(_FARTHEST, 2.0 * expected)
    optimum = climb(
        lambda theta: rows.sum(likelihood_sums, theta),
        standard.from_raw(fitted.coef, fitted.intercept),
        penalty,
        farthest=farthest,
        total_weight=rows.total_weight,
    )
    if not optimum.start_distance <= farthest:
        must = "be at the optimum of the data that are passed"
        got = f"coefficients {optimum.start_distance:.3g} standard errors away from it"
        advice = (
            "Pass the X, y and sample_weight of the fit. If you did, the fit has not converged: "
            "use a smaller tol and a larger max_iter."
        )
        raise ValueError(complaint(who, "model", must, got, advice))
    return optimum


def climb(
    evaluate: Callable[[np.ndarray], LikelihoodSums],
    start: np.ndarray,
    penalty: np.ndarray | None,
    *,
    farthest: float,
    total_weight: float,
) -> Optimum:
    """Take Newton steps from a start that must be near the optimum already.

    The step of Newton's method is H^-1 g. By the inequality of Cauchy and Schwarz its entries are
    at most sqrt(g^T H^-1 g) standard errors; this is the distance.

    Parameters
    ----------
    evaluate : callable
        A function of theta (q, p) that returns the `LikelihoodSums`.
    start : ndarray, shape (q, p)
    penalty : ndarray, shape (q p, q p), or None
        The matrix P of the penalty.
    farthest : float
        The largest distance of the start from which a step is taken.
    total_weight : float
        The sum of the weights of the rows.
    """

    def at(theta: np.ndarray) -> tuple[Optimum, np.ndarray]:
        sums = evaluate(theta)
        g, pull = sums.gradient.ravel(), np.zeros(theta.size)
        if penalty is not None:
            pull = penalty @ theta.ravel()
        inverse = invert(sums.information, penalty)
        with np.errstate(over="ignore", invalid="ignore"):
            step, square = inverse.solve(g, pull)
            distance = float(np.sqrt(np.maximum(square, 0.0)))
        # Where the likelihood is flat because all probabilities are 0 or 1, only the gradient
        # tells that the predictions are wrong.
        slopes = inverse.null.T @ (g - pull)
        flat = np.abs(inverse.null).sum(axis=0) * total_weight
        if np.isnan(distance) or (np.abs(slopes) > _FLAT * flat).any():
            distance = np.inf
        df = float(theta.size - inverse.null.shape[1])
        if penalty is not None:
            df = inverse.trace(sums.information)
        point = Optimum(theta, sums, inverse, distance, distance, df, penalty is not None)
        return point, step.reshape(theta.shape)

    best, step = at(start)
    first = best.distance
    for _ in range(_MOST_STEPS):
        if not _CLOSE < best.distance <= farthest:
            break
        new, next_step = at(best.theta + step)
        if (
            not new.distance < _PROGRESS * best.distance
        ):  # rounding errors, or a start that was too far
            break
        best, step = new, next_step
    return replace(best, start_distance=first)
