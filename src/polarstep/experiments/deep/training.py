"""One training of a deep network, and what is measured on the way. Needs PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ...nn import mlp, train
from ..data.images import images
from ..formatting import six_digits
from ..running import Spec
from .measures import Data, measure
from .plan import HIDDEN_LAYERS, score


def outcome(spec: Spec, data: Path | None) -> dict[str, Any]:
    """The outcome of a run or of one attempt of the tuning."""
    torch.set_num_threads(1)  # runs are spread over processes, and give the same on any number
    folder = data if spec["data"] == "cifar10" else None
    pictures = images(folder, spec["samples"], 1)
    samples = torch.from_numpy(pictures.X), torch.from_numpy(pictures.y)
    model = _network(spec, pictures.X.shape[1], pictures.n_classes)
    if spec["stage"] == "tuning":
        return _attempt(spec, model, samples)
    return {"n": len(pictures.X), "d": pictures.X.shape[1], **_run(spec, model, samples)}


def _network(spec: Spec, inputs: int, outputs: int) -> nn.Sequential:
    normalization = None if spec["normalization"] == "plain" else spec["normalization"]
    sizes = [inputs, *[spec["units"]] * HIDDEN_LAYERS, outputs]
    return mlp(sizes, spec["activation"], normalization, shift=False, seed=spec["seed"])


def _attempt(spec: Spec, model: nn.Sequential, data: Data) -> dict[str, Any]:
    records = list(train(model, cross_entropy, data, lr=spec["rate"], steps=spec["steps"]))
    return {
        "status": records[-1].status.name,
        "n_iter": records[-1].index,
        "start": records[0].loss,
        "score": score(record.loss for record in records),
    }


def _run(spec: Spec, model: nn.Sequential, data: Data) -> dict[str, Any]:
    n = len(data[0])
    chosen = np.random.default_rng(0).permutation(n)[: spec["coupling_samples"]]
    subset = data[0][chosen], data[1][chosen]
    records, points, ahead = [], [], list(spec["levels"])
    for record in train(model, cross_entropy, data, lr=spec["rate"], steps=spec["steps"]):
        records.append(record)
        passed = [level for level in ahead if record.loss <= level]
        ahead = [level for level in ahead if level not in passed]
        if record.status.name == "diverged" or not (passed or record.index in spec["measured_at"]):
            continue
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
