"""The stages of the experiment on halfspaces, and the specs of their runs.

The stages are: runs in the exact population; an independent reference optimum of every problem; the
tuning of the step sizes of the constant-step methods for every problem; and the runs from random
starts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...losses import LOSSES
from ..data import tables as datasets
from ..records import Row
from ..running import Spec, Stage
from .sizes import Sizes

SEPARATION = 0.5  # u^T S^-1 u of the Gaussian problems; the least possible error is 16%
PENALTY = 1e-3
CAP = 20.0
VARIANTS: dict[str, dict[str, Any]] = {
    "softplus": {"loss": "softplus"},
    "sigmoid, penalty": {"loss": "sigmoid", "length_penalty": PENALTY},
    "sigmoid, cap": {"loss": "sigmoid", "max_length": CAP},
}
STARTS = {"length 1": 1.0, "plateau": CAP}  # ||wt_0||_S; the sigmoid is nearly flat at CAP
TUNED = ("gd", "agd", "wn", "bn")
# The runs from every random start: their names and their methods.
RUNS = {
    "gd": "gd",
    "agd": "agd",
    "wn": "wn",
    "bn": "bn",
    "gdnp": "gdnp",
    "gdnp 1.9/L": "gdnp",
    "gd 1/smoothness": "gd",
}
POPULATION_SEED = 0


def stages(sizes: Sizes, data: Path | None, seeds: int | None = None) -> list[Stage]:
    """Return the stages of the experiment, in order."""
    problems = _problems(sizes, data)
    places = [(problem, start) for problem in problems for start in STARTS]
    n_seeds = sizes.seeds if seeds is None else seeds

    def references(rows: list[Row]) -> list[Spec]:
        return [{"stage": "reference", "problem": problem} for problem in problems]

    def tunings(rows: list[Row]) -> list[Spec]:
        lowest = {
            problem_text(spec["problem"]): outcome["fun"]
            for spec, outcome in _of_stage(rows, "reference")
        }
        return [
            {
                "stage": "tuning",
                "problem": problem,
                "start": start,
                "method": method,
                "reference": lowest[problem_text(problem)],
            }
            for problem, start in places
            for method in TUNED
        ]

    def runs(rows: list[Row]) -> list[Spec]:
        chosen = {
            (problem_text(spec["problem"]), spec["start"], spec["method"]): outcome["steps"]
            for spec, outcome in _of_stage(rows, "tuning")
        }
        return [
            {
                "stage": "run",
                "problem": problem,
                "start": start,
                "run": name,
                "steps": chosen[problem_text(problem), start, name] if name in TUNED else {},
                "seed": seed,
            }
            for problem, start in places
            for name in RUNS
            for seed in range(n_seeds)
        ]

    return [
        ("halfspaces: population", lambda rows: _population_specs(sizes)),
        ("halfspaces: reference optima", references),
        ("halfspaces: tuning steps", tunings),
        ("halfspaces: runs", runs),
    ]


def _population_specs(sizes: Sizes) -> list[Spec]:
    specs = []
    for kappa, iterations in sorted(sizes.population_iterations.items(), reverse=True):
        common = {
            "stage": "population",
            "kappa": kappa,
            "d": sizes.population_dimension,
            "separation": SEPARATION,
            "iterations": iterations,
            "seed": POPULATION_SEED,
        }
        for name, loss in LOSSES.items():
            penalty = PENALTY if loss.is_bounded else 0.0  # without it there is no minimiser
            specs.append({**common, "loss": name, "length_penalty": penalty, "method": "gdnp"})
        specs.append({**common, "loss": "sigmoid", "length_penalty": PENALTY, "method": "gd"})
    return specs


def _problems(sizes: Sizes, data: Path | None) -> list[Spec]:
    gaussian = {
        "data": "gaussian",
        "n": sizes.samples,
        "d": sizes.features,
        "kappa": sizes.kappa,
        "separation": SEPARATION,
        "iterations": sizes.iterations,
    }
    real = {
        "data": datasets.real_data(data),
        "rows": sizes.real_rows,
        "iterations": sizes.real_iterations,
    }
    return [{**place, "variant": variant} for place in (gaussian, real) for variant in VARIANTS]


def _of_stage(rows: list[Row], stage: str) -> list[tuple[Spec, dict[str, Any]]]:
    """Return (spec, outcome) of the rows of a stage."""
    return [(row["spec"], row["outcome"]) for row in rows if row["spec"]["stage"] == stage]


def problem_text(problem: Spec) -> str:
    """Return a problem as text, which can be the key of a dictionary or a cache."""
    return json.dumps(problem, sort_keys=True)
