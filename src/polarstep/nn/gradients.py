"""Norms of a gradient with respect to the directions and the lengths of weight rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    """Norms of a gradient over all rows of all layers, as `gradient_split` defines them.

    Parameters
    ----------
    direction : float
        Norm of the gradient with respect to the directions.
    length : float
        Norm of the gradient with respect to the lengths.
    """

    direction: float
    length: float


def gradient_split(
    model: nn.Module, gradients: Mapping[str, Tensor] | None = None
) -> GradientSplit:
    """Compute the norms of the gradient by the directions and the lengths of weight rows.

    The rows are those of the linear layers and the filters of the convolutions. The cost is one
    pass over the weights and the gradients; the network is not evaluated.

    Parameters
    ----------
    model : torch.nn.Module
        The network.
    gradients : mapping of str to torch.Tensor, optional
        Gradients by the names of the parameters. By default, the ``.grad`` of the parameters, as
        ``loss.backward()`` sets them. Layers without a gradient, for instance frozen ones, are
        ignored.

    Returns
    -------
    GradientSplit
        The norms ``direction`` and ``length``, each the root of the sum of squares over all rows
        of all layers.

    Raises
    ------
    ValueError
        If there are no gradients, or if the weight of a layer has a parametrization other than
        weight normalization.

    Notes
    -----
    Write row p of a weight matrix as W_p = g_p u_p with ||u_p|| = 1, and let dW_p be the gradient
    with respect to W_p. In the coordinates (g, u) the gradients are [1]_ [2]_

    .. math:: \\frac{\\partial f}{\\partial g_p} = u_p^T dW_p, \\qquad
              \\frac{\\partial f}{\\partial u_p} = g_p (I - u_p u_p^T) dW_p.

    They are computed according to the parameterization of the layer:

    - In a plain layer, by these formulas. A row of zeros has no direction; it counts as zero in
      both norms.
    - With weight normalization, W_p = g_p v_p / ||v_p||, they are the gradient with respect to g_p
      and ||v_p|| times that with respect to v_p. These equal the formulas above, because the
      gradient with respect to v_p is orthogonal to v_p.
    - In a layer that is followed by batch normalization within a Sequential, the length of a row
      is the gain of its unit, and the gradient with respect to the direction is ||w_p|| dw_p.
      Without gains there is no length. In eval mode the statistics are constants, so the layer
      counts as a plain one.

    Biases, shifts and other kinds of layers, such as transposed convolutions, contribute to
    neither norm.

    References
    ----------
    .. [1] T. Salimans and D. P. Kingma, "Weight normalization: A simple reparameterization to
       accelerate training of deep neural networks", NeurIPS 2016, section 2.1.
    .. [2] J. Kohler, H. Daneshmand, A. Lucchi, M. Zhou, K. Neymeyr and T. Hofmann, "Exponential
       convergence rates for batch normalization", AISTATS 2019, equations 6 and 7.

    Examples
    --------
    >>> import torch
    >>> from polarstep.nn import gradient_split
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> _ = model.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
    >>> model.weight.grad = torch.tensor([[0.0, 10.0]])
    >>> gradient_split(model)
    GradientSplit(direction=30.0, length=8.0)
    """
    parameters = dict(model.named_parameters())
    if gradients is None:
        gradients = {name: p.grad for name, p in parameters.items() if p.grad is not None}
    if not gradients:
        advice = "Call loss.backward() first."
        raise ValueError(complaint("gradient_split", "model", "have gradients", "none", advice))
    gradient_of = {id(parameters[name]): gradient for name, gradient in gradients.items()}

    def pop_gradient(parameter: Any) -> Tensor | None:
        # Removing the gradient makes a weight that two layers share count only once.
        return gradient_of.pop(id(parameter), None)

    norms = _norm_after(model)
    directions, lengths = [], []
    with torch.no_grad():
        for name, layer in model.named_modules():
            if not isinstance(layer, _LAYERS):
                continue
            norm = norms.get(layer)
            if is_parametrized(layer, "weight"):
                length, direction = _weight_normalized(name, layer, pop_gradient)
            elif (dW := pop_gradient(layer.weight)) is None:
                length = direction = None
            else:
                length, direction = _plain(layer.weight, dW, normalized=norm is not None)
            if norm is not None:
                length = pop_gradient(norm.weight)
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


def _weight_normalized(
    name: str, layer: Any, pop_gradient: Callable[[Any], Tensor | None]
) -> tuple[Tensor | None, Tensor | None]:
    first, *more = layer.parametrizations.weight
    if more or not isinstance(first, _WeightNorm):
        must = "have weights that are plain or normalized by parametrizations.weight_norm"
        got = f"{name}.weight with {type((more or [first])[0]).__name__}"
        raise ValueError(complaint("gradient_split", "model", must, got))
    g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    dg, dv = pop_gradient(g), pop_gradient(v)
    return dg, None if dv is None else torch.norm_except_dim(v, 2, first.dim) * dv


def _norm_after(model: nn.Module) -> dict[nn.Module, _BatchNorm]:
    """Map layers to the batch normalization that follows, if it uses the batch's statistics."""
    return {
        layer: norm
        for container in model.modules()
        if isinstance(container, nn.Sequential)
        for layer, norm in pairwise(container)
        if isinstance(norm, _BatchNorm) and (norm.training or norm.running_mean is None)
    }


def _total(norms: list[Tensor]) -> float:
    return float(torch.linalg.vector_norm(torch.stack(norms))) if norms else 0.0
