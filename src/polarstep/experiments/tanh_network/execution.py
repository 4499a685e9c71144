"""The execution of one run on the network with one hidden layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...methods import tanh_network
from ...result import Status
from ..data import tables as datasets
from ..running import Spec

_SEED = 0


def execute(spec: Spec, data: Path | None) -> dict[str, Any]:
    """Train one network and return the outcome."""
    if spec["stage"] == "population":
        u, S = datasets.gaussian_moments(spec["d"], spec["kappa"], spec["separation"], _SEED)
        network = tanh_network.TanhNetwork.gaussian(u, S, spec["n_units"], loss=spec["loss"])
    else:
        if spec["data"] == "gaussian":
            u, S = datasets.gaussian_moments(spec["d"], spec["kappa"], spec["separation"], _SEED)
            X, y = datasets.gaussian_sample(u, S, spec["n"], _SEED)
        else:
            X, y = datasets.load(spec["data"], data, spec["rows"])
        network = tanh_network.TanhNetwork(
            X, y, spec["n_units"], loss=spec["loss"], max_length=spec["max_length"]
        )
    result = network.train(spec["sweeps"], max_iter=spec["max_iter"], tol=1e-10)
    if result.status is Status.interrupted:
        raise KeyboardInterrupt
    return {
        "status": result.status.name,
        "message": result.message,
        "start": network.value(0.0 * result.weights),
        "fun": result.fun,
        "rho_star": network.moments.rho_star,
        "trace": result.trace,
    }
