"""One training of a network by one method. Needs PyTorch."""

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
from ..data.images import images
from ..deep.measures import Data
from ..deep.plan import HIDDEN_LAYERS
from ..formatting import six_digits
from ..running import Spec
from .plan import DIVERGED, METHODS, TAIL, WARM_UP, Method

_OPTIMIZERS: dict[str, type[Optimizer]] = {"SGD": SGD, "AdamW": AdamW}


def outcome(spec: Spec, data: Path | None) -> dict[str, Any]:
    """What a training came to, and how it went there.

    Between two of ``points`` evenly spaced steps the losses of the mini-batches are averaged; at
    each, the network is evaluated on the validation images, and the angles are taken by which one
    step turns the rows of each layer (mean over rows, in radians). Seconds are the
    processor's, which other processes do not lengthen much.
    """
    torch.set_num_threads(1)  # runs are spread over processes, and give the same on any number
    training, validation = _data(spec, data)
    method, steps = METHODS[spec["method"]], spec["steps"]
    sizes = [training[0].shape[1], *[spec["units"]] * HIDDEN_LAYERS, 10]
    model = mlp(sizes, spec["activation"], method.normalization, seed=spec["seed"])
    optimizer = _optimizer(method, model, spec["rate"])
    factor = LambdaLR(optimizer, lambda t: schedule(t, steps))
    ends = set(np.linspace(0, steps, spec["points"] + 1).round().astype(int)[1:].tolist())
    losses: list[float] = []
    points: list[dict[str, Any]] = []
    seconds, status, begun = 0.0, "finished", 0
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
                    "steps": [begun, t + 1],
                    "loss": six_digits(float(np.mean(losses[begun:]))),
                    **_evaluated(model, validation),
                    "angles": [six_digits(a) for a in _angles(before, _weights(model))],
                }
            )
            begun = t + 1
    tail = losses[-max(1, round(TAIL * steps)) :]
    return {
        "n": len(training[0]),
        "d": sizes[0],
        "status": status,
        "start": six_digits(losses[0]),
        "score": six_digits(float(np.mean(tail))) if status == "finished" else None,
        "seconds_per_step": six_digits(seconds / len(losses)),
        "points": points,
    }


def _optimizer(method: Method, model: nn.Module, rate: float) -> Optimizer:
    if method.optimizer == "LengthDirection":
        return LengthDirection(model, rate, **method.options)
    options: dict[str, Any] = {"lr": rate, **method.options}
    return _OPTIMIZERS[method.optimizer](model.parameters(), **options)


def schedule(t: int, steps: int) -> float:
    """The factor of the learning rate at step t: linear from zero to one, linear back to zero."""
    rising = max(1, round(WARM_UP * steps))
    return min((t + 1) / rising, (steps - t) / max(steps - rising, 1))


def _data(spec: Spec, data: Path | None) -> tuple[Data, Data]:
    """Images for training and validation, those of CIFAR-10 with fewer pixels."""
    folder = data if spec["data"] == "cifar10" else None
    pictures = images(folder, spec["samples"], spec["validation"])
    X, X_validation = (torch.from_numpy(x) for x in (pictures.X, pictures.X_test))
    if spec["side"] is not None:
        X, X_validation = (shrunk(x, spec["side"]) for x in (X, X_validation))
        X, X_validation = X / X.std(), X_validation / X.std()
    y, y_validation = (torch.from_numpy(labels) for labels in (pictures.y, pictures.y_test))
    return (X, y), (X_validation, y_validation)


def shrunk(X: Tensor, side: int) -> Tensor:
    """Rows that hold 3 x 32 x 32 pixels as 3 x side x side, each the mean of a block."""
    small = nn.functional.adaptive_avg_pool2d(X.reshape(-1, 3, 32, 32), side)
    return small.flatten(1)


def _batches(data: Data, spec: Spec) -> Iterator[Data]:
    """As many mini-batches as steps; every epoch in a new order, what is left over left out."""
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
def _evaluated(model: nn.Module, data: Data) -> dict[str, float | None]:
    model.eval()
    outputs = model(data[0])
    model.train()
    loss = cross_entropy(outputs, data[1]).item()
    return {
        "validation_loss": six_digits(loss) if math.isfinite(loss) else None,
        "accuracy": six_digits((outputs.argmax(1) == data[1]).double().mean().item()),
    }


def _weights(model: nn.Sequential) -> list[Tensor]:
    """A copy of every layer's matrix, as it multiplies."""
    return [m.weight.detach().clone() for m in model if isinstance(m, nn.Linear)]


def _angles(before: list[Tensor], after: list[Tensor]) -> list[float]:
    """By how much the rows of each matrix have turned, mean over rows, in radians."""
    return [float(ROWS.angles(a, b).mean()) for a, b in zip(before, after, strict=True)]
