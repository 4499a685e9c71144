"""Running what is missing, and only that, in whatever order it finishes."""

from functools import partial

import numpy as np
import pytest

import polarstep as ps
from polarstep.experiments.halfspaces import plan as halfspaces
from polarstep.experiments.halfspaces.starts import random_start, run_from
from polarstep.experiments.records import Record, key
from polarstep.experiments.running import run_stages
from polarstep.experiments.workers import Workers
from problems import two_class
from worker_functions import square


def stage(*numbers):
    return "squares", lambda rows: [{"x": x} for x in numbers]


@pytest.fixture
def done(tmp_path):
    """What was executed, one entry per run."""
    log = tmp_path / "log"
    log.touch()
    return lambda: sorted(map(int, log.read_text().split()))


@pytest.fixture
def go(tmp_path):
    def go(*stages, preset="quick", n_jobs=1):
        execute = partial(square, tmp_path / "log")
        with Workers(n_jobs) as workers:
            return run_stages(stages, execute, Record(tmp_path, "x"), preset, None, workers)

    return go


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_rows_come_back_in_the_order_asked_for(go, done, n_jobs):
    rows = go(stage(3, 1, 2), n_jobs=n_jobs)
    assert [row["outcome"]["square"] for row in rows] == [9, 1, 4]
    assert [row["spec"] for row in rows] == [{"preset": "quick", "x": x} for x in (3, 1, 2)]
    assert [row["key"] for row in rows] == [key(row["spec"]) for row in rows]
    assert done() == [1, 2, 3]


def test_what_is_recorded_is_not_run_again(go, done, tmp_path):
    first = go(stage(1, 2))
    before = (tmp_path / "x.jsonl").read_bytes()
    assert go(stage(1, 2)) == first
    assert (tmp_path / "x.jsonl").read_bytes() == before
    assert [row["outcome"]["square"] for row in go(stage(2, 3, 1))] == [4, 9, 1]
    assert (tmp_path / "x.jsonl").read_bytes().startswith(before)
    assert done() == [1, 2, 3]


def test_another_preset_is_another_run(go, done):
    go(stage(1))
    go(stage(1), preset="paper")
    assert done() == [1, 1]


def test_a_row_that_was_cut_short_is_run_again(go, done, tmp_path):
    first = go(stage(1, 2))
    path = tmp_path / "x.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    again = go(stage(1, 2))
    assert [row["outcome"] for row in again] == [row["outcome"] for row in first]
    assert done() == [1, 2, 2]


def test_a_stage_sees_the_rows_of_the_stages_before(go):
    seen = []

    def following(rows):
        seen.append([row["outcome"]["square"] for row in rows])
        return [{"x": row["outcome"]["square"]} for row in rows]

    rows = go(stage(2, 3), ("more", following), ("none", lambda rows: seen.append(len(rows)) or []))
    assert seen == [[4, 9], 4]
    assert [row["outcome"]["square"] for row in rows] == [4, 9, 16, 81]


def test_rows_that_were_not_asked_for_are_not_handed_on(go):
    go(stage(1, 2, 3))
    assert [row["spec"]["x"] for row in go(stage(2))] == [2]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_run_that_fails_ends_the_stage_and_leaves_what_was_finished(go, done, tmp_path, n_jobs):
    go(stage(1))
    with pytest.raises(ValueError, match="unlucky"):
        go(stage(1, 2, 13), n_jobs=n_jobs)
    recorded = [row["spec"]["x"] for row in Record(tmp_path, "x").rows()]
    assert recorded[0] == 1
    assert 13 not in recorded
    assert [row["spec"]["x"] for row in go(stage(1, 2))] == [1, 2]


def test_the_folder_with_data_reaches_the_runs_and_not_their_keys(tmp_path):
    execute = partial(square, tmp_path / "log")
    with Workers(1) as workers:
        (row,) = run_stages([stage(1)], execute, Record(tmp_path, "x"), "quick", tmp_path, workers)
    assert row["outcome"]["data"] == str(tmp_path)
    assert row["key"] == key({"preset": "quick", "x": 1})


# --------------------------------------------------------------------------- real runs


def untimed(outcome):
    return {name: value for name, value in outcome.items() if name != "seconds"}


def run_some(folder, n_jobs):
    """A few runs of every kind, of a size where BLAS would use several threads if it could."""
    problem = {"data": "gaussian", "n": 3_000, "d": 20, "kappa": 30.0, "separation": 0.5}
    problem |= {"iterations": 30, "variant": "sigmoid, cap"}
    common = {"problem": problem, "start": "plateau"}
    specs = [{"stage": "reference", "problem": {**problem, "variant": "softplus"}}]
    for name in ("gd", "agd", "bn", "wn", "gdnp"):
        specs += [{"stage": "run", **common, "run": name, "steps": {}, "seed": k} for k in (0, 1)]
    specs += [{"stage": "tuning", **common, "method": "wn", "reference": 0.1}]
    stages = [("some", lambda rows: specs)]
    with Workers(n_jobs) as workers:
        return run_stages(stages, halfspaces.execute, Record(folder, "x"), "quick", None, workers)


def test_the_same_seed_gives_the_same_rows_on_any_number_of_processes(tmp_path):
    alone, together = (run_some(tmp_path / str(n), n) for n in (1, 2))
    for one, other in zip(alone, together, strict=True):
        assert one["key"] == other["key"]
        assert untimed(one["outcome"]) == untimed(other["outcome"]), one["spec"]


def test_seeds_differ_and_repeat(tmp_path):
    rows = [row for row in run_some(tmp_path, 1) if row["spec"]["stage"] == "run"]
    starts = {(row["spec"]["run"], row["outcome"]["fun"][0]) for row in rows}
    assert len(starts) == len(rows) == 10
    again = [halfspaces.execute(row["spec"], None) for row in rows]
    for row, outcome in zip(rows, again, strict=True):
        assert row["outcome"]["fun"] == outcome["fun"].tolist()


def test_all_methods_start_from_the_same_weight():
    objective = ps.Halfspace(*two_class(n=80, d=3))
    w0 = random_start(objective, 0)
    starts = [run_from(objective, m, w0, 5.0, 0).x for m in ("gd", "agd", "wn", "bn", "gdnp")]
    np.testing.assert_allclose(starts, [starts[0]] * 5, rtol=1e-12)
    assert objective.moments.norm(starts[0]) == pytest.approx(5.0)


def test_a_run_is_the_same_whatever_the_scale_of_its_start():
    objective = ps.Halfspace(*two_class(n=80, d=3))
    w0 = random_start(objective, 0)
    for method in ("gd", "agd", "wn", "bn", "gdnp"):
        one, other = (run_from(objective, method, c * w0, 5.0, 4).trace.fun for c in (1.0, 1e3))
        assert one == pytest.approx(other, rel=1e-12)


def test_an_interruption_of_a_run_is_not_its_outcome():
    calls = 0

    def dphi(a):
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return np.ones_like(a)

    loss = ps.MarginLoss(lambda a: a, dphi, np.zeros_like, "line", 1.0, 1.0)
    objective = ps.Halfspace(*two_class(n=80, d=3), loss)
    with pytest.raises(KeyboardInterrupt):
        run_from(objective, "gd", random_start(objective, 0), 1.0, 10)
    assert calls == 4
