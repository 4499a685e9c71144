"""Halfspace learning on a sample, the objective of Theorem 2."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ..design import as_design
from ..losses import MarginLoss, margin_loss
from ..moments import Moments
from ..validation import complaint, number, signs
from .objective import Objective, Ray


class Halfspace(Objective):
    """A halfspace on a sample: the mean margin loss of z = -y x, for centred x, plus penalties.

    Parameters
    ----------
    X : array-like or scipy sparse, shape (n, d)
        The data matrix, of float32 or float64. It is centred implicitly and never copied as a
        whole. A `Design` is shared between objectives; it keeps its weights and its intercept
        unless others are given here.
    y : array-like, shape (n,)
        Labels of two different values; the smaller counts as -1, the larger as +1.
    loss : str or MarginLoss, default "softplus"
        The margin loss phi: a name in `polarstep.losses.LOSSES`, or your own.
    length_penalty : float, default 0
        The factor lam >= 0. A bounded loss needs it, an l2_penalty or a cap for a minimiser of
        finite length to exist.
    max_length : float, default infinity
        The cap on ||wt||_S. It cannot be combined with an intercept.
    l2_penalty : float, default 0
        The factor alpha >= 0. Unlike the length penalty it depends on the units of the features.
    intercept : bool, default False
        Whether to append an unpenalised intercept b as the last coordinate, as if there were a
        constant feature 1. All vectors then have d + 1 entries, the moments are (u, -mean y) and
        blockdiag(S, 1), and lengths are sqrt(||wt||_S^2 + b^2).
    sample_weight : array-like, shape (n,), optional
        Weights >= 0, of any scale. A weight of k is the same as k copies of the row. A row of
        weight zero has no influence, but it must hold finite numbers.

    Attributes
    ----------
    design : Design
        The centred data matrix.
    labels : ndarray, shape (n,)
        The labels as -1.0 and +1.0.
    u : ndarray, shape (d,)
        The mean of z.
    moments : Moments
        The moments u and S. The Gram matrix is computed at the first use, in one pass.

    Raises
    ------
    ValueError, TypeError
        If the labels are not two-valued, values are not finite, shapes do not match, the loss is
        unknown, weights are negative or leave out a class, or a cap is combined with an intercept.

    Notes
    -----
    The objective is f(wt) = mean phi(z_i^T wt) + (lam/2) ||wt||_S^2 + (alpha/2) ||wt||_2^2, and
    with an intercept f(wt, b) = mean phi(-y_i (x_i^T wt + b)) plus the same penalties of wt. All
    means are weighted if there are weights. The prediction for a row x is the sign of
    (x - moments.mean[:d])^T wt + b.

    Theorem 2 covers neither the l2 penalty, with which the gradient on Gaussian data becomes
    c1 u + c2 S wt + alpha wt, nor the intercept, with which z = -y (x, 1) is not Gaussian. In both
    cases gdnp is a heuristic.

    If S is singular, the component of wt outside the range of S does not change any margin, and the
    l2 penalty grows with it. `minimize` keeps it at zero.

    References
    ----------
    J. Kohler et al., "Exponential convergence rates for batch normalization", AISTATS 2019
    (arXiv:1805.10694), section 4.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> import polarstep as ps
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> f = ps.Halfspace(X, y, "sigmoid", length_penalty=1e-3)
    >>> result = ps.minimize(f, "whitened")
    >>> result.success
    True
    """

    def __init__(
        self,
        X: Any,
        y: Any,
        loss: str | MarginLoss = "softplus",
        length_penalty: float = 0.0,
        max_length: float = np.inf,
        *,
        l2_penalty: float = 0.0,
        intercept: bool = False,
        sample_weight: Any = None,
    ) -> None:
        who = type(self).__name__
        self.loss = margin_loss(loss, who)
        self._set_limits(length_penalty, max_length)
        self.l2_penalty = number(l2_penalty, who, "l2_penalty", at_least=0)
        self.design = as_design(X, who, sample_weight=sample_weight, intercept=intercept)
        self.intercept = self.design.intercept
        if self.intercept and self.max_length < np.inf:
            must = "be left out with an intercept (the cap would limit b too)"
            advice = "Use a length_penalty or an l2_penalty."
            raise ValueError(complaint(who, "max_length", must, f"{self.max_length:g}", advice))
        weights = self.design.weights
        self.labels = signs(y, who, length=self.design.shape[0], weights=weights)
        self.design.check_columns(who)
        self.u = -self.design.moment(self.labels)

    @cached_property
    def moments(self) -> Moments:
        """The moments u and S; lengths are norms in the metric S."""
        return Moments.from_design(self.design, self.u)

    @cached_property
    def curvature(self) -> float:
        """The bound sup |phi''| + lam + alpha/mu, as alpha I <= (alpha/mu) S on the range of S."""
        bound = self.loss.sup_curvature + self.length_penalty
        return bound + self.l2_penalty / self.moments.mu if self.l2_penalty else bound

    @property
    def smoothness(self) -> float:
        """The bound (sup |phi''| + lam) L + alpha on the largest eigenvalue of the Hessian."""
        return (self.loss.sup_curvature + self.length_penalty) * self.moments.L + self.l2_penalty

    @property
    def n_passes(self) -> int:
        return self.design.n_passes

    def ray(self, v: np.ndarray) -> SampleRay:
        return SampleRay(self, v, self.loss)


class SampleRay(Ray):
    """A ray through a sample, which holds the margins z_i^T v.

    Parameters
    ----------
    halfspace : Halfspace
        The data and the penalties.
    v : ndarray, shape (d,)
        The vector that the length multiplies.
    loss : MarginLoss
        The loss of the margins, which may differ from that of the halfspace.

    Attributes
    ----------
    margins : ndarray, shape (n,)
        The margins z_i^T v.
    """

    def __init__(self, halfspace: Halfspace, v: np.ndarray, loss: MarginLoss) -> None:
        super().__init__(halfspace.moments, v)
        self.halfspace, self.loss = halfspace, loss
        design = halfspace.design
        self.margins = design.matvec(v)
        self.margins *= -halfspace.labels
        weights = design.weights
        self._weighted_margins = self.margins if weights is None else weights * self.margins
        # The penalties are quadratic in g; their gradient is linear. They exclude the intercept.
        self._penalty_gradient = halfspace.length_penalty * self.Sv + halfspace.l2_penalty * self.v
        if halfspace.intercept:
            self._penalty_gradient[-1] = 0.0
        self._penalty_curvature = max(float(self.v @ self._penalty_gradient), 0.0)

    def value(self, g: float) -> float:
        losses = self.loss.phi(g * self.margins)
        return self.halfspace.design.average(losses) + 0.5 * self._penalty_curvature * g * g

    def slope(self, g: float) -> float:
        first = self.loss.dphi(g * self.margins)
        return float(self._weighted_margins @ first) / len(first) + g * self._penalty_curvature

    def curvature(self, g: float) -> float:
        second = self.loss.d2phi(g * self.margins)
        return (
            self.halfspace.design.average(np.square(self.margins) * second)
            + self._penalty_curvature
        )

    def gradient(self, g: float) -> np.ndarray:
        residuals = self.loss.dphi(g * self.margins)
        residuals *= -self.halfspace.labels
        return self.halfspace.design.moment(residuals) + g * self._penalty_gradient

    def coefficients(self, g: float) -> tuple[float, float]:
        average = self.halfspace.design.average
        first = average(self.loss.dphi(g * self.margins))
        second = average(self.loss.d2phi(g * self.margins))
        return first - second * g * self.overlap, second + self.halfspace.length_penalty

    def step_scale(self, g: float) -> float:
        # With an l2 penalty, ||v||_S = 1 and a slope of zero, |c1 u^T v| = |g| (c2 + alpha ||v||^2)
        # on Gaussian data. Replacing it by |g| (c2 + alpha/L) makes the default step the reciprocal
        # of c2 L + alpha, the largest eigenvalue of the Hessian c2 S + alpha I.
        scale, alpha = super().step_scale(g), self.halfspace.l2_penalty
        if not alpha:
            return scale
        features = self.v[: self.halfspace.design.n_features]
        loss_part = max(abs(scale) - abs(g) * alpha * float(features @ features), 0.0)
        return float(np.copysign(loss_part + abs(g) * alpha / self.halfspace.moments.L, scale))
