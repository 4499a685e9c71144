"""Norms of the Hessian blocks between the layers of a network.

This package needs PyTorch, which the extra ``polarstep[torch]`` installs.
"""

from ..extras import require_torch

require_torch("polarstep.curvature")

from .coupling import coupling  # noqa: E402
from .result import Coupling  # noqa: E402

__all__ = ["Coupling", "coupling"]
