"""Parameters that are spread over ranks (FSDP2's DTensor): whole matrices from and to them."""

from __future__ import annotations

from typing import Any

import torch.distributed as dist
from torch import Tensor


def full(tensor: Any) -> Tensor:
    """The whole tensor; every rank must ask for it."""
    return tensor.full_tensor() if _spread(tensor) else tensor


def local(tensor: Any) -> Tensor:
    """This rank's part, without communication."""
    return tensor._local_tensor if _spread(tensor) else tensor


def write(parameter: Any, value: Tensor) -> None:
    """Put a whole tensor, the same on all ranks, into a parameter."""
    if not _spread(parameter):
        parameter.copy_(value)
        return
    from torch.distributed.tensor import DTensor, Replicate

    mesh, placements = parameter.device_mesh, parameter.placements
    whole = DTensor.from_local(value, mesh, [Replicate()] * mesh.ndim, run_check=False)
    part = whole.redistribute(placements=placements)
    parameter._local_tensor.copy_(part._local_tensor)


def _spread(tensor: Any) -> bool:
    return dist.is_available() and hasattr(tensor, "full_tensor")
