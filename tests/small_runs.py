"""Small experiments: a preset of a few seconds, its command line, and rows made by hand.

Run as a script, this file is the command line with the preset "quick" made small.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from polarstep.experiments import halfspaces
from polarstep.experiments.analysis import Rows
from polarstep.experiments.presets import PRESETS
from polarstep.experiments.records import Record
from polarstep.experiments.running import run_stages

TINY = replace(
    PRESETS["quick"],
    population_dimension=4,
    population_iterations={4: 25, 10: 60},
    gaussian_samples=120,
    gaussian_features=3,
    gaussian_kappa=3.0,
    gaussian_iterations=20,
    real_rows=None,
    real_iterations=12,
    seeds=2,
    network_kappa=2.0,
    network_sweeps=3,
    network_data_sweeps=2,
    network_data_iterations=10,
)
N_SOFTPLUS = 12 + 2 + 16 + 56  # population, references, tunings, runs with softplus alone


# --------------------------------------------------------------------------- in this process


@contextlib.contextmanager
def only_softplus():
    """The halfspace experiment without the sigmoid."""
    variants = dict(halfspaces.VARIANTS)
    try:
        for name in variants.keys() - {"softplus"}:
            del halfspaces.VARIANTS[name]
        yield
    finally:
        halfspaces.VARIANTS.clear()
        halfspaces.VARIANTS.update(variants)


def run_tiny(folder, module=halfspaces, preset=TINY, n_jobs=1, seeds=None):
    """Run an experiment and return its rows, the ones asked for."""
    name = module.__name__.rpartition(".")[2]
    stages = module.stages(preset, None, seeds)
    return run_stages(stages, module.execute, Record(folder, name), "quick", None, n_jobs)


def outcomes(rows):
    """key -> the outcome without its timing, which no two runs share."""
    untimed = {}
    for row in rows:
        outcome = {k: v for k, v in row["outcome"].items() if k != "seconds"}
        assert row["key"] not in untimed, "a run was recorded twice"
        untimed[row["key"]] = outcome
    return untimed


# --------------------------------------------------------------------------- the command line


class Command:
    """`polarstep ARGUMENTS` with the small preset, in a process group of its own."""

    def __init__(self, *arguments):
        environment = {k: v for k, v in os.environ.items() if k != "POLARSTEP_DATA"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def wait(self):
        """(exit code, what it printed)."""
        try:
            printed, _ = self.process.communicate(timeout=100)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            raise
        return self.process.returncode, printed

    def wait_for_rows(self, path, count):
        """Come back as soon as the file has that many lines, while the command goes on."""
        deadline = time.monotonic() + 100
        while not path.is_file() or path.read_bytes().count(b"\n") < count:
            assert self.process.poll() is None, self.wait()
            assert time.monotonic() < deadline, "no rows"
            time.sleep(0.01)

    def signal(self, which):
        """Send a signal to the whole process group, as a terminal does."""
        os.killpg(self.process.pid, which)

    def is_gone(self, within=20.0):
        """Whether every process of the group ends in time."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if not _alive(self.process.pid):
                return True
            time.sleep(0.05)
        return False


def _alive(group):
    """Whether a process group has a member that is not a zombie."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    listed = Path("/proc").glob("[0-9]*/stat")
    if not Path("/proc/self/stat").is_file():
        return True
    for path in listed:
        try:
            state, _, member_of, *_ = path.read_text().rpartition(")")[2].split()
        except OSError:  # it ended in the meantime
            continue
        if int(member_of) == group and state not in "ZX":
            return True
    return False


# --------------------------------------------------------------------------- rows by hand


def row(spec, outcome, preset="quick"):
    """A row as `Record.append` writes it."""
    spec = {"preset": preset, **spec}
    made = {"key": json.dumps(spec, sort_keys=True), "spec": spec, "outcome": outcome}
    return {**made, "environment": {"polarstep": "0"}, "finished": "2020-01-01T00:00:00+00:00"}


def rows(halfspaces=(), network=()):
    return Rows(tuple(halfspaces), tuple(network))


def run_rows(curves, data="gaussian", variant="softplus", start="length 1"):
    """Rows of runs: `curves` maps the name of a run to its values of f, one list per seed.

    Runs that are not named stay at 1.
    """
    made = []
    for name in halfspaces.RUNS:
        given = curves.get(name, [1.0, 1.0])
        for seed, fun in enumerate(given if np.ndim(given) == 2 else [given]):
            fun = [float(f) for f in fun]
            spec = {
                "stage": "run",
                "problem": {"data": data, "variant": variant},
                "start": start,
                "run": name,
                "seed": seed,
            }
            outcome = {
                "status": "max_iter",
                "fun": fun,
                "passes": [2 * t + 2 for t in range(len(fun))],
                "grad_norm": fun,
                "direction_gap": fun,
            }
            made.append(row(spec, outcome))
    return made


def reference_row(fun=0.0, data="gaussian", variant="softplus"):
    spec = {"stage": "reference", "problem": {"data": data, "variant": variant}}
    return row(spec, {"fun": fun})


def linear(digits_per_iteration, iterations=60, start=1.0):
    """A curve that falls by a constant factor."""
    return start * 10.0 ** (-digits_per_iteration * np.arange(iterations + 1.0))


def main():
    from polarstep.cli import main

    PRESETS["quick"] = TINY
    with only_softplus():
        main()


if __name__ == "__main__":
    main()
