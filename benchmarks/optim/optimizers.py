"""The optimizers that are compared, and the learning rates at which each is tried.

All share the betas of AdamW, and AdamW's learning rate for the parameters that are not hidden
matrices; both were chosen once, on the GPT. All other options are as published, or the defaults of
LengthDirection.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tasks import Task
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Muon, Optimizer

from polarstep import optim
from polarstep.optim import Angle, LengthDirection, presets

Make = Callable[[nn.Module, Task, float], Optimizer | list[Optimizer]]
BETAS = (0.9, 0.95)
REST_LR = 1e-2
RATES = 6  # a factor of 2 apart, which span 1.5 decades


def adamw(model: nn.Module, task: Task, lr: float) -> Optimizer:
    return AdamW(model.parameters(), lr=lr, betas=BETAS, weight_decay=0.0)


def sgd(model: nn.Module, task: Task, lr: float) -> Optimizer:
    return SGD(model.parameters(), lr=lr, momentum=0.9, nesterov=True)


def muon(model: nn.Module, task: Task, lr: float, momentum: float = 0.95) -> list[Optimizer]:
    """Make torch.optim.Muon for the matrices that LengthDirection updates, AdamW for the rest.

    Convolutions, which torch.optim.Muon refuses, are flattened. Packed projections are split into
    q, k and v, because the loss of the GPT was higher when they were one matrix.
    """
    named = dict(model.named_parameters())
    hidden = {k: p for k, p in named.items() if p.ndim >= 2 and not k.startswith(task.outer)}
    matrices = {
        name: [nn.Parameter(part) for part in parts(name, p.detach())]  # share the memory of p
        for name, p in hidden.items()
    }

    def pass_gradients(*_: Any) -> None:
        for name, p in hidden.items():
            for matrix, gradient in zip(matrices[name], parts(name, p.grad), strict=True):
                matrix.grad = gradient

    flat = [matrix for found in matrices.values() for matrix in found]
    first = Muon(flat, lr=lr, momentum=momentum, weight_decay=0.0)
    first.register_step_pre_hook(pass_gradients)
    rest = [p for name, p in named.items() if name not in hidden]
    return [first, AdamW(rest, lr=REST_LR, betas=BETAS, weight_decay=0.0)]


def parts(name: str, tensor: Tensor) -> tuple[Tensor, ...]:
    return tensor.flatten(1).chunk(3 if "qkv" in name else 1)


def ours(
    model: nn.Module, task: Task, lr: float, make: Callable = LengthDirection, **options: Any
) -> Optimizer:
    return make(model, lr, others=optim.AdamW(lr=REST_LR, betas=BETAS), **options)


START = {"start_length": 1.0}
GROWING = {"retraction": "none", "angle": Angle(largest=0.05), **START}
ROWS = {"direction": "sgd", "angle": "each", **START}
COVARIANCE = "covariance, polar"
OPTIMIZERS: dict[str, tuple[Make, float]] = {  # name -> (make, smallest rate)
    COVARIANCE: (partial(ours, **START), 0.005),
    "covariance, growing": (partial(ours, **GROWING), 0.02),
    "Muon": (partial(muon, momentum=0.9), 0.005),
    "euclidean, polar": (partial(ours, metric="euclidean", **START), 0.005),
    "AdamW": (adamw, 5e-4),
    "AngularMuown": (partial(ours, make=presets.angular_muown), 0.005),
    "Hyperball": (partial(ours, make=presets.hyperball), 0.005),
    "covariance, rows": (partial(ours, **ROWS), 0.005),
    "euclidean, rows": (partial(ours, metric="euclidean", **ROWS), 0.005),
    "SGD": (sgd, 0.01),
}
WITH_BATCH_NORM = ("AdamW", "SGD", "Muon")
SMALLEST = {("gpt", "SGD"): 0.04, ("mlp", "SGD"): 0.0025, ("wide", "AdamW"): 1.25e-4}


def contestants(task: str) -> dict[str, tuple[Make, list[float]]]:
    """Return how to make each optimizer of a task, and its rates, by name."""
    names = WITH_BATCH_NORM if task.endswith("-bn") else OPTIMIZERS
    found = {}
    for name in names:
        make, smallest = OPTIMIZERS[name]
        smallest = SMALLEST.get((task, name), smallest)
        found[name] = make, [smallest * 2**k for k in range(RATES)]
    return found
