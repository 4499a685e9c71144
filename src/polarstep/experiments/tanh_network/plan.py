"""The runs of the experiment on the network with one hidden layer, and their execution."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ...methods import tanh_network
from ...result import Status
from ..data import tables as datasets
from ..halfspaces.plan import CAP, SEPARATION
from ..records import Row
from ..running import Spec, Stage
from .sizes import Sizes

N_UNITS = 3
_SEED = 0


def stages(sizes: Sizes, data: Path | None, seeds: int | None = None) -> list[Stage]:
    """Return the stages; `seeds` is ignored, because the experiment has no random starts."""
    gaussian = {"d": sizes.dimension, "kappa": sizes.kappa}
    population = [
        {
            "stage": "population",
            "loss": loss,
            "n_units": N_UNITS,
            "separation": SEPARATION,
            "sweeps": sizes.sweeps,
            "max_iter": math.ceil(30 * sizes.kappa),
            **gaussian,
        }
        for loss in ("softplus", "squared")
    ]
    on_data = [
        {
            "stage": "data",
            "loss": "softplus",
            "n_units": N_UNITS,
            "sweeps": sizes.data_sweeps,
            "max_iter": sizes.data_iterations,
            "max_length": CAP,
            **place,
        }
        for place in (
            {
                "data": "gaussian",
                "n": sizes.samples,
                "separation": SEPARATION,
                **gaussian,
            },
            {"data": datasets.real_data(data), "rows": sizes.real_rows},
        )
    ]

    def specs(rows: list[Row]) -> list[Spec]:
        return [*population, *on_data]

    return [("network: unit by unit", specs)]


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
