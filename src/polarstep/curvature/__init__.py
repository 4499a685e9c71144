"""How strongly the layers of a network depend on one another: cross-layer Hessian norms."""

from ..extras import require_torch

require_torch("polarstep.curvature")

from .coupling import coupling  # noqa: E402
from .result import Coupling  # noqa: E402

__all__ = ["Coupling", "coupling"]
