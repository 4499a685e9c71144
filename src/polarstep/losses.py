"""Margin losses phi(a) with their first two derivatives, accurate for margins of any size.

The margin is a = z^T wt = -y x^T wt. It is negative where the prediction is right, so that phi is
an increasing function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .quadrature import expectation
from .validation import complaint, look_up, number, type_of

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class MarginLoss:
    """A smooth margin loss, given by its value and its first two derivatives.

    Parameters
    ----------
    phi, dphi, d2phi : callable
        The loss and its first and second derivative. Each maps an array to an array of the same
        shape. Functions that a module defines by ``def`` can be pickled, and with them a model
        that has this loss.
    name : str, default "custom"
        The name shown in tables, figures and messages.
    curvature : float, optional
        An upper bound on |phi''|, from which default step sizes are derived. By default it is
        computed on a grid.
    coefficient : float, optional
        C1 = sup |E phi'(a) - E[a] E phi''(a)| over all Gaussian a, the constant of the gradient
        bound (Theorem 2). By default it is computed on a grid.
    kernel : tuple of (int, float), optional
        The code and the width of the branch in ``linear_model/solver/kernels.py`` that computes
        this loss. With None, the default, the loss is evaluated by NumPy. Reset it to None if you
        replace the functions of a built-in loss.

    See Also
    --------
    smooth_hinge : The smooth hinge of any width.

    Examples
    --------
    >>> import numpy as np
    >>> arctan = MarginLoss(np.arctan, lambda a: 1 / (1 + a**2), lambda a: -2 * a / (1 + a**2) ** 2,
    ...                     name="arctan")
    >>> round(arctan.sup_curvature, 3)
    0.65
    >>> arctan.is_bounded, arctan.is_convex
    (True, False)
    """

    phi: Function
    dphi: Function
    d2phi: Function
    name: str = "custom"
    curvature: float | None = None
    coefficient: float | None = None
    kernel: tuple[int, float] | None = None

    @cached_property
    def sup_curvature(self) -> float:
        """The given bound on |phi''|, or its maximum on a grid of margins up to 1e6 in size."""
        if self.curvature is not None:
            return self.curvature
        return float(np.abs(self.d2phi(_wide_grid())).max())

    @cached_property
    def sup_coefficient(self) -> float:
        """The given C1 = sup |c1|, or the maximum of |c1| on a grid of Gaussian distributions."""
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
        """Whether phi'' >= 0 on a grid of margins up to 1e6 in size."""
        second = self.d2phi(_wide_grid())
        return bool(second.min() >= -1e-12 * np.abs(second).max())

    @cached_property
    def is_bounded(self) -> bool:
        """Whether phi levels off: it grows by less than 0.01 between the margins 1e6 and 1e12."""
        with np.errstate(over="ignore", invalid="ignore"):
            near, far = self.phi(np.array([1e6, 1e12]))
            return bool(abs(far - near) < 0.01)

    @cached_property
    def falls_forever(self) -> bool:
        """Whether phi' > 0 even at the margin -100, as for softplus and the sigmoid.

        Such a loss has no minimum along a direction that separates the classes. Others level off
        there to double precision, or rise again.
        """
        return bool(self.dphi(np.array([-100.0]))[0] > 0)

    def __str__(self) -> str:
        return self.name


def _wide_grid() -> np.ndarray:
    """Return margins up to 1e6 in size, dense around zero."""
    return np.sinh(np.linspace(-14.5, 14.5, 20_001))


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
    """A smooth hinge, or one of its derivatives: a function that is pickled and compared by value.

    Attributes
    ----------
    width : float
    order : int
        The order of the derivative: 0, 1 or 2.
    """

    width: float
    order: int

    def __call__(self, a: np.ndarray) -> np.ndarray:
        v = (1.0 + a) / self.width
        if self.order == 0:
            return np.maximum(self.width * (v * _normal_cdf(v) + _normal_pdf(v)), 0.0)
        return _normal_cdf(v) if self.order == 1 else _normal_pdf(v) / self.width


def smooth_hinge(width: float = 0.5) -> MarginLoss:
    """Return the hinge max(0, 1 + a), smoothed by averaging it over a Gaussian.

    Parameters
    ----------
    width : float, default 0.5
        The standard deviation of the Gaussian, > 0.

    Returns
    -------
    MarginLoss
        A convex and infinitely smooth loss.

    Raises
    ------
    ValueError, TypeError
        If `width` is not a finite number > 0.

    Notes
    -----
    phi(a) = (1 + a) Phi(v) + width pdf(v) with v = (1 + a)/width, where Phi and pdf are the
    distribution function and the density of the standard normal distribution.

    References
    ----------
    J. Luo, H. Qiao and B. Zhang, "Learning with smooth hinge losses", Neurocomputing, 2021.

    Examples
    --------
    >>> import numpy as np
    >>> smooth_hinge(0.1).phi(np.array([-3.0, 0.0, 2.0])).round(6)
    array([0., 1., 3.])
    """
    width = number(width, "smooth_hinge", "width", above=0)
    peak = 1.0 / (width * np.sqrt(2 * np.pi))
    return MarginLoss(
        _SmoothHinge(width, 0),
        _SmoothHinge(width, 1),
        _SmoothHinge(width, 2),
        "smooth_hinge",
        curvature=peak,
        # c1 = Phi(v) - v pdf(v) + pdf(v)/width is largest at v = 0 or as v goes to infinity.
        coefficient=max(1.0, 0.5 + peak),
        kernel=(3, width),
    )


def _squared(a: np.ndarray) -> np.ndarray:
    return np.square(1.0 + a)


def _d_squared(a: np.ndarray) -> np.ndarray:
    return 2.0 * (1.0 + a)


def _d2_squared(a: np.ndarray) -> np.ndarray:
    return np.full_like(a, 2.0)


# The coefficient of the sigmoid is max_m phi'(m) (1 + m tanh(m/2)), the limit of a Gaussian whose
# standard deviation goes to zero.
LOSSES: dict[str, MarginLoss] = {
    loss.name: loss
    for loss in (
        MarginLoss(_softplus, _expit, _d_sigmoid, "softplus", 0.25, 1.0, (0, 1.0)),
        MarginLoss(
            _expit, _d_sigmoid, _d2_sigmoid, "sigmoid",
            1 / (6 * np.sqrt(3)), 0.2933911, (1, 1.0),
        ),
        MarginLoss(
            _normal_cdf, _normal_pdf, _d_normal_pdf, "normal_cdf",
            1 / np.sqrt(2 * np.pi * np.e), 2 / np.sqrt(2 * np.pi * np.e), (2, 1.0),
        ),
        smooth_hinge(),
        MarginLoss(_squared, _d_squared, _d2_squared, "squared", 2.0, 2.0, (4, 1.0)),
    )
}  # fmt: skip
"""The built-in losses by name: softplus (logistic regression); sigmoid and normal_cdf (bounded,
non-convex, close to the 0-1 loss); smooth_hinge; and squared, which is (1 + a)^2 = (y - x^T wt)^2
for labels -1 and +1. This table is the only list of losses."""

_CALLED = "This loss is called {!r} here."
_CLOSE = "It is not among these losses; {!r} is close to it."
_ADVICE = {
    _CALLED.format("softplus"): "log logit logistic logloss deviance binomialdeviance crossentropy "
    "binarycrossentropy bce",
    _CALLED.format("squared"): "squarederror squaredloss leastsquares mse l2",
    _CALLED.format("normal_cdf"): "normcdf gaussiancdf ndtr",
    _CALLED.format("sigmoid"): "expit",
    _CLOSE.format("sigmoid"): "savage ramp zeroone 01",
    _CLOSE.format("smooth_hinge"): "hinge squaredhinge smoothedhinge huber modifiedhuber",
}
_NAMES_ELSEWHERE = {name: advice for advice, names in _ADVICE.items() for name in names.split()}
"""Advice on the names that other packages give to such losses, without case and punctuation."""


def margin_loss(loss: str | MarginLoss, who: str = "margin_loss") -> MarginLoss:
    """Return the loss of a given name, or the given `MarginLoss` itself.

    Parameters
    ----------
    loss : str or MarginLoss
        A name in `LOSSES`, or an object.
    who : str, default "margin_loss"
        The caller that error messages name.

    Returns
    -------
    MarginLoss
        The loss.

    Raises
    ------
    ValueError
        If the name is unknown; the message lists the known names.
    TypeError
        If `loss` is neither a string nor a `MarginLoss`.

    Examples
    --------
    >>> margin_loss("sigmoid").is_bounded
    True
    """
    if isinstance(loss, MarginLoss):
        return loss
    if not isinstance(loss, str):
        must = "be a name or a MarginLoss"
        raise TypeError(complaint(who, "loss", must, type_of(loss)))
    letters = "".join(filter(str.isalnum, loss.lower()))
    if loss not in LOSSES and letters in _NAMES_ELSEWHERE:
        listed, advice = ", ".join(map(repr, sorted(LOSSES))), _NAMES_ELSEWHERE[letters]
        raise ValueError(complaint(who, "loss", f"be one of {listed}", repr(loss), advice))
    return look_up(loss, LOSSES, who, "loss")
