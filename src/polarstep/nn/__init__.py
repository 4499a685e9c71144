"""Networks with and without normalization, and their training by gradient descent.

Needs the extra ``polarstep[torch]``.
"""

from ..extras import require_torch

require_torch("polarstep.nn")

from .descent import Status, Step  # noqa: E402
from .gradients import GradientSplit, gradient_split  # noqa: E402
from .models import mlp  # noqa: E402
from .training import train  # noqa: E402

__all__ = ["GradientSplit", "Status", "Step", "gradient_split", "mlp", "train"]
