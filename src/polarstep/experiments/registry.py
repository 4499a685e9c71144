"""The experiments, in the order in which they run and appear in the report."""

from __future__ import annotations

from typing import Any

from . import deep, halfspaces, metric, tanh_network
from .experiment import Experiment

EXPERIMENTS: dict[str, Experiment[Any, Any]] = {
    "halfspaces": halfspaces.EXPERIMENT,
    "network": tanh_network.EXPERIMENT,
    "deep": deep.EXPERIMENT,
    "metric": metric.EXPERIMENT,
}
