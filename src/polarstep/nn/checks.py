"""Checks of the arguments of `train`, made before the first step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..validation import complaint, not_finite, type_of


def check_model(model: Any) -> None:
    """Raise an error unless the model is a Module with parameters to train."""
    if not isinstance(model, nn.Module):
        raise TypeError(complaint("train", "model", "be a torch Module", type_of(model)))
    if not any(parameter.requires_grad for parameter in model.parameters()):
        must = "have parameters that require a gradient"
        raise ValueError(complaint("train", "model", must, "none"))


def check_function(value: Any, argument: str) -> None:
    """Raise an error unless the value can be called."""
    if not callable(value):
        raise TypeError(complaint("train", argument, "be a function", type_of(value)))


def check_data(data: Any) -> tuple[Tensor, Tensor]:
    """Return (inputs, targets) if they are finite tensors with equally many samples."""
    must = "be a pair of tensors (inputs, targets) with one entry per sample"
    if not (isinstance(data, (tuple, list)) and len(data) == 2):
        raise TypeError(complaint("train", "data", must, type_of(data)))
    for part in data:
        if not isinstance(part, Tensor):
            raise TypeError(complaint("train", "data", must, f"a pair with {type_of(part)}"))
    inputs, targets = data
    if not inputs.ndim or not targets.ndim or not len(inputs) or len(inputs) != len(targets):
        got = f"shapes {tuple(inputs.shape)} and {tuple(targets.shape)}"
        raise ValueError(complaint("train", "data", must, got))
    _check_finite("inputs", inputs)
    _check_finite("targets", targets)
    return inputs, targets


def _check_finite(name: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point() or not tensor.numel():
        return
    if torch.stack(torch.aminmax(tensor)).isfinite().all():
        return
    where = tuple(torch.nonzero(~tensor.isfinite())[0].tolist())
    place = f"{name}[{', '.join(map(str, where))}]"
    raise ValueError(not_finite(tensor[where].item(), place, "train", "data"))


def check_batch_size_for_batch_norm(model: nn.Module, samples: int, batch_size: int | None) -> None:
    """Raise an error if batch normalization would receive a mini-batch with a single sample."""
    size = samples if batch_size is None else batch_size
    if 1 not in (size, samples % size):
        return
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm1d) and module.training:
            must = "leave no mini-batch of a single sample for batch normalization"
            got = f"{batch_size} for {samples} samples, with {name} in the model"
            raise ValueError(complaint("train", "batch_size", must, got))
