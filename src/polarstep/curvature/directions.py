"""The units of a weight: one slice of its first dimension each, with a length and a direction."""

from __future__ import annotations

import torch
from torch import Tensor


def units_of(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(lengths, directions): shapes (units,) and (units, inputs), the directions of norm 1.

    A unit of length zero has no direction; its direction is given as zero, so that the tangent
    space is everything, and its length is zero, so that its blocks vanish.
    """
    flat = weight.detach().flatten(1)
    lengths = torch.linalg.vector_norm(flat, dim=1)
    return lengths, torch.where(lengths[:, None] > 0, flat / lengths[:, None], 0.0)


def to_directions(vectors: Tensor, weight: Tensor) -> Tensor:
    """A derivative by the weight as one by the directions u, W = diag(lengths) U.

    D_u = length (I - u u^T) D_W, unit by unit. `vectors` has the weight's shape, behind any number
    of batch dimensions.
    """
    lengths, directions = units_of(weight)
    flat = vectors.reshape(*vectors.shape[: vectors.ndim - weight.ndim], *directions.shape)
    radial = (flat * directions).sum(-1, keepdim=True)
    return (lengths[:, None] * (flat - radial * directions)).view_as(vectors)
