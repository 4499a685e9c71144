"""A small network, its batches and its steps, for the tests of the optimizers."""

import io

import torch
from torch import nn

METRICS = ["covariance", "euclidean", "frobenius"]
DIRECTIONS = ["polar", "adam", "sgd"]


def network(dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3)
    ).to(dtype)


def batches(count, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(24, 6, generator=generator).to(dtype) for _ in range(count)]


def loss_of(model, x):
    return (model(x) - torch.sin(x[:, :3])).float().square().mean()


def step(model, optimizer, *xs):
    """Take one step on the sum of the gradients of some batches."""
    optimizer.zero_grad()
    for x in xs:
        loss_of(model, x).backward()
    optimizer.step()


def run(model, optimizer, x, steps=5, target=1.0):
    """Return the losses of several steps on one batch, and check that parameters stay finite."""
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (model(x) - target).square().mean()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert all(p.isfinite().all() for p in model.parameters())
    return losses


def weights(model):
    return [p.detach().clone() for p in model.parameters()]


def same(a, b):
    """Tell whether two models have bitwise identical weights."""
    return all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


def through_disk(content):
    """Save and load as torch.load(weights_only=True) permits."""
    file = io.BytesIO()
    torch.save(content, file)
    file.seek(0)
    return torch.load(file, weights_only=True)
