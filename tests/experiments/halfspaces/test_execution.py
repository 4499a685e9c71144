"""The runs on halfspaces: the same seed gives the same outcome, on any number of processes."""

from polarstep.experiments.halfspaces.execution import execute
from polarstep.experiments.records import Record
from polarstep.experiments.running import run_stages
from polarstep.experiments.workers import Workers


def untimed(outcome):
    return {name: value for name, value in outcome.items() if name != "seconds"}


def run_some(folder, n_jobs):
    """Do a few runs of every kind, large enough for BLAS to use several threads if it could."""
    problem = {"data": "gaussian", "n": 3_000, "d": 20, "kappa": 30.0, "separation": 0.5}
    problem |= {"iterations": 30, "variant": "sigmoid, cap"}
    common = {"problem": problem, "start": "plateau"}
    specs = [{"stage": "reference", "problem": {**problem, "variant": "softplus"}}]
    for name in ("gd", "agd", "bn", "wn", "gdnp"):
        specs += [{"stage": "run", **common, "run": name, "steps": {}, "seed": k} for k in (0, 1)]
    specs += [{"stage": "tuning", **common, "method": "wn", "reference": 0.1}]
    stages = [("some", lambda rows: specs)]
    with Workers(n_jobs) as workers:
        return run_stages(stages, execute, Record(folder, "x"), "quick", None, workers)


def test_the_same_seed_gives_the_same_rows_on_any_number_of_processes(tmp_path):
    alone, together = (run_some(tmp_path / str(n), n) for n in (1, 2))
    for one, other in zip(alone, together, strict=True):
        assert one["key"] == other["key"]
        assert untimed(one["outcome"]) == untimed(other["outcome"]), one["spec"]


def test_seeds_differ_and_repeat(tmp_path):
    rows = [row for row in run_some(tmp_path, 1) if row["spec"]["stage"] == "run"]
    starts = {(row["spec"]["run"], row["outcome"]["fun"][0]) for row in rows}
    assert len(starts) == len(rows) == 10
    again = [execute(row["spec"], None) for row in rows]
    for row, outcome in zip(rows, again, strict=True):
        assert row["outcome"]["fun"] == outcome["fun"].tolist()
