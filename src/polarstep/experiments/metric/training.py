"""The training of one network by one recipe. This module needs PyTorch."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ...nn import mlp
from ...optim import LengthDirection
from ...optim.spheres import ROWS
from ..formatting import six_digits
from ..networks.architecture import layer_sizes
from ..networks.images import Data, load_images
from ..running import Spec
from .plan import DIVERGED, RECIPES, TAIL, WARM_UP, Recipe

_OPTIMIZERS: dict[str, type[Optimizer]] = {"SGD": SGD, "AdamW": AdamW}


def execute(spec: Spec, folder: Path | None) -> dict[str, Any]:
    """Train a network and return its score and the measurements along the way.

    The network is measured at ``points`` evenly spaced steps. At each of them, the losses of the
    mini-batches since the previous measurement are averaged, the network is evaluated on the
    validation images, and the angles by which this step turns the rows of each layer are measured
    (mean over the rows, in radians). Seconds are processor time, which other processes hardly
    affect.
    """
    torch.set_num_threads(1)  # runs are spread over processes; results must not depend on threads
    training, validation = _images(spec, folder)
    recipe, steps = RECIPES[spec["method"]], spec["steps"]
    inputs = training[0].shape[1]
    sizes = layer_sizes(inputs, spec["units"])
    model = mlp(sizes, spec["activation"], recipe.normalization, seed=spec["seed"])
    optimizer = _optimizer(recipe, model, spec["rate"])
    factor = LambdaLR(optimizer, lambda t: schedule(t, steps))
    ends = set(np.linspace(0, steps, spec["points"] + 1).round().astype(int)[1:].tolist())
    losses: list[float] = []
    points: list[dict[str, Any]] = []
    seconds, status, last_measured = 0.0, "finished", 0
    for t, (x, y) in enumerate(_batches(training, spec)):
        before = _weights(model) if t + 1 in ends else []
        start = time.process_time()
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        torch.autograd.backward(loss)
        optimizer.step()
        factor.step()
        losses.append(loss.item())
        seconds += time.process_time() - start
        if not losses[-1] <= DIVERGED * losses[0]:
            status = "diverged"
            break
        if t + 1 in ends:
            points.append(
                {
                    "steps": [last_measured, t + 1],
                    "loss": six_digits(float(np.mean(losses[last_measured:]))),
                    **_evaluate(model, validation),
                    "angles": [six_digits(a) for a in _angles(before, _weights(model))],
                }
            )
            last_measured = t + 1
    tail = losses[-max(1, round(TAIL * steps)) :]
    return {
        "n": len(training[0]),
        "d": inputs,
        "status": status,
        "start": six_digits(losses[0]),
        "score": six_digits(float(np.mean(tail))) if status == "finished" else None,
        "seconds_per_step": six_digits(seconds / len(losses)),
        "points": points,
    }


def _optimizer(recipe: Recipe, model: nn.Module, rate: float) -> Optimizer:
    if recipe.optimizer == "LengthDirection":
        return LengthDirection(model, rate, **recipe.options)
    options: dict[str, Any] = {"lr": rate, **recipe.options}
    return _OPTIMIZERS[recipe.optimizer](model.parameters(), **options)


def schedule(t: int, steps: int) -> float:
    """Return the factor of the learning rate at step t; it rises to one, then falls to zero."""
    rising = max(1, round(WARM_UP * steps))
    return min((t + 1) / rising, (steps - t) / max(steps - rising, 1))


def _images(spec: Spec, folder: Path | None) -> tuple[Data, Data]:
    """Return the training and the validation images; those of CIFAR-10 are shrunk."""
    (X, y), (X_validation, y_validation) = load_images(spec, folder, spec["validation"])
    if spec["side"] is not None:
        X, X_validation = (shrunk(x, spec["side"]) for x in (X, X_validation))
        X, X_validation = X / X.std(), X_validation / X.std()
    return (X, y), (X_validation, y_validation)


def shrunk(X: Tensor, side: int) -> Tensor:
    """Shrink images of 3 x 32 x 32 pixels, one per row, to 3 x side x side by averaging blocks."""
    small = nn.functional.adaptive_avg_pool2d(X.reshape(-1, 3, 32, 32), side)
    return small.flatten(1)


def _batches(data: Data, spec: Spec) -> Iterator[Data]:
    """Yield one mini-batch per step; every epoch has a new order and drops an incomplete batch."""
    X, y = data
    size, taken = min(spec["batch"], len(X)), 0
    for epoch in range(spec["steps"]):
        order = np.random.default_rng([spec["seed"], epoch]).permutation(len(X))
        for rows in torch.split(torch.from_numpy(order)[: len(X) // size * size], size):
            if taken == spec["steps"]:
                return
            taken += 1
            yield X[rows], y[rows]


@torch.no_grad()
def _evaluate(model: nn.Module, data: Data) -> dict[str, float | None]:
    model.eval()
    outputs = model(data[0])
    model.train()
    loss = cross_entropy(outputs, data[1]).item()
    return {
        "validation_loss": six_digits(loss) if math.isfinite(loss) else None,
        "accuracy": six_digits((outputs.argmax(1) == data[1]).double().mean().item()),
    }


def _weights(model: nn.Sequential) -> list[Tensor]:
    """Return a copy of every layer's weight matrix."""
    return [m.weight.detach().clone() for m in model if isinstance(m, nn.Linear)]


def _angles(before: list[Tensor], after: list[Tensor]) -> list[float]:
    """Return the mean angle, in radians, by which the rows of each matrix have turned."""
    pairs = zip(before, after, strict=True)
    return [float(ROWS.angles(a.double(), b.double()).mean()) for a, b in pairs]
