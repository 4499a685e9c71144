"""The metrics in which directions have norm one: covariance, Euclidean, Frobenius."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..validation import flag, number, whole_number
from .options import Option, check_below_one
from .spheres import MatrixSphere, RowSphere, Sphere


@dataclass(frozen=True)
class Metric(Option, Sphere):
    """A sphere and its options.

    Parameters
    ----------
    tangent : bool, default=True
        Whether the component of the gradient along the direction, which does not change the
        direction, is removed before the direction rule sees the gradient.
    """

    tangent: bool = True

    uses_inputs: ClassVar[bool] = False  # whether the inputs of the layers are observed

    def __post_init__(self) -> None:
        flag(self.tangent, type(self).__name__, "tangent")

    def gradient(self, C: Tensor, V: Tensor, radius: Tensor | float) -> Tensor:
        """Return the gradient C with respect to V, made tangent to the sphere if `tangent`."""
        return self.project(C, V, radius) if self.tangent else C


@dataclass(frozen=True)
class Euclidean(RowSphere, Metric):
    """Rows on the Euclidean unit sphere, as in weight normalization.

    Parameters
    ----------
    tangent : bool, default=True
        Whether the component of the gradient along the direction, which does not change the
        direction, is removed before the direction rule sees the gradient.
    """

    name: ClassVar[str] = "euclidean"


@dataclass(frozen=True)
class Frobenius(MatrixSphere, Metric):
    """Whole matrices on the sphere of their initial Frobenius norm; lengths start at one.

    Parameters
    ----------
    tangent : bool, default=True
        Whether the component of the gradient along the direction, which does not change the
        direction, is removed before the direction rule sees the gradient.
    """

    name: ClassVar[str] = "frobenius"


@dataclass(frozen=True)
class Covariance(RowSphere, Metric):
    """Rows on the unit sphere of the covariance of the layer's inputs, as in batch normalization.

    Parameters
    ----------
    tangent : bool, default=True
        Whether the component of the gradient along the direction, which does not change the
        direction, is removed before the direction rule sees the gradient.
    damping : float, default=0.3
        The metric is S + damping tr(S)/n I in place of S: more damping whitens the inputs less.
        Networks without any normalization tolerate more damping, for instance 1.
    decay : float, default=0.9
        Decay of the running average of S at each refresh; new inputs have the weight 1 - decay.
    refresh_every : int, default=10
        Number of steps from one refresh to the next. A refresh averages the inputs of one step
        into S.
    rows : int, default=1024
        Largest number of inputs, evenly spaced, that are used from one call of the layer; 0 uses
        all of them.
    max_inputs : int, default=1024
        Layers with more inputs than this are updated in the Euclidean metric, because the
        factorization of S would cost more than the layer itself; 0 sets no limit.
    precondition : bool, default=True
        Whether steps are taken in whitened coordinates, that is, preconditioned by S^-1. False
        gives the gradient step of batch normalization itself.

    Notes
    -----
    S is the uncentred covariance E[x x^T] of the inputs x, so that ``||U_i||_S = 1`` means that the
    pre-activation of unit i has mean square one. With the Cholesky factor S = L L^T, the rows of
    V = U L have Euclidean norm one. Only calls of the model in training mode and with gradients
    enabled are used. Gains of columns would change S, so that only rows have gains.

    Examples
    --------
    >>> Covariance(damping=1.0).refresh_every
    10
    """

    damping: float = 0.3
    decay: float = 0.9
    refresh_every: int = 10
    rows: int = 1024
    max_inputs: int = 1024
    precondition: bool = True

    name: ClassVar[str] = "covariance"
    gains: ClassVar[tuple[str, ...]] = ("row",)
    uses_inputs: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self.damping, "Covariance", "damping", at_least=0)
        check_below_one(self.decay, "Covariance", "decay")
        whole_number(self.refresh_every, "Covariance", "refresh_every", at_least=1)
        whole_number(self.rows, "Covariance", "rows")
        whole_number(self.max_inputs, "Covariance", "max_inputs")
        flag(self.precondition, "Covariance", "precondition")

    def admits(self, columns: int) -> bool:
        """Return whether a layer is small enough for this metric.

        Parameters
        ----------
        columns : int
            Number of inputs of one unit of the layer.

        Returns
        -------
        bool
            Whether ``columns`` is at most ``max_inputs``.
        """
        return self.max_inputs == 0 or columns <= self.max_inputs


METRICS: dict[str, Metric] = {each.name: each for each in (Covariance(), Euclidean(), Frobenius())}
