"""The rules that turn gradients into steps: Polar, Adam and SGD for directions or lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..validation import complaint, flag, number, unknown, whole_number
from .options import Option, check_below_one, check_betas
from .polar import ITERATIONS, polar_factor

Moments = Sequence[Tensor]


@dataclass(frozen=True)
class Rule(Option):
    """A rule that computes a step from the gradient and from moments of earlier gradients."""

    mixes_rows: ClassVar[bool] = False  # whether the step of a row depends on other rows
    steps_lengths: ClassVar[bool] = False  # whether it is a length rule that changes lengths

    @property
    def moments(self) -> tuple[str, ...]:
        """Names of the tensors, shaped like the gradient, that are kept between steps."""
        return ()

    def update(self, gradient: Tensor, moments: Moments, step: int) -> tuple[Tensor, Moments]:
        """Return the update and the new moments at a step, counted from one."""
        raise NotImplementedError


@dataclass(frozen=True)
class _LengthRule(Rule):
    lr: float | None = None

    steps_lengths: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.lr is not None:
            number(self.lr, type(self).__name__, "lr", at_least=0)

    def rate(self, lr: float, initial_lr: float) -> float:
        """Return the learning rate of lengths for the current and initial one of directions."""
        if self.lr is None:
            return lr
        return self.lr * (lr / initial_lr if initial_lr else 1.0)


@dataclass(frozen=True)
class SGD(_LengthRule):
    """Gradient descent with momentum, in the form of torch.optim.SGD.

    Parameters
    ----------
    lr : float, optional
        Initial learning rate of the lengths. If a scheduler changes the ``lr`` of LengthDirection,
        it changes in proportion. Default: the ``lr`` of LengthDirection. A direction rule must not
        have a learning rate.
    momentum : float, default=0.0
        Decay of the running sum of gradients.
    nesterov : bool, default=False
        Whether to use Nesterov momentum, which looks one step ahead.

    Notes
    -----
    M <- momentum M + gradient; the update is M, or gradient + momentum M (Nesterov). As a name,
    ``direction="sgd"`` is ``SGD(momentum=0.9, nesterov=True)`` and ``length="sgd"`` is
    ``SGD(lr=0.01)``.
    """

    momentum: float = 0.0
    nesterov: bool = False

    name: ClassVar[str] = "sgd"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_below_one(self.momentum, "SGD", "momentum")
        flag(self.nesterov, "SGD", "nesterov")

    @property
    def moments(self) -> tuple[str, ...]:
        return ("momentum",) if self.momentum else ()

    def update(self, gradient: Tensor, moments: Moments, step: int) -> tuple[Tensor, Moments]:
        return with_momentum(gradient, moments, self.momentum, self.nesterov)


@dataclass(frozen=True)
class Adam(_LengthRule):
    """The step of Adam.

    Parameters
    ----------
    lr : float, optional
        Initial learning rate of the lengths. If a scheduler changes the ``lr`` of LengthDirection,
        it changes in proportion. Default: the ``lr`` of LengthDirection. A direction rule must not
        have a learning rate.
    betas : tuple of float, default=(0.9, 0.95)
        Decays of the running averages of the gradient and of its square.
    eps : float, default=1e-8
        Term added to the square root of the second average.

    Notes
    -----
    As a name, ``direction="adam"`` is ``Adam()`` and ``length="adam"`` is ``Adam(lr=0.01)``.

    References
    ----------
    D. P. Kingma and J. Ba, Adam: a method for stochastic optimization, ICLR 2015.
    """

    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8

    name: ClassVar[str] = "adam"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_betas(self.betas, "Adam")
        number(self.eps, "Adam", "eps", above=0)

    @property
    def moments(self) -> tuple[str, ...]:
        return "momentum", "square"

    def update(self, gradient: Tensor, moments: Moments, step: int) -> tuple[Tensor, Moments]:
        (b1, b2), (mean, square) = self.betas, moments
        mean = torch.lerp(mean, gradient, 1 - b1)
        square = (b2 * square).addcmul_(gradient, gradient, value=1 - b2)
        root = (square / (1 - b2**step)).sqrt_().add_(self.eps)
        return mean / (1 - b1**step) / root, (mean, square)


@dataclass(frozen=True)
class Fixed(Rule):
    """The length rule that leaves all lengths unchanged."""

    name: ClassVar[str] = "fixed"


@dataclass(frozen=True)
class Polar(Rule):
    """The orthogonal polar factor of the momentum, as in Muon.

    Parameters
    ----------
    steps : int, default=5
        Number of iterations that approximate the polar factor.
    iteration : {"muon", "polar express", "exact"}, default="muon"
        "muon" maps singular values into about [0.7, 1.2], "polar express" maps them closer to one,
        and "exact" uses a singular value decomposition.
    dtype : torch.dtype, optional
        Type of the iterations' arithmetic, for instance ``torch.bfloat16``. Default: that of the
        directions.
    momentum : float, default=0.9
        Decay of the running sum of gradients, in the form of torch.optim.SGD.
    nesterov : bool, default=True
        Whether to use Nesterov momentum, which looks one step ahead.

    References
    ----------
    K. Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024.
    N. Amsel et al., The Polar Express, arXiv 2505.16932, 2025.

    Examples
    --------
    >>> Polar(iteration="polar express", momentum=0.95).steps
    5
    """

    steps: int = 5
    iteration: str = "muon"
    dtype: torch.dtype | None = None
    momentum: float = 0.9
    nesterov: bool = True

    name: ClassVar[str] = "polar"
    mixes_rows: ClassVar[bool] = True

    def __post_init__(self) -> None:
        whole_number(self.steps, "Polar", "steps", at_least=1)
        if self.iteration not in ITERATIONS:
            raise ValueError(unknown(self.iteration, ITERATIONS, "Polar", "iteration"))
        dtype = self.dtype
        if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
            must = "be a floating-point torch.dtype or None"
            raise TypeError(complaint("Polar", "dtype", must, repr(dtype)))
        check_below_one(self.momentum, "Polar", "momentum")
        flag(self.nesterov, "Polar", "nesterov")

    @property
    def moments(self) -> tuple[str, ...]:
        return ("momentum",) if self.momentum else ()

    def update(self, gradient: Tensor, moments: Moments, step: int) -> tuple[Tensor, Moments]:
        # The caller computes the polar factor of this, for which it may need rows of other ranks.
        return with_momentum(gradient, moments, self.momentum, self.nesterov)

    def factor(self, M: Tensor) -> Tensor:
        """Compute the polar factor of each matrix.

        Parameters
        ----------
        M : Tensor of shape (matrices, rows, columns)
            The whole matrices.

        Returns
        -------
        Tensor of shape (matrices, rows, columns)
            The polar factors as computed by `polar_factor`.
        """
        return polar_factor(M, iteration=self.iteration, steps=self.steps, dtype=self.dtype)


def with_momentum(
    gradient: Tensor, moments: Moments, momentum: float, nesterov: bool
) -> tuple[Tensor, Moments]:
    """Return the update and, unless momentum is zero, the new M = momentum M + gradient."""
    if not momentum:
        return gradient, ()
    M = torch.add(gradient, moments[0], alpha=momentum)
    return (torch.add(gradient, M, alpha=momentum) if nesterov else M), (M,)


DIRECTIONS: dict[str, Rule] = {
    "polar": Polar(),
    "adam": Adam(),
    "sgd": SGD(momentum=0.9, nesterov=True),
}
LENGTHS: dict[str, Rule] = {"adam": Adam(lr=0.01), "sgd": SGD(lr=0.01), "fixed": Fixed()}
