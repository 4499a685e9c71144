"""Other ways to compute the norms of one row of Hessian blocks, for benchmarks/coupling.py.

Each peer multiplies the Hessian by the unit vectors of the row's parameter, one per entry, and sums
the squares within every block. It may be run for a part of the entries.
"""

from __future__ import annotations

import copy
import importlib.util
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import torch
from coupling_tasks import Task
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

PACKAGES = {"curvlinops": "curvlinops-for-pytorch", "pyhessian": "pyhessian"}


@dataclass(frozen=True, eq=False)
class Products:
    """Squares of some products, shape (products, weights), and the seconds that they took.

    `setup` is the time of the preparations, in seconds.
    """

    squares: Tensor
    setup: float
    seconds: float

    def row_seconds(self, size: int) -> float:
        """Extrapolate the time to a whole row, linearly in the number of products."""
        return self.setup + self.seconds * size / len(self.squares)


# Entries of the row's weight -> for each weight, the products, shape (entries, *weight.shape).
Multiply = Callable[[Sequence[int]], list[Tensor]]


def products(task: Task, chosen: Sequence[int], chunk: int, setup: Callable[[], Multiply]):
    """Time the preparations of a peer and its products, computed in chunks."""
    start = time.perf_counter()
    multiply = setup()
    ready = time.perf_counter()
    squares = torch.empty(len(chosen), len(task.weights))
    for first in range(0, len(chosen), chunk):
        found = multiply(chosen[first : first + chunk])
        for j, block in enumerate(found):
            squares[first : first + chunk, j] = block.flatten(1).square().sum(1)
    return Products(squares, ready - start, time.perf_counter() - ready)


def row_gradient(task: Task) -> Tensor:
    loss = cross_entropy(task.model(task.X), task.y)
    (gradient,) = torch.autograd.grad(loss, [task.weights[task.place]], create_graph=True)
    return gradient


def loop(task: Task, chosen: Sequence[int], chunk: int = 1) -> Products:
    """Differentiate each entry of the gradient by a backward pass through the gradient's graph."""
    start = time.perf_counter()
    entries, weights = row_gradient(task).flatten(), task.weights
    ready = time.perf_counter()
    rows = []
    for k in chosen:
        found = [g.flatten() for g in torch.autograd.grad(entries[k], weights, retain_graph=True)]
        rows.append(torch.stack([g.dot(g) for g in found]))
    return Products(torch.stack(rows), ready - start, time.perf_counter() - ready)


def batched_loop(task: Task, chosen: Sequence[int], chunk: int) -> Products:
    """Differentiate the entries of the gradient in batches, with is_grads_batched."""

    def setup() -> Multiply:
        gradient, weights = row_gradient(task), task.weights
        return lambda some: torch.autograd.grad(
            gradient, weights, task.units(some), retain_graph=True, is_grads_batched=True
        )

    return products(task, chosen, chunk, setup)


def curvlinops(task: Task, chosen: Sequence[int], chunk: int) -> Products:
    """Multiply HessianLinearOperator by matrices of unit vectors, as lists of tensors."""
    from curvlinops import HessianLinearOperator

    def setup() -> Multiply:
        weights = task.weights
        data = [(task.X, task.y)]
        loss = nn.CrossEntropyLoss()
        H = HessianLinearOperator(task.model, loss, weights, data, check_deterministic=False)

        def multiply(some: Sequence[int]) -> list[Tensor]:
            vectors = [w.new_zeros(*w.shape, len(some)) for w in weights]
            vectors[task.place] = task.units(some).movedim(0, -1).contiguous()
            return [HV.movedim(-1, 0) for HV in H @ vectors]

        return multiply

    return products(task, chosen, chunk, setup)


def pyhessian(task: Task, chosen: Sequence[int], chunk: int = 1) -> Products:
    """Call PyHessian's hessian_vector_product with vectors for all weights, as PyHessian does.

    Given the gradient of the row alone, it would do the same as `loop`. PyHessian puts the model
    into evaluation mode.
    """
    from pyhessian import hessian, hessian_vector_product

    model = copy.deepcopy(task.model)  # PyHessian sets .grad and the mode
    for p in model.parameters():
        p.requires_grad_(p.ndim > 1)

    def setup() -> Multiply:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyHessian calls backward(create_graph=True)
            H = hessian(model, nn.CrossEntropyLoss(), data=(task.X, task.y), cuda=False)

        def multiply(some: Sequence[int]) -> list[Tensor]:
            vectors = [torch.zeros_like(p) for p in H.params]
            vectors[task.place] = task.units(some)[0]
            return [HV[None] for HV in hessian_vector_product(H.gradsH, H.params, vectors)]

        return multiply

    try:
        return products(task, chosen, 1, setup)
    finally:
        model.zero_grad(set_to_none=True)  # breaks a cycle of references


Peer = Callable[[Task, Sequence[int], int], Products]


def tuned_chunk(peer: Peer, task: Task, chunks: Sequence[int] = (5, 10, 25, 50)) -> int:
    """Return the chunk size with which the peer is fastest."""
    chosen = task.some(max(chunks))
    peer(task, chosen, chunks[0])
    return min(chunks, key=lambda chunk: peer(task, chosen, chunk).seconds)


def installed() -> dict[str, tuple[Peer, bool]]:
    """Return the installed peers, and whether each computes several products at once."""
    peers = {"curvlinops": (curvlinops, True), "pyhessian": (pyhessian, False)}
    for name, package in PACKAGES.items():
        if importlib.util.find_spec(name) is None:
            del peers[name]
            print(f"*** {name} is SKIPPED because it is not installed: pip install {package}")
    return peers


def versions() -> dict[str, str]:
    return {name: version(PACKAGES[name]) for name in PACKAGES if importlib.util.find_spec(name)}
