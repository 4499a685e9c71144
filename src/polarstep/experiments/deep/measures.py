"""Measurements at one iterate of a deep network. This module needs PyTorch.

The network that is measured does not change: everything is computed on copies. The copies are in
the mode of the training, so batch normalization uses the statistics of the batch.
"""

from __future__ import annotations

import copy
import re
from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.parametrize import is_parametrized

from ...curvature import coupling
from ..formatting import six_digits
from ..networks.architecture import LAYERS
from ..networks.images import Data
from .plan import COUPLING_ERROR, MIDDLE, STEP_FACTORS

_MIDDLE = LAYERS[MIDDLE - 1]


def measure(model: nn.Sequential, data: Data, subset: Data, rate: float) -> dict[str, Any]:
    """Measure a network at its weights, and along a gradient step on `data` at a learning rate.

    The coupling, which is expensive, is measured on `subset`.
    """
    loss, gradient = differentiate(model, data)
    here, after = folded(model), folded(moved(model, gradient, rate))
    return {
        "weights": middle_coupling(here, subset, directions=False),
        "directions": middle_coupling(here, subset, directions=True),
        "shift": covariate_shift(here, after, data[0]),
        **gradient_shift(here, after, data),
        **roughness(model, data, loss, gradient, rate),
    }


def folded(model: nn.Sequential) -> nn.Sequential:
    """Return a copy that computes the same function with plain weights.

    Weight normalization, W_p = g_p v_p / ||v_p||, changes the parameters but not the function, so
    the copy has the same derivatives with respect to W and to the directions of its units.
    """
    return nn.Sequential(OrderedDict((n, _plain(layer)) for n, layer in model.named_children()))


def _plain(layer: nn.Module) -> nn.Module:
    if not isinstance(layer, nn.Linear) or not is_parametrized(layer):
        return copy.deepcopy(layer)
    sizes, weight = (layer.in_features, layer.out_features), layer.weight
    # Creating the layer on "meta" avoids drawing weights from torch's global random state.
    plain = nn.Linear(*sizes, device="meta", dtype=weight.dtype).to_empty(device="cpu")
    plain.load_state_dict({"weight": weight, "bias": layer.bias})
    return plain


def moved(model: nn.Sequential, gradient: dict[str, Tensor], distance: float) -> nn.Sequential:
    """Return a copy with the parameters w - distance * gradient."""
    result = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in result.named_parameters():
            parameter.sub_(gradient[name], alpha=distance)
    return result


def differentiate(model: nn.Sequential, data: Data) -> tuple[float, dict[str, Tensor]]:
    """Return the loss and its gradient by the names of the parameters.

    The model is copied first, because batch normalization updates its running statistics.
    """
    model = copy.deepcopy(model)
    loss = cross_entropy(model(data[0]), data[1])
    parameters = dict(model.named_parameters())
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    return loss.item(), dict(zip(parameters, gradients, strict=True))


def middle_coupling(model: nn.Sequential, data: Data, *, directions: bool) -> dict[str, Any]:
    """Return ||d2f/dW_4 dW_i||_F for every layer i, all norms ||W_i||, and the block of layer 4.

    With `directions`, the derivatives are with respect to the directions u_p of the units,
    W_p = g_p u_p, on their spheres. With batch normalization the norms are estimates whose relative
    standard error is at most `COUPLING_ERROR`, because exact norms would take many times as long.

    The blocks are those of Kohler et al., AISTATS 2019, section 5.
    """
    found = coupling(
        model,
        cross_entropy,
        data,
        row=_MIDDLE,
        columns=LAYERS,
        method="sketch" if _is_normalized(model) else "exact",
        rtol=COUPLING_ERROR,
        directions=directions,
    )
    return {
        "raw": [six_digits(found[_MIDDLE, name]) for name in LAYERS],
        "sizes": [six_digits(found.sizes[name]) for name in LAYERS],
        "own": six_digits(found.own[_MIDDLE]),
    }


def _is_normalized(model: nn.Sequential) -> bool:
    return any(isinstance(layer, nn.BatchNorm1d) for layer in model)


def covariate_shift(before: nn.Sequential, after: nn.Sequential, X: Tensor) -> list[float]:
    """Return how far the inputs of layers 2, 3, ... move when all layers below take their step.

    Let m and s be the mean and the standard deviation of each input of a layer over the samples,
    before the step and (with a prime) after it. The shift of the layer is

        sqrt( sum (m' - m)^2 + (s' - s)^2 ) / sqrt( sum s^2 ).

    This is internal covariate shift in the sense of Ioffe and Szegedy, ICML 2015, the change of the
    distribution of a layer's inputs, restricted to its first two moments.
    """
    pairs = zip(_layer_inputs(before, X), _layer_inputs(after, X), strict=True)
    return [six_digits(_moment_shift(old, new)) for old, new in list(pairs)[1:]]


def _layer_inputs(model: nn.Sequential, X: Tensor) -> list[Tensor]:
    inputs = []
    with torch.no_grad():
        for layer in copy.deepcopy(model):
            if isinstance(layer, nn.Linear):
                inputs.append(X)
            X = layer(X)
    return inputs


def _moment_shift(old: Tensor, new: Tensor) -> float:
    moments = [(x.double().mean(0), x.double().std(0, correction=0)) for x in (old, new)]
    (m, s), (m_new, s_new) = moments
    moved_by = (m_new - m).square().sum() + (s_new - s).square().sum()
    return float((moved_by / s.square().sum()).sqrt())


def gradient_shift(before: nn.Sequential, after: nn.Sequential, data: Data) -> dict[str, float]:
    """Return how the middle layer's gradient changes when all layers below it take their step.

    With the gradients G before the step and G' after it, the result holds ||G' - G|| / ||G|| and
    the cosine of G and G'. Santurkar et al., "How does batch normalization help optimization?",
    NeurIPS 2018, definition 2.1, measure ||G' - G||.
    """
    below = copy.deepcopy(before)
    stepped = after.state_dict()
    below.load_state_dict(
        {n: stepped[n] if _layer_number(n) < MIDDLE else p for n, p in before.state_dict().items()}
    )
    old, new = (differentiate(model, data)[1][_MIDDLE].double() for model in (before, below))
    cosine = (old * new).sum() / (old.norm() * new.norm())
    return {
        "gradient_shift": six_digits(float((new - old).norm() / old.norm())),
        "gradient_cosine": six_digits(float(cosine)),
    }


def _layer_number(name: str) -> int:
    """Return the number in a name such as "linear3.weight" or "norm3.weight"."""
    found = re.search(r"\d+", name)
    assert found is not None
    return int(found[0])


def roughness(
    model: nn.Sequential, data: Data, loss: float, gradient: dict[str, Tensor], rate: float
) -> dict[str, list[float]]:
    """Return how far, along the step, the loss is from linear and the gradient from constant.

    For every t in `STEP_FACTORS` and d = t rate, the result holds

        | f(w - d grad f) - (f - d ||grad f||^2) | / (d ||grad f||^2)    and
        || grad f(w - d grad f) - grad f || / ||grad f||.

    Santurkar et al., NeurIPS 2018, section 3.1, examine the loss and the gradient along the step.
    """
    size = _norm(gradient)
    of_loss, of_gradient = [], []
    for factor in STEP_FACTORS:
        distance = factor * rate
        loss_there, gradient_there = differentiate(moved(model, gradient, distance), data)
        descent = distance * size**2
        change = {name: gradient_there[name] - g for name, g in gradient.items()}
        of_loss.append(
            six_digits(abs(loss_there - (loss - descent)) / descent if descent else np.nan)
        )
        of_gradient.append(six_digits(_norm(change) / size if size else np.nan))
    return {"loss_roughness": of_loss, "gradient_roughness": of_gradient}


def _norm(tensors: dict[str, Tensor]) -> float:
    norms = [torch.linalg.vector_norm(t, dtype=torch.float64) for t in tensors.values()]
    return float(torch.linalg.vector_norm(torch.stack(norms)))
