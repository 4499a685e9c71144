"""Exact block norms from Hessian-vector products, for any network that is differentiable twice.

Products are computed in batches: one backward pass through the graph of the gradient handles as
many vectors as fit into the memory allowed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from .batch_loss import BatchLoss
from .contraction import square
from .directions import to_directions

_LARGEST_BATCH = 2**27  # bytes; larger batches of products are no faster


class Products:
    """Products with the blocks H_ji = d2f/dW_j dW_i, from one gradient whose graph is kept.

    If `directions` is true, P_j H_ji P_i replaces H_ji, where P is the linear map of
    `directions.to_directions`. Vectors have a batch dimension in front of the parameter's shape.
    """

    def __init__(
        self, batch_loss: BatchLoss, names: Sequence[str], directions: bool, memory: int
    ) -> None:
        self.parameters = {name: batch_loss.parameters[name] for name in names}
        self.directions = directions
        with _saved_bytes() as saved:
            loss = batch_loss.evaluate()
            gradients = torch.autograd.grad(
                loss,
                list(self.parameters.values()),
                create_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )
        self.gradients = dict(zip(self.parameters, gradients, strict=True))
        # One vector of a batch needs about the memory of the graph plus twice that of its results.
        results = 2 * sum(p.numel() * p.element_size() for p in self.parameters.values())
        self.at_once = max(1, min(memory, _LARGEST_BATCH) // (saved[0] + results))
        self.count = 0

    def from_one(self, name: str, vectors: Tensor, others: Sequence[str]) -> list[Tensor]:
        """Return H_ji V for i = `name` and each j of `others`."""
        self.count += len(vectors)
        V = self._tangent(vectors, name)
        into = [self.parameters[other] for other in others]
        found = self._backward([self.gradients[name]], into, [V])
        return [self._tangent(HV, other) for HV, other in zip(found, others, strict=True)]

    def to_one(self, name: str, vectors: Sequence[Tensor], others: Sequence[str]) -> Tensor:
        """Return sum_j H_ij G_j for i = `name`, summed over the j of `others`."""
        self.count += len(vectors[0])
        G = [self._tangent(v, other) for v, other in zip(vectors, others, strict=True)]
        gradients = [self.gradients[other] for other in others]
        (found,) = self._backward(gradients, [self.parameters[name]], G)
        return self._tangent(found, name)

    def _tangent(self, vectors: Tensor, name: str) -> Tensor:
        return to_directions(vectors, self.parameters[name]) if self.directions else vectors

    def _backward(
        self, outputs: Sequence[Tensor], inputs: Sequence[Tensor], vectors: Sequence[Tensor]
    ) -> list[Tensor]:
        # A gradient that depends on no parameter has no graph; its derivative is zero.
        live = [(out, v) for out, v in zip(outputs, vectors, strict=True) if out.requires_grad]
        if not live:
            return [i.new_zeros(len(vectors[0]), *i.shape) for i in inputs]
        options: dict[str, Any] = {
            "retain_graph": True,
            "allow_unused": True,
            "materialize_grads": True,
        }
        differentiable = [out for out, _ in live]
        if len(vectors[0]) == 1:
            single = torch.autograd.grad(differentiable, inputs, [v[0] for _, v in live], **options)
            return [tensor[None] for tensor in single]
        batched = torch.autograd.grad(
            differentiable, inputs, [v for _, v in live], is_grads_batched=True, **options
        )
        return list(batched)


def squared_norms(
    batch_loss: BatchLoss,
    pairs: Sequence[tuple[str, str]],
    directions: bool,
    memory: int,
    bar: Any,
) -> tuple[dict[tuple[str, str], float], int]:
    """Return the squared norm of the block for each pair, and the number of products spent.

    For one parameter of each pair, the block is multiplied by all unit vectors.
    """
    expanded = _cover(batch_loss, pairs)
    names = sorted({name for pair in pairs for name in pair})
    products = Products(batch_loss, names, directions, memory)
    bar.reset(total=sum(batch_loss.parameters[name].numel() for name in expanded))
    result = dict.fromkeys(pairs, 0.0)
    left = set(pairs)
    for name in expanded:
        mine = [pair for pair in left if name in pair]
        left -= set(mine)
        others = [b if a == name else a for a, b in mine]
        weight = batch_loss.parameters[name]
        size = weight.numel()
        for start in range(0, size, products.at_once):
            stop = min(start + products.at_once, size)
            unit = weight.new_zeros(stop - start, size)
            unit[range(stop - start), range(start, stop)] = 1.0
            found = products.from_one(name, unit.view(-1, *weight.shape), others)
            for pair, block in zip(mine, found, strict=True):
                result[pair] += square(block)
            bar.update(stop - start)
    return result, products.count


def _cover(batch_loss: BatchLoss, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Choose parameters with few numbers such that each pair contains one; sort them by size."""

    def cost(names: Iterable[str]) -> int:
        return sum(batch_loss.parameters[name].numel() for name in names)

    forced = {a for a, b in pairs if a == b}
    uncovered = [pair for pair in pairs if not forced & set(pair)]
    sides = [{pair[k] for pair in uncovered} for k in (0, 1)]
    return sorted(forced | min(sides, key=cost), key=lambda name: cost({name}))


@contextlib.contextmanager
def _saved_bytes() -> Iterator[list[int]]:
    """Count the bytes of the distinct tensors that autograd saves for the backward pass."""
    total = [0]
    seen: set[int] = set()

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            total[0] += storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield total
