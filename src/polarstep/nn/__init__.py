"""Networks with and without normalization, and their training by gradient descent.

This package needs PyTorch, which the extra ``polarstep[torch]`` installs.
"""

from typing import Any

from ..extras import require_torch

require_torch("polarstep.nn")

from .gradients import GradientSplit, gradient_split  # noqa: E402
from .models import mlp  # noqa: E402
from .records import Step, TrainingStatus  # noqa: E402
from .training import train  # noqa: E402

__all__ = ["GradientSplit", "Step", "TrainingStatus", "gradient_split", "mlp", "train"]


def __getattr__(name: str) -> Any:
    if name == "Status":
        raise AttributeError(
            "polarstep.nn.Status has been renamed: use polarstep.nn.TrainingStatus."
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
