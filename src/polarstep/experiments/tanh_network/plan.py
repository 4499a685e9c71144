"""The specs of the runs on the network with one hidden layer."""

from __future__ import annotations

import math
from pathlib import Path

from ..data import tables as datasets
from ..halfspaces.plan import CAP, SEPARATION
from ..records import Row
from ..running import Spec, Stage
from .sizes import Sizes

N_UNITS = 3


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
