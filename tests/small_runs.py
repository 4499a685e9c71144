"""Experiments of a few seconds: the preset "quick" with smaller sizes, and the command line."""

from dataclasses import replace

from polarstep.experiments.records import Record
from polarstep.experiments.registry import EXPERIMENTS
from polarstep.experiments.running import run_stages
from polarstep.experiments.workers import Workers

_CHANGES = {
    "halfspaces": {
        "population_dimension": 4,
        "population_iterations": {4: 25, 10: 60},
        "samples": 120,
        "features": 3,
        "kappa": 3.0,
        "iterations": 20,
        "real_iterations": 12,
        "seeds": 2,
    },
    "network": {
        "dimension": 2,
        "samples": 120,
        "kappa": 2.0,
        "sweeps": 3,
        "data_sweeps": 2,
        "data_iterations": 10,
    },
    "deep": {
        "units": 3,
        "samples": 30,
        "steps": 4,
        "seeds": 1,
        "coupling_samples": 12,
        "points": 2,
    },
    "metric": {
        "units": 3,
        "samples": 30,
        "validation": 12,
        "side": 4,
        "batch": 10,
        "steps": 6,
        "points": 2,
        "seeds": 1,
    },
}
TINY = {
    name: replace(EXPERIMENTS[name].sizes["quick"], **changes) for name, changes in _CHANGES.items()
}


def make_small():
    """Replace the preset "quick" of every experiment by a smaller one, in this process."""
    for name, sizes in TINY.items():
        EXPERIMENTS[name].sizes["quick"] = sizes


def run_small(name, folder, n_jobs=1):
    """Run an experiment with small sizes, and return its rows."""
    experiment, record = EXPERIMENTS[name], Record(folder, name)
    stages = experiment.stages(TINY[name], None)
    with Workers(n_jobs) as workers:
        return run_stages(stages, experiment.execute, record, "quick", None, workers)


if __name__ == "__main__":
    make_small()
    from polarstep.cli import main

    main()
