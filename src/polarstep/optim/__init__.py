"""Optimizers for PyTorch that update the lengths and the directions of weights separately.

This package needs the extra ``polarstep[torch]``.
"""

from ..extras import require_torch

require_torch("polarstep.optim")

from .adamw import AdamW  # noqa: E402
from .assignment import assignment  # noqa: E402
from .diagnostics import Diagnostics  # noqa: E402
from .entries import Assigned, Assignment  # noqa: E402
from .length_direction import LengthDirection  # noqa: E402
from .metrics import Covariance, Euclidean, Frobenius  # noqa: E402
from .options import Angle, Gains  # noqa: E402
from .presets import (  # noqa: E402
    InverseDecay,
    angular_muown,
    hyperball,
    magnitude_direction,
    weight_normalization,
)
from .rules import SGD, Adam, Fixed, Polar  # noqa: E402

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Angle",
    "Assigned",
    "Assignment",
    "Covariance",
    "Diagnostics",
    "Euclidean",
    "Fixed",
    "Frobenius",
    "Gains",
    "InverseDecay",
    "LengthDirection",
    "Polar",
    "angular_muown",
    "assignment",
    "hyperball",
    "magnitude_direction",
    "weight_normalization",
]
