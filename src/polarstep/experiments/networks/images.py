"""Images as tensors, for training and for validation. This module needs PyTorch."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..data.images import images
from ..running import Spec

Data = tuple[Tensor, Tensor]
"""Inputs, one sample per row, and class labels."""


def load_images(spec: Spec, folder: Path | None, n_validation: int) -> tuple[Data, Data]:
    """Return the training and the validation images of a spec."""
    found = images(folder if spec["data"] == "cifar10" else None, spec["samples"], n_validation)
    X, y, X_test, y_test = map(torch.from_numpy, (found.X, found.y, found.X_test, found.y_test))
    return (X, y), (X_test, y_test)
