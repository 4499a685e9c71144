"""Artificial rows, for tests of analyses, verdicts, figures and the report."""

import json

import numpy as np

from polarstep.experiments.deep.plan import LEVELS, NORMALIZATIONS, RATES
from polarstep.experiments.halfspaces.plan import PENALTY, RUNS, STARTS, VARIANTS
from polarstep.experiments.metric.plan import RECIPES, first_rates
from polarstep.experiments.networks.architecture import ACTIVATIONS
from polarstep.experiments.report.rows import Rows
from polarstep.experiments.report.verdicts import verdicts


def row(spec, outcome, preset="quick"):
    """Return a row as `Record.append` writes it."""
    spec = {"preset": preset, **spec}
    made = {"key": json.dumps(spec, sort_keys=True), "spec": spec, "outcome": outcome}
    return {**made, "environment": {"polarstep": "0"}, "finished": "2020-01-01T00:00:00+00:00"}


def rows(*made):
    """Assign rows to their experiments by the entries of their specs."""
    of_network = [r for r in made if "n_units" in r["spec"]]
    deep = [r for r in made if "normalization" in r["spec"]]
    metric = [r for r in made if r["spec"]["stage"] == "training"]
    halfspaces = [r for r in made if r not in [*of_network, *deep, *metric]]
    named = {"halfspaces": halfspaces, "network": of_network, "deep": deep, "metric": metric}
    return Rows({name: tuple(some) for name, some in named.items()})


def verdict(claim, *made):
    """Return the verdict on the only claim that contains these words."""
    (found,) = [v for v in verdicts(rows(*made)) if claim in v.claim]
    return found


def linear(digits, iterations=60, start=1.0):
    """Return a curve that falls by `digits` decades in every iteration."""
    return start * 10.0 ** (-digits * np.arange(iterations + 1.0))


def problem(data="gaussian", variant="softplus"):
    return {"data": data, "variant": variant}


def reference(fun=0.0, data="gaussian", variant="softplus", **facts):
    spec = {"stage": "reference", "problem": problem(data, variant)}
    return row(spec, {"fun": fun, **facts})


def run(name, fun, data="gaussian", variant="softplus", start="length 1", seed=0):
    """Return the row of one run; a single number as `fun` makes a constant curve."""
    fun = [float(f) for f in (np.atleast_1d(fun) if np.ndim(fun) else [fun, fun])]
    spec = {"stage": "run", "problem": problem(data, variant), "start": start, "run": name}
    passes = [2 * t + 2 for t in range(len(fun))]
    outcome = {"fun": fun, "passes": passes, "grad_norm": fun, "direction_gap": fun}
    return row({**spec, "seed": seed}, {"status": "max_iter", **outcome})


def cell(curves, data="gaussian", variant="softplus", start="length 1"):
    """Return the rows of one problem with optimum 0; runs without a curve stay at 1."""
    place = {"data": data, "variant": variant}
    runs = [run(name, curves.get(name, 1.0), **place, start=start) for name in RUNS]
    return [reference(**place), *runs]


def every_cell(curves, data=("gaussian", "breast_cancer"), variants=VARIANTS, starts=STARTS):
    """Return rows with the same curves in all problems."""
    return [
        made
        for name in data
        for variant in variants
        for start in starts
        for made in cell(curves, name, variant, start)
    ]


def population(
    loss="sigmoid",
    kappa=10,
    method="gdnp",
    gap=(1.0, 0.1, 0.01),
    grad_norm=(1.0, 0.1, 0.01),
    bound=(1.0, 0.1, 0.001),
    gap_ratio=0.5,
    gradient_ratio=0.5,
):
    spec = {"stage": "population", "loss": loss, "kappa": kappa, "method": method}
    spec["length_penalty"] = PENALTY if loss in ("sigmoid", "normal_cdf") else 0.0
    outcome = {
        "worst_gap_ratio": gap_ratio,
        "worst_gradient_ratio": gradient_ratio,
        "iterates_checked": 2,
        "iteration": [0, 1, 2],
        "direction_gap": list(gap),
        "gap_bound": list(bound),
        "grad_norm": list(grad_norm),
        "gradient_bound": list(bound),
        "length": [1.0, 2.0, 2.5],
        "fun": [0.7, 0.6, 0.5],
    }
    return row(spec, outcome)


def training(loss="softplus", stage="population", gaps=(0.0, 0.0), slopes=(1e-2, 1e-8), idle=False):
    """Return the row of a training of two units, in one sweep for each of the slopes."""
    spec = {"stage": stage, "loss": loss, "n_units": 2, "data": "gaussian"}
    n_sweeps = len(slopes)
    trace = {
        "sweep": [k for k in range(n_sweeps) for _ in range(2)],
        "unit": [0, 1] * n_sweeps,
        "fun": [0.5] * (2 * n_sweeps),
        "length": [1.4, 0.0 if idle else 1.1] * n_sweeps,
        "slope": [1e-12, None if idle else 1e-12] * n_sweeps,
        "largest_slope": [slope for s in slopes for slope in (10 * s, s)],
        "direction_gap": [*gaps, *[0.0, 0.0] * (n_sweeps - 1)],
        "skipped": [False, idle] * n_sweeps,
    }
    return row(spec, {"start": 0.7, "fun": 0.5, "rho_star": -0.5, "trace": trace})


# --------------------------------------------------------------------------- deep networks

STEPS = 20


def attempts(activation="relu", normalization="plain", best=0.1, good=1, start=2.0, data="digits"):
    """Return a tuning: `best` scores 0.1, `good` rates at most 0.2, the largest diverged."""
    first = RATES.index(best)
    outcomes = dict.fromkeys(RATES, 1.5)
    outcomes |= dict.fromkeys(RATES[first : first + good], 0.2)
    outcomes |= {best: 0.1, RATES[-1]: None}
    spec = {"stage": "tuning", "data": data, "activation": activation}
    return [
        row(
            {**spec, "normalization": normalization, "rate": rate},
            {"status": "diverged" if s is None else "finished", "start": start, "score": s},
        )
        for rate, s in outcomes.items()
    ]


def point(t, loss, levels=(), cross=1.0, own=1.0, shift=1.0, gradient=1.0, roughness=1.0):
    """Return the measurements at one iterate, where all sizes are 1."""
    blocks = {"raw": [cross] * 3 + [own] + [cross] * 3, "sizes": [1.0] * 7, "own": own}
    return {
        "iteration": t,
        "loss": loss,
        "levels": list(levels),
        "weights": blocks,
        "directions": blocks,
        "shift": [shift] * 6,
        "gradient_shift": gradient,
        "gradient_cosine": 0.5,
        "loss_roughness": [roughness] * 3,
        "gradient_roughness": [roughness] * 3,
    }


def training_run(
    activation="relu",
    normalization="plain",
    rate=0.1,
    seed=0,
    digits=0.1,
    late=None,
    status="finished",
    data="digits",
    **measures,
):
    """Return a run whose loss falls from 2 by `digits` decades per step.

    It is measured at the start, after one step, at the end, and where the loss passes a level.
    `late` replaces `measures` in the second half of the run.
    """
    loss = linear(digits, STEPS, 2.0)
    late = {**measures, **(late or {})}
    points, ahead = [], list(LEVELS)
    for t, value in enumerate(loss):
        passed = [level for level in ahead if value <= level]
        ahead = [level for level in ahead if level not in passed]
        if passed or t in (0, 1, STEPS):
            points.append(point(t, value, passed, **(late if t >= STEPS / 2 else measures)))
    spec = {
        "stage": "run",
        "data": data,
        "activation": activation,
        "normalization": normalization,
        "rate": rate,
        "seed": seed,
        "units": 3,
        "steps": STEPS,
        "coupling_samples": 10,
        "measured_at": [0, 1, STEPS],
    }
    names = ("loss", "grad_norm", "direction_grad_norm", "length_grad_norm", "accuracy")
    curves = {name: list(loss) for name in names}
    return row(spec, {"n": 20, "d": 5, "status": status, **curves, "points": points})


def deep(networks, best=None, good=None, seeds=1, activations=ACTIVATIONS, **common):
    """Return tunings and runs of all networks.

    `networks`, `best` and `good` map a normalization to the options of its runs, its tuned rate,
    and the number of its good rates; `common` holds the options of all runs.
    """
    best = {"plain": 0.1, "batch": 1.0, "weight": 0.1, **(best or {})}
    good = {"plain": 2, "batch": 4, "weight": 3, **(good or {})}
    data = {"data": common["data"]} if "data" in common else {}
    tunings = [
        made
        for a in activations
        for n in NORMALIZATIONS
        for made in attempts(a, n, best[n], good[n], **data)
    ]
    runs = [
        training_run(a, n, rate, seed, **{**common, **networks.get(n, {})})
        for seed in range(seeds)
        for a in activations
        for rate in sorted(set(best.values()))
        for n in NORMALIZATIONS
    ]
    return [*tunings, *runs]


# --------------------------------------------------------------------------- metrics


def one_training(
    activation="relu",
    recipe="SGD",
    rate=0.1,
    seed=0,
    digits=0.1,
    validation_digits=0.1,
    score=0.1,
    seconds=0.001,
    accuracy=0.9,
    status="finished",
    data="digits",
):
    """Return a training whose losses fall from 2 by `digits` decades per step, at five points."""
    spec = {
        "stage": "training",
        "data": data,
        "side": 8 if data == "cifar10" else None,
        "activation": activation,
        "method": recipe,
        "rate": rate,
        "seed": seed,
        "units": 3,
        "batch": 5,
        "steps": STEPS,
        "per_decade": 2,
    }
    points = [
        {
            "steps": [t, t + STEPS // 5],
            "loss": 2.0 * 10.0 ** (-digits * (t + STEPS / 10)),
            "validation_loss": 2.0 * 10.0 ** (-validation_digits * (t + STEPS / 5)),
            "accuracy": accuracy,
            "angles": [0.1, 0.2, 0.1, 0.1, 0.1, 0.1, 0.05],
        }
        for t in range(0, STEPS, STEPS // 5)
    ]
    finished = status == "finished"
    outcome = {
        "n": 20,
        "d": 5,
        "status": status,
        "start": 2.0,
        "score": score if finished else None,
        "seconds_per_step": seconds,
        "points": points if finished else points[:2],
    }
    return row(spec, outcome)


def metric(recipes=None, activations=ACTIVATIONS, seeds=1, **common):
    """Return trainings with every recipe at each of its first rates, of which the second is best.

    `recipes` maps a name to the options of its trainings, among them "good", the number of good
    rates out of four; `common` holds the options of all trainings.
    """
    made = []
    for a in activations:
        for recipe in RECIPES:
            options = {**common, **(recipes or {}).get(recipe, {})}
            good = options.pop("good", 1)
            for k, rate in enumerate(first_rates(recipe, 2)):
                score = 0.1 if k == 1 else 0.2 if 1 < k <= good or good == 4 else 1.5
                for seed in range(seeds):
                    made.append(one_training(a, recipe, rate, seed, **{"score": score, **options}))
    return made
