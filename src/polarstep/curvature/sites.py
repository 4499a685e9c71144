"""The pre-activations on which parameters act, and derivatives with respect to them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .batch_loss import BatchLoss, NotSeparable

_LARGEST_BATCH = 2**23  # numbers; larger batches of tangents are no faster


@dataclass(frozen=True)
class Site:
    """The only place where a parameter W acts, z = inputs W^T + ... + perturbation.

    W is a constant in z. `inputs` (N, s) are ones for a bias, `perturbation` (N, R) is a leaf of
    zeros, and `order` counts the calls of layers.
    """

    name: str
    order: int
    inputs: Tensor
    perturbation: Tensor


@contextlib.contextmanager
def sites_of(batch_loss: BatchLoss, names: Sequence[str]) -> Iterator[list[Site]]:
    """Collect the sites of the named parameters when the model is called in this context."""
    sites: list[Site] = []
    calls: list[str] = []
    handles = []
    wanted = set(names)
    try:
        for prefix, module in batch_loss.model.named_modules():
            own = [
                f"{prefix}.{n}" if prefix else n for n, _ in module.named_parameters(recurse=False)
            ]
            mine = [name for name in own if name in wanted]
            if not mine:
                continue
            wanted -= set(mine)
            own_names = {name.rpartition(".")[2] for name in mine}
            if type(module) is not nn.Linear or own_names - {"weight", "bias"}:
                raise NotSeparable(f"{mine[0]} is not a parameter of a torch.nn.Linear")
            if shared := batch_loss.tied & set(own):
                raise NotSeparable(f"{min(shared)} is used in several places")
            handles.append(module.register_forward_hook(_hook(prefix, mine, sites, calls)))
        if wanted:
            raise NotSeparable(f"{min(wanted)} is not a parameter of a torch.nn.Linear")
        yield sites
    finally:
        for handle in handles:
            handle.remove()


def _hook(
    prefix: str, names: list[str], sites: list[Site], calls: list[str]
) -> Callable[[nn.Linear, tuple[Any, ...], Tensor], Tensor]:
    def perturb(module: nn.Linear, arguments: tuple[Any, ...], output: Tensor) -> Tensor:
        if prefix in calls:
            raise NotSeparable(f"layer {prefix!r} is used more than once")
        calls.append(prefix)
        inputs = arguments[0]
        if inputs.ndim != 2:
            raise NotSeparable(f"the inputs of layer {prefix!r} are not one vector per sample")
        perturbation = torch.zeros_like(output, requires_grad=True)
        constants = {"weight": module.weight, "bias": module.bias}
        for name in names:
            own = name.rpartition(".")[2]
            constants[own] = constants[own].detach()
            seen = inputs if own == "weight" else torch.ones_like(inputs[:, :1])
            sites.append(Site(name, len(calls), seen, perturbation))
        return nn.functional.linear(inputs, **constants) + perturbation

    return perturb


def tangents(
    output: Tensor, inputs: Sequence[Tensor], rows: range, room: int
) -> list[Tensor | None]:
    """Differentiate some columns of `output` (N, R) with respect to each of the inputs.

    Each derivative has the shape (rows, N, ...), or is None if the output does not depend on that
    input. `room` is the number of floating-point numbers that may be held at once.
    """
    if not output.requires_grad:
        return [None] * len(inputs)
    N, R = output.shape
    eye = torch.eye(R, dtype=output.dtype, device=output.device)[rows.start : rows.stop]
    at_once = tangents_at_once(max(sum(tensor.numel() for tensor in inputs), N * R), room)
    parts = [
        torch.autograd.grad(
            output,
            inputs,
            some[:, None, :].expand(len(some), N, R),
            is_grads_batched=True,
            retain_graph=True,
            allow_unused=True,
        )
        for some in torch.split(eye, at_once)
    ]
    return [_joined(tensors) for tensors in zip(*parts, strict=True)]


def tangents_at_once(numbers: int, room: int) -> int:
    """Return how many tangents to process at once if each yields a given count of numbers.

    A backward pass holds several times as many numbers as it returns, hence the factor of 8.
    """
    return max(1, min(room // (8 * numbers), _LARGEST_BATCH // numbers))


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    found = [part for part in parts if part is not None]
    return torch.cat(found) if len(found) > 1 else found[0] if found else None


def ranges(stop: int, step: int) -> list[range]:
    """Split range(stop) into consecutive ranges of at most `step` elements."""
    return [range(start, min(start + step, stop)) for start in range(0, stop, step)]
