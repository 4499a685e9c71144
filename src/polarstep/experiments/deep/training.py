"""The training of one deep network, with measurements along the way. This module needs PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ...nn import TrainingStatus, mlp, train
from ..formatting import six_digits
from ..networks.architecture import layer_sizes
from ..networks.images import Data, load_images
from ..networks.rates import loss_at_end
from ..running import Spec
from .measures import measure
from .plan import TAIL


def execute(spec: Spec, folder: Path | None) -> dict[str, Any]:
    """Train a network and return the outcome of a measured run or of a tuning attempt."""
    torch.set_num_threads(1)  # runs are spread over processes; results must not depend on threads
    data, _ = load_images(spec, folder, 1)
    inputs = data[0].shape[1]
    model = _network(spec, inputs)
    if spec["stage"] == "tuning":
        return _attempt(spec, model, data)
    return {"n": len(data[0]), "d": inputs, **_run(spec, model, data)}


def _network(spec: Spec, inputs: int) -> nn.Sequential:
    normalization = None if spec["normalization"] == "plain" else spec["normalization"]
    sizes = layer_sizes(inputs, spec["units"])
    return mlp(sizes, spec["activation"], normalization, shift=False, seed=spec["seed"])


def _attempt(spec: Spec, model: nn.Sequential, data: Data) -> dict[str, Any]:
    records = list(train(model, cross_entropy, data, lr=spec["rate"], steps=spec["steps"]))
    return {
        "status": records[-1].status.name,
        "n_iter": records[-1].index,
        "start": records[0].loss,
        "score": loss_at_end([record.loss for record in records], TAIL),
    }


def _run(spec: Spec, model: nn.Sequential, data: Data) -> dict[str, Any]:
    n = len(data[0])
    chosen = np.random.default_rng(0).permutation(n)[: spec["coupling_samples"]]
    subset = data[0][chosen], data[1][chosen]
    records, points, levels_ahead = [], [], list(spec["levels"])
    for record in train(model, cross_entropy, data, lr=spec["rate"], steps=spec["steps"]):
        records.append(record)
        passed = [level for level in levels_ahead if record.loss <= level]
        levels_ahead = [level for level in levels_ahead if level not in passed]
        if record.status is TrainingStatus.diverged:
            continue
        if passed or record.index in spec["measured_at"]:
            points.append(
                {
                    "iteration": record.index,
                    "loss": six_digits(record.loss),
                    "levels": passed,
                    **measure(model, data, subset, spec["rate"]),
                }
            )
    return {
        "status": records[-1].status.name,
        "n_iter": records[-1].index,
        "loss": [six_digits(r.loss) for r in records],
        "grad_norm": [six_digits(r.gradient_norm) for r in records],
        "direction_grad_norm": [six_digits(r.direction_gradient_norm) for r in records],
        "length_grad_norm": [six_digits(r.length_gradient_norm) for r in records],
        "accuracy": [six_digits(r.accuracy or 0.0) for r in records],
        "points": points,
    }
