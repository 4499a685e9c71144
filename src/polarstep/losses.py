"""Margin losses phi(a) with their first two derivatives, safe for margins of any size.

The margin a = z^T wt = -y x^T wt is negative where the prediction is right, so phi increases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .quadrature import expectation
from .validation import complaint, look_up, number

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class MarginLoss:
    """A smooth margin loss, by its value and two derivatives.

    Parameters
    ----------
    phi, dphi, d2phi : callable
        phi and its first and second derivative, each from an array to an array of that shape.
    name : str
        How the loss is called in tables and messages.
    curvature : float, optional
        sup |phi''|. Constant step sizes are set by it. Looked up on a grid if left out.
    coefficient : float, optional
        C1 = sup |E phi'(a) - E[a] E phi''(a)| over all Gaussian a, the constant of the gradient
        bound (Theorem 2). Looked up on a grid if left out.

    Examples
    --------
    >>> import numpy as np
    >>> arctan = MarginLoss(np.arctan, lambda a: 1 / (1 + a**2), lambda a: -2 * a / (1 + a**2) ** 2,
    ...                     name="arctan")
    >>> round(arctan.sup_curvature, 3)
    0.65
    """

    phi: Function
    dphi: Function
    d2phi: Function
    name: str = "custom"
    curvature: float | None = None
    coefficient: float | None = None

    @cached_property
    def sup_curvature(self) -> float:
        """sup |phi''|; from a grid of margins up to 1e6 in size if it was not given."""
        if self.curvature is not None:
            return self.curvature
        grid = np.sinh(np.linspace(-14.5, 14.5, 20_001))
        return float(np.abs(self.d2phi(grid)).max())

    @cached_property
    def sup_coefficient(self) -> float:
        """C1 = sup |c1|; from a grid of Gaussians if it was not given."""
        if self.coefficient is not None:
            return self.coefficient

        def c1(mean: float, sd: float) -> float:
            first, second = expectation(lambda a: np.stack([self.dphi(a), self.d2phi(a)]), mean, sd)
            return abs(first - mean * second)

        means = np.sinh(np.linspace(-4.4, 4.4, 401))
        return max(c1(m, s) for m in means for s in (0.0, 0.3, 1.0, 3.0, 10.0, 30.0))

    @cached_property
    def typical_slope(self) -> float:
        """The largest |phi'| for margins between -10 and 10."""
        return float(np.abs(self.dphi(np.linspace(-10.0, 10.0, 2_001))).max())

    @cached_property
    def is_convex(self) -> bool:
        """Whether phi'' >= 0, on a grid of margins up to 1e6 in size."""
        second = self.d2phi(np.sinh(np.linspace(-14.5, 14.5, 20_001)))
        return bool(second.min() >= -1e-12 * np.abs(second).max())

    def __str__(self) -> str:
        return self.name


def _expit(a: np.ndarray) -> np.ndarray:
    from scipy.special import expit

    return expit(a)


def _softplus(a: np.ndarray) -> np.ndarray:
    return np.maximum(a, 0.0) + np.log1p(np.exp(-np.abs(a)))


def _d_sigmoid(a: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(a))
    return e / np.square(1.0 + e)


def _d2_sigmoid(a: np.ndarray) -> np.ndarray:
    return -_d_sigmoid(a) * np.tanh(0.5 * a)


def _normal_cdf(a: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    return ndtr(a)


def _normal_pdf(a: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * np.square(a)) / np.sqrt(2 * np.pi)


def _d_normal_pdf(a: np.ndarray) -> np.ndarray:
    return -a * _normal_pdf(a)


@dataclass(frozen=True)
class _SmoothHinge:
    """The parts of the smooth hinge, as one object that can be pickled."""

    width: float

    def phi(self, a: np.ndarray) -> np.ndarray:
        v = (1.0 + a) / self.width
        return np.maximum(self.width * (v * _normal_cdf(v) + _normal_pdf(v)), 0.0)

    def dphi(self, a: np.ndarray) -> np.ndarray:
        return _normal_cdf((1.0 + a) / self.width)

    def d2phi(self, a: np.ndarray) -> np.ndarray:
        return _normal_pdf((1.0 + a) / self.width) / self.width


def smooth_hinge(width: float = 0.5) -> MarginLoss:
    """The hinge max(0, 1 + a) averaged over a Gaussian of standard deviation `width`.

    phi(a) = (1 + a) Phi(v) + width * pdf(v) with v = (1 + a)/width: convex and infinitely smooth.
    Source: Luo, Qiao and Zhang, "Learning with smooth hinge losses", Neurocomputing 2021.
    """
    parts = _SmoothHinge(number(width, "smooth_hinge", "width", above=0))
    peak = 1.0 / (parts.width * np.sqrt(2 * np.pi))
    # c1 = Phi(v) - v pdf(v) + pdf(v)/width, at its largest for v = 0 or for v at infinity.
    return MarginLoss(
        parts.phi, parts.dphi, parts.d2phi, "smooth_hinge", peak, max(1.0, 0.5 + peak)
    )


def _squared(a: np.ndarray) -> np.ndarray:
    return np.square(1.0 + a)


def _d_squared(a: np.ndarray) -> np.ndarray:
    return 2.0 * (1.0 + a)


def _d2_squared(a: np.ndarray) -> np.ndarray:
    return np.full_like(a, 2.0)


# The coefficient of sigmoid is max_m phi'(m) (1 + m tanh(m/2)), reached as the Gaussian narrows.
LOSSES: dict[str, MarginLoss] = {
    loss.name: loss
    for loss in (
        MarginLoss(_softplus, _expit, _d_sigmoid, "softplus", 0.25, 1.0),
        MarginLoss(_expit, _d_sigmoid, _d2_sigmoid, "sigmoid", 1 / (6 * np.sqrt(3)), 0.2933911),
        MarginLoss(
            _normal_cdf, _normal_pdf, _d_normal_pdf, "normal_cdf",
            1 / np.sqrt(2 * np.pi * np.e), 2 / np.sqrt(2 * np.pi * np.e),
        ),
        smooth_hinge(),
        MarginLoss(_squared, _d_squared, _d2_squared, "squared", 2.0, 2.0),
    )
}  # fmt: skip
"""The losses by name: softplus (logistic regression), sigmoid and normal_cdf (bounded, non-convex,
close to the 0-1 loss), smooth_hinge, and squared, (1 + a)^2 = (y - x^T wt)^2 for y = -1, +1."""


def margin_loss(loss: str | MarginLoss, who: str = "margin_loss") -> MarginLoss:
    """A loss by its name, or the given MarginLoss itself."""
    if isinstance(loss, MarginLoss):
        return loss
    if not isinstance(loss, str):
        got = f"a {type(loss).__name__}"
        raise TypeError(complaint(who, "loss", "be a name or a MarginLoss", got))
    return look_up(loss, LOSSES, who, "loss")


def smooth_hinge_width(loss: MarginLoss) -> float | None:
    """The width of a smooth hinge; None for another loss."""
    parts = getattr(loss.phi, "__self__", None)
    return parts.width if isinstance(parts, _SmoothHinge) else None
