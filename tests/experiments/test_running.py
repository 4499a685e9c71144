"""Stages: only runs without a row are executed, and rows come back in the order of the specs."""

from functools import partial

import pytest

from polarstep.experiments.records import Record, key
from polarstep.experiments.running import run_stages
from polarstep.experiments.workers import Workers
from worker_functions import square


def stage(*numbers):
    return "squares", lambda rows: [{"x": x} for x in numbers]


@pytest.fixture
def done(tmp_path):
    """Return a function that lists what was executed, one entry per run."""
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


def test_recorded_runs_are_not_repeated(go, done, tmp_path):
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


def test_a_run_with_an_incomplete_row_is_repeated(go, done, tmp_path):
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


def test_rows_that_were_not_asked_for_are_not_returned(go):
    go(stage(1, 2, 3))
    assert [row["spec"]["x"] for row in go(stage(2))] == [2]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_failing_run_ends_the_stage_and_keeps_the_finished_rows(go, done, tmp_path, n_jobs):
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
