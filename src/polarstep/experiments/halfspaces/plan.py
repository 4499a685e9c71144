"""What the experiment on halfspaces runs, and how.

Its stages are: runs in the exact population; an independent reference optimum of every problem; the
tuning of the step sizes of the constant-step methods for every problem; and the runs from random
starts.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...losses import LOSSES
from ...methods import theory
from ...methods.halfspace import Halfspace
from ...methods.population import GaussianHalfspace
from ..data import tables as datasets
from ..formatting import six_digits
from ..records import Row
from ..running import Spec, Stage
from .reference import reference_optimum
from .sizes import Sizes
from .starts import random_start, run_from
from .tuning import tune

SEPARATION = 0.5  # u^T S^-1 u of the Gaussian problems, for which the least error is 16%
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
_POPULATION_SEED, _SAMPLE_SEED = 0, 1
_POPULATION_POINTS = 200


# --------------------------------------------------------------------------- what to run


def stages(sizes: Sizes, data: Path | None, seeds: int | None = None) -> list[Stage]:
    """Return the stages of the experiment, in order."""
    problems = _problems(sizes, data)
    places = [(problem, start) for problem in problems for start in STARTS]
    n_seeds = sizes.seeds if seeds is None else seeds

    def references(rows: list[Row]) -> list[Spec]:
        return [{"stage": "reference", "problem": problem} for problem in problems]

    def tunings(rows: list[Row]) -> list[Spec]:
        lowest = {_text(r["spec"]["problem"]): r["outcome"]["fun"] for r in _of(rows, "reference")}
        return [
            {
                "stage": "tuning",
                "problem": problem,
                "start": start,
                "method": method,
                "reference": lowest[_text(problem)],
            }
            for problem, start in places
            for method in TUNED
        ]

    def runs(rows: list[Row]) -> list[Spec]:
        chosen = {
            (_text(r["spec"]["problem"]), r["spec"]["start"], r["spec"]["method"]): r["outcome"][
                "steps"
            ]
            for r in _of(rows, "tuning")
        }
        return [
            {
                "stage": "run",
                "problem": problem,
                "start": start,
                "run": name,
                "steps": chosen[_text(problem), start, name] if name in TUNED else {},
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
            "seed": _POPULATION_SEED,
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


def _of(rows: list[Row], stage: str) -> list[Row]:
    return [row for row in rows if row["spec"]["stage"] == stage]


def _text(problem: Spec) -> str:
    return json.dumps(problem, sort_keys=True)


# --------------------------------------------------------------------------- how to run it


def execute(spec: Spec, data: Path | None) -> dict[str, Any]:
    """Run one spec and return its outcome."""
    if spec["stage"] == "population":
        return _population_run(spec)
    objective = _objective(_text(spec["problem"]), data)
    iterations = spec["problem"]["iterations"]
    if spec["stage"] == "reference":
        return {**reference_optimum(objective), **_describe(objective)}
    length = STARTS[spec["start"]]
    if spec["stage"] == "tuning":
        # The seeds of the runs count up from 0, so that no run uses the starts of the tuning.
        tuning_starts = [random_start(objective, 10_000 + k) for k in range(2)]
        return tune(
            objective,
            spec["method"],
            tuning_starts,
            length,
            iterations,
            reference=spec["reference"],
        )
    options: dict[str, Any] = dict(spec["steps"])
    if spec["run"] == "gdnp 1.9/L":
        options["step_size"] = 1.9 / objective.moments.L
    w0 = random_start(objective, spec["seed"])
    result = run_from(objective, RUNS[spec["run"]], w0, length, iterations, **options)
    trace = result.trace
    return {
        "status": result.status.name,
        "n_iter": result.n_iter,
        "n_passes": result.n_passes,
        "seconds": round(float(trace.seconds[-1]), 4),
        "fun": trace.fun,
        "passes": trace.passes,
        "grad_norm": [six_digits(value) for value in trace.grad_norm],
        "direction_gap": [six_digits(value) for value in trace.direction_gap],
    }


@lru_cache(maxsize=8)
def _objective(problem_text: str, data: Path | None) -> Halfspace:
    problem = json.loads(problem_text)
    if problem["data"] == "gaussian":
        d, kappa = problem["d"], problem["kappa"]
        u, S = datasets.gaussian_moments(d, kappa, problem["separation"], _POPULATION_SEED)
        X, y = datasets.gaussian_sample(u, S, problem["n"], _SAMPLE_SEED)
    else:
        X, y = datasets.load(problem["data"], data, problem["rows"])
    return Halfspace(X, y, **VARIANTS[problem["variant"]])


def _describe(objective: Halfspace) -> dict[str, Any]:
    """Return the facts about the data that the report shows."""
    moments = objective.moments
    n, d = objective.design.shape
    facts = theory.check_assumptions(moments, objective.design, objective.labels)
    return {
        "n": n,
        "d": d,
        "rank": moments.rank,
        "kappa": moments.condition_number,
        "separation": -moments.rho_star,
        "gaussian": facts.gaussian,
        "assumptions": str(facts),
    }


def _population_run(spec: Spec) -> dict[str, Any]:
    d, kappa = spec["d"], spec["kappa"]
    u, S = datasets.gaussian_moments(d, kappa, spec["separation"], spec["seed"])
    objective = GaussianHalfspace(u, S, spec["loss"], spec["length_penalty"])
    w0 = np.random.default_rng(spec["seed"]).standard_normal(len(u))
    iterations = spec["iterations"]
    result = run_from(objective, spec["method"], w0, 1.0, iterations)
    trace, moments = result.trace, objective.moments
    gap, gradient = trace.direction_gap, trace.grad_norm
    last = len(trace) - 1
    gap_bound = theory.rate_bound(moments, gap[0], last)
    gradient_bound = theory.gradient_bound(moments, gap[0], last, spec["loss"])
    # Below these values the iterates are rounding errors, to which the theorems do not apply.
    later = np.arange(last + 1) > 0
    gaps, gradients = later & (gap > 1e-24), later & (gradient > 1e-11)
    shown = np.unique(np.geomspace(1, last + 1, _POPULATION_POINTS).astype(int)) - 1
    return {
        "status": result.status.name,
        "seconds": round(float(trace.seconds[-1]), 4),
        "worst_gap_ratio": float(np.max(gap[gaps] / gap_bound[gaps])),
        "worst_gradient_ratio": float(np.max((gradient / gradient_bound)[gradients], initial=0)),
        "iterates_checked": int(gaps.sum()),
        "iteration": trace.iteration[shown],
        "direction_gap": gap[shown],
        "gap_bound": gap_bound[shown],
        "grad_norm": gradient[shown],
        "gradient_bound": gradient_bound[shown],
        "length": trace.length[shown],
        "fun": trace.fun[shown],
    }
