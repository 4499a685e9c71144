"""The gradient of a network, split into what turns its weight rows and what stretches them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.parametrize import is_parametrized

from ..validation import complaint

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class GradientSplit(NamedTuple):
    """Norms over all rows of all layers, as `gradient_split` defines them."""

    direction: float
    length: float


def gradient_split(
    model: nn.Module, gradients: Mapping[str, Tensor] | None = None
) -> GradientSplit:
    """Norms of the gradient with respect to the directions and the lengths of weight rows.

    Every row of a linear layer, and every filter of a convolution, is W_p = g_p u_p with
    ||u_p|| = 1. In these coordinates

        d f / d g_p = u_p . dW_p    and    d f / d u_p = g_p (I - u_p u_p^T) dW_p,

    where dW_p is the gradient with respect to W_p. By how the layer is parameterized:

    - plain: the formulas above. A row of zeros has no direction and counts as zero in both;
    - weight-normalized, W_p = g_p v_p / ||v_p||: the gradient of g_p, and ||v_p|| times that of
      v_p, which is the same thing, because the gradient of v_p has no part along v_p;
    - followed by batch normalization, in a Sequential: the layer's length is the gain of the batch
      normalization, and the direction's gradient is ||w_p|| dw_p. It is orthogonal to w_p but for
      batch normalization's eps. Without gains there is no length. In eval mode the
      statistics are constants, so that the layer counts as a plain one.

    Biases, shifts and other kinds of layers (transposed convolutions among them) belong to neither.

    Parameters
    ----------
    model : Module
    gradients : mapping from parameter names to tensors, optional
        Default: the parameters' ``.grad``, as ``loss.backward()`` leaves them. Layers without
        a gradient (frozen ones) are left out.

    Returns
    -------
    GradientSplit
        direction and length: root of the sum of squares over all rows and layers. One pass over
        weights and gradients, no pass through the network.

    Raises
    ------
    ValueError
        There are no gradients, or a layer's weight is parametrized in another way.

    Examples
    --------
    >>> from torch import nn
    >>> model = nn.Linear(2, 1, bias=False)
    >>> _ = model.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
    >>> model.weight.grad = torch.tensor([[0.0, 10.0]])
    >>> gradient_split(model)
    GradientSplit(direction=30.0, length=8.0)

    Sources: Salimans and Kingma, NeurIPS 2016, section 2.1; Kohler et al., AISTATS 2019,
    equations 6 and 7.
    """
    parameters = dict(model.named_parameters())
    if gradients is None:
        gradients = {name: p.grad for name, p in parameters.items() if p.grad is not None}
    if not gradients:
        advice = "Call loss.backward() first."
        raise ValueError(complaint("gradient_split", "model", "have gradients", "none", advice))
    gradient_of = {id(parameters[name]): gradient for name, gradient in gradients.items()}

    def of(parameter: Any) -> Tensor | None:
        # A weight that two layers share counts once.
        return gradient_of.pop(id(parameter), None)

    norms = _norm_after(model)
    directions, lengths = [], []
    with torch.no_grad():
        for name, layer in model.named_modules():
            if not isinstance(layer, _LAYERS):
                continue
            norm = norms.get(layer)
            if is_parametrized(layer, "weight"):
                length, direction = _weight_normalized(name, layer, of)
            elif (dW := of(layer.weight)) is None:
                length = direction = None
            else:
                length, direction = _plain(layer.weight, dW, normalized=norm is not None)
            if norm is not None:
                length = of(norm.weight)
            if direction is not None:
                directions.append(torch.linalg.vector_norm(direction))
            if length is not None:
                lengths.append(torch.linalg.vector_norm(length))
        return GradientSplit(_total(directions), _total(lengths))


def _plain(W: Tensor, dW: Tensor, *, normalized: bool) -> tuple[Tensor | None, Tensor]:
    W, dW = W.flatten(1), dW.flatten(1)
    g = torch.linalg.vector_norm(W, dim=1, keepdim=True)
    if normalized:
        return None, g * dW
    u = W / g.where(g > 0, 1)
    length = (u * dW).sum(dim=1, keepdim=True)
    return length, g * (dW - length * u)


def _weight_normalized(name: str, layer: Any, of: Any) -> tuple[Tensor | None, Tensor | None]:
    first, *more = layer.parametrizations.weight
    if more or not isinstance(first, _WeightNorm):
        must = "have weights that are plain or normalized by parametrizations.weight_norm"
        got = f"{name}.weight with {type((more or [first])[0]).__name__}"
        raise ValueError(complaint("gradient_split", "model", must, got))
    g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    dv = of(v)
    return of(g), None if dv is None else torch.norm_except_dim(v, 2, first.dim) * dv


def _norm_after(model: nn.Module) -> dict[nn.Module, _BatchNorm]:
    """The batch normalization right after a layer, if it works with the batch's statistics."""
    return {
        layer: norm
        for container in model.modules()
        if isinstance(container, nn.Sequential)
        for layer, norm in pairwise(container)
        if isinstance(norm, _BatchNorm) and (norm.training or norm.running_mean is None)
    }


def _total(norms: list[Tensor]) -> float:
    return float(torch.linalg.vector_norm(torch.stack(norms))) if norms else 0.0
