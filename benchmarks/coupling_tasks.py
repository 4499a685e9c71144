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
    """The row of blocks asked for: of the weight `row` with every weight, in order."""

    model: nn.Module
    X: Tensor
    y: Tensor
    row: str

    @property
    def weights(self) -> list[Tensor]:
        return [p for p in self.model.parameters() if p.ndim > 1]

    @property
    def place(self) -> int:
        """Which of the weights is the row's."""
        return [n for n, p in self.model.named_parameters() if p.ndim > 1].index(self.row)

    @property
    def size(self) -> int:
        """How many products the row takes."""
        return self.weights[self.place].numel()

    def some(self, count: int) -> list[int]:
        """A random choice of the row's numbers, always the same; a smaller one is part of it."""
        order = torch.randperm(self.size, generator=torch.Generator().manual_seed(0))
        return order[:count].tolist()

    def units(self, chosen: Sequence[int]) -> Tensor:
        """Unit vectors, (chosen, *shape of the row's weight)."""
        weight = self.weights[self.place]
        units = weight.new_zeros(len(chosen), weight.numel())
        units[range(len(chosen)), chosen] = 1.0
        return units.view(-1, *weight.shape)


def has_cifar10(options: argparse.Namespace) -> bool:
    return find_cifar10(options.data) is not None


def batch(options: argparse.Namespace, n: int) -> tuple[Tensor, Tensor]:
    """n images of CIFAR-10 and their classes, or Gaussian noise and random classes without it."""
    if has_cifar10(options):
        chosen = images(options.data, n, 10)
        return torch.from_numpy(chosen.X), torch.from_numpy(chosen.y)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, SIZES[0]), dtype=np.float32)
    return torch.from_numpy(X), torch.from_numpy(rng.integers(0, 10, n))


def task(options: argparse.Namespace, n: int | None = None, **network: Any) -> Task:
    """The row W_4 of a 6 x 50 network."""
    X, y = batch(options, n or options.images)
    return Task(mlp(SIZES, seed=0, **network), X, y, ROW)


def convolutional() -> nn.Sequential:
    """Eight convolutions with batch normalization, 9.2 million parameters."""
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
