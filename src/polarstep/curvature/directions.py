"""Lengths and directions of the units of a weight; a unit is a slice of the first dimension."""

from __future__ import annotations

import torch
from torch import Tensor


def units_of(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lengths, shape (units,), and the directions of norm 1, shape (units, inputs).

    The direction of a unit of length zero is undefined and returned as zero. The blocks of such a
    unit vanish, because they are multiplied by its length.
    """
    flat = weight.detach().flatten(1)
    lengths = torch.linalg.vector_norm(flat, dim=1)
    return lengths, torch.where(lengths[:, None] > 0, flat / lengths[:, None], 0.0)


def to_directions(vectors: Tensor, weight: Tensor) -> Tensor:
    """Convert derivatives with respect to W into derivatives with respect to its directions.

    With W = diag(lengths) U, the derivative for one unit is D_u = length (I - u u^T) D_w. `vectors`
    has the shape of the weight, after any number of batch dimensions.
    """
    lengths, directions = units_of(weight)
    flat = vectors.reshape(*vectors.shape[: vectors.ndim - weight.ndim], *directions.shape)
    radial = (flat * directions).sum(-1, keepdim=True)
    return (lengths[:, None] * (flat - radial * directions)).view_as(vectors)
