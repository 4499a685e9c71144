"""Optimizers for PyTorch that step in the lengths and the directions of weights.

Needs the extra ``polarstep[torch]``.
"""

from ..extras import require_torch

require_torch("polarstep.optim")

from .assignment import Assigned, Assignment, assignment  # noqa: E402
from .diagnostics import Diagnostics  # noqa: E402
from .length_direction import LengthDirection  # noqa: E402
from .presets import (  # noqa: E402
    InverseDecay,
    angular_muown,
    hyperball,
    magnitude_direction,
    weight_normalization,
)

__all__ = [
    "Assigned",
    "Assignment",
    "Diagnostics",
    "InverseDecay",
    "LengthDirection",
    "angular_muown",
    "assignment",
    "hyperball",
    "magnitude_direction",
    "weight_normalization",
]
