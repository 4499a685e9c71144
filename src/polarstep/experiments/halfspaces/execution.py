"""The execution of one run of the experiment on halfspaces."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...methods import theory
from ...methods.halfspace import Halfspace
from ...methods.population import GaussianHalfspace
from ..data import tables as datasets
from ..formatting import six_digits
from ..running import Spec
from .plan import POPULATION_SEED, RUNS, STARTS, VARIANTS, problem_text
from .reference import reference_optimum
from .starts import random_start, run_from
from .tuning import tune

_SAMPLE_SEED = 1
_POPULATION_POINTS = 200  # the points that are recorded of a curve


def execute(spec: Spec, data: Path | None) -> dict[str, Any]:
    """Run one spec and return its outcome."""
    if spec["stage"] == "population":
        return _population_run(spec)
    objective = _objective(problem_text(spec["problem"]), data)
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
def _objective(text: str, data: Path | None) -> Halfspace:
    problem = json.loads(text)
    if problem["data"] == "gaussian":
        d, kappa = problem["d"], problem["kappa"]
        u, S = datasets.gaussian_moments(d, kappa, problem["separation"], POPULATION_SEED)
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
