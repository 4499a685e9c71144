"""The tasks: a small character GPT, two fully connected networks, and a convolutional one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from polarstep.experiments.data.images import images
from polarstep.nn import mlp

Batch = tuple[Tensor, Tensor]
CONTEXT, WIDTH, HEADS, LAYERS = 64, 96, 4, 3
BATCH = 64  # images per batch
VALIDATION_SEED = 1_000_000


@dataclass(frozen=True)
class Task:
    """A network and its batches, which depend on a seed, and validation batches, which do not.

    `outer` holds the prefixes of the parameters that Muon leaves to AdamW: those of the embeddings
    and the head.
    """

    name: str
    steps: int
    model: Callable[[int], nn.Module]
    batches: Callable[[int], Iterator[Batch]]
    validation: list[Batch]
    outer: tuple[str, ...]


def loss(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean cross-entropy in nats."""
    x, y = batch
    return F.cross_entropy(model(x).flatten(0, -2), y.flatten())


@torch.no_grad()
def validation_loss(model: nn.Module, batches: list[Batch]) -> float:
    model.eval()
    found = float(np.mean([loss(model, batch).item() for batch in batches]))
    model.train()
    return found


# ------------------------------------------------------------------- text


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(n, t, WIDTH))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = Attention()
        self.up = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.down = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    """A decoder with layer normalization before each branch, and an untied head."""

    def __init__(self, n_characters: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(n_characters, WIDTH)
        self.positions = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, n_characters, bias=False)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)
        for block in self.blocks:  # so that the sum of all branches starts as large as one
            for weight in (block.attention.out.weight, block.down.weight):
                weight.data /= (2 * LAYERS) ** 0.5

    def forward(self, x: Tensor) -> Tensor:
        x = self.characters(x) + self.positions.weight[: x.shape[1]]
        return self.head(self.norm(self.blocks(x)))


def text(data: Path, steps: int) -> Task:
    written = (data / "text" / "tinyshakespeare.txt").read_text()
    alphabet = sorted(set(written))
    number = {character: i for i, character in enumerate(alphabet)}
    tokens = torch.tensor([number[character] for character in written])
    split = int(0.9 * len(tokens))

    def batches(part: Tensor, seed: int) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(seed)
        while True:
            start = torch.randint(len(part) - CONTEXT, (32, 1), generator=generator)
            window = part[start + torch.arange(CONTEXT + 1)]
            yield window[:, :-1], window[:, 1:]

    held_out = batches(tokens[split:], VALIDATION_SEED)
    return Task(
        "gpt",
        steps,
        lambda seed: seeded(seed, lambda: GPT(len(alphabet))),
        lambda seed: batches(tokens[:split], seed),
        [next(held_out) for _ in range(16)],
        ("characters", "positions", "head"),
    )


def seeded(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


# ------------------------------------------------------------------- images


def convolutional(normalized: bool) -> nn.Sequential:
    """Make three 3 x 3 convolutions, each followed by pooling, and a linear head."""
    channels = (3, 16, 32, 64)
    layers: list[nn.Module] = [nn.Unflatten(1, (3, 32, 32))]
    for inputs, outputs in pairwise(channels):
        layers.append(nn.Conv2d(inputs, outputs, 3, padding=1, bias=not normalized))
        nn.init.kaiming_normal_(layers[-1].weight, nonlinearity="relu")
        layers += [nn.BatchNorm2d(outputs)] * normalized + [nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * channels[-1], 10))


def pictures(data: Path, steps: int, name: str) -> Task:
    """Make the task mlp, wide or conv; a name that ends in "-bn" adds batch normalization."""
    kind, _, suffix = name.partition("-")
    normalized = suffix == "bn"
    found = images(data)
    if found.name != "cifar10":
        raise ValueError(f"optim: `data` must be a folder that contains cifar10; got {data}.")
    X, y = torch.from_numpy(found.X), torch.from_numpy(found.y)
    X_test, y_test = torch.from_numpy(found.X_test[:5000]), torch.from_numpy(found.y_test[:5000])

    def model(seed: int) -> nn.Module:
        if kind == "conv":
            return seeded(seed, lambda: convolutional(normalized))
        sizes = [3072, *([50] * 6 if kind == "mlp" else [256] * 3), 10]
        return mlp(sizes, normalization="batch" if normalized else None, seed=seed)

    def batches(seed: int) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(seed)
        while True:
            for rows in torch.randperm(len(X), generator=generator).split(BATCH)[:-1]:
                yield X[rows], y[rows]

    validation = list(zip(X_test.split(500), y_test.split(500), strict=True))
    head = [name for name, _ in model(0).named_parameters()][-1].rpartition(".")[0]
    return Task(name, steps, model, batches, validation, (head,))


STEPS = {"gpt": 400, "mlp": 400, "mlp-bn": 400, "wide": 200, "wide-bn": 200}
STEPS |= {"conv": 200, "conv-bn": 200}


def task(name: str, data: Path) -> Task:
    return text(data, STEPS[name]) if name == "gpt" else pictures(data, STEPS[name], name)
