"""The networks and batches of benchmarks/coupling.py."""

from __future__ import annotations

import argparse
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from polarstep.experiments.data.images import find_cifar10, images
from polarstep.nn import mlp

SIZES = [3072, *[50] * 6, 10]
ROW = "linear4.weight"


@dataclass(frozen=True, eq=False)
class Task:
    """A network, a batch, and the row of blocks between the weight `row` and every weight."""

    model: nn.Module
    X: Tensor
    y: Tensor
    row: str

    @property
    def weights(self) -> list[Tensor]:
        return [p for p in self.model.parameters() if p.ndim > 1]

    @property
    def place(self) -> int:
        """Position of the row's weight among the weights."""
        return [n for n, p in self.model.named_parameters() if p.ndim > 1].index(self.row)

    @property
    def size(self) -> int:
        """Number of Hessian-vector products that the whole row needs."""
        return self.weights[self.place].numel()

    def some(self, count: int) -> list[int]:
        """Return the first `count` entries of the row's weight in a fixed random order."""
        order = torch.randperm(self.size, generator=torch.Generator().manual_seed(0))
        return order[:count].tolist()

    def units(self, chosen: Sequence[int]) -> Tensor:
        """Return the unit vectors of some entries, shape (entries, *weight.shape)."""
        weight = self.weights[self.place]
        units = weight.new_zeros(len(chosen), weight.numel())
        units[range(len(chosen)), chosen] = 1.0
        return units.view(-1, *weight.shape)


def has_cifar10(options: argparse.Namespace) -> bool:
    return find_cifar10(options.data) is not None


def batch(options: argparse.Namespace, n: int) -> tuple[Tensor, Tensor]:
    """Return n images of CIFAR-10 with classes or, without CIFAR-10, noise and random classes."""
    if has_cifar10(options):
        chosen = images(options.data, n, 10)
        return torch.from_numpy(chosen.X), torch.from_numpy(chosen.y)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, SIZES[0]), dtype=np.float32)
    return torch.from_numpy(X), torch.from_numpy(rng.integers(0, 10, n))


def task(options: argparse.Namespace, n: int | None = None, **network: Any) -> Task:
    """Return the task of the row W_4 of a network with six hidden layers of 50 units."""
    X, y = batch(options, n or options.images)
    return Task(mlp(SIZES, seed=0, **network), X, y, ROW)


def convolutional() -> nn.Sequential:
    """Make eight convolutions with batch normalization, which have 9.2 million parameters."""
    widths, pools = [3, 64, 128, 256, 256, 512, 512, 512, 512], (1, 2, 4, 6, 8)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for k, (inputs, outputs) in enumerate(pairwise(widths), start=1):
        layers[f"conv{k}"] = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        layers[f"norm{k}"] = nn.BatchNorm2d(outputs)
        layers[f"relu{k}"] = nn.ReLU()
        if k in pools:
            layers[f"pool{k}"] = nn.MaxPool2d(2)
    return nn.Sequential(layers | {"flat": nn.Flatten(), "linear": nn.Linear(512, 10)})


def conv_task(options: argparse.Namespace) -> Task:
    X, y = batch(options, 32)
    torch.manual_seed(0)
    return Task(convolutional(), X.view(-1, 3, 32, 32), y, "conv4.weight")
