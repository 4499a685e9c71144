"""Optimizers for PyTorch that step in the lengths and the directions of weights.

Needs the extra ``polarstep[torch]``.
"""

from ..extras import require_torch

require_torch("polarstep.optim")

from .assignment import Assigned, Assignment, assignment  # noqa: E402
from .length_direction import LengthDirection  # noqa: E402

__all__ = ["Assigned", "Assignment", "LengthDirection", "assignment"]
