"""Worker processes: every call is answered once, and no process is left over."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from polarstep.experiments.workers import Workers
from worker_functions import (
    end_itself,
    fail_at,
    fail_unpicklably,
    process_of,
    square,
    wait_for_ever,
)


def processes_of(workers, items=range(12)):
    return {process for _, process in workers.map_unordered(process_of, items)}


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_every_item_is_answered_once(n_jobs):
    with Workers(n_jobs) as workers:
        for items in ([], [3], list(range(7))):
            found = sorted(workers.map_unordered(abs, items))
            assert found == [(item, item) for item in items]


def test_one_job_runs_in_this_process():
    with Workers(1) as workers:
        assert processes_of(workers) == {os.getpid()}


def test_the_default_is_one_process_per_core():
    assert Workers().n_jobs == os.cpu_count()


def test_processes_serve_one_call_after_another():
    with Workers(2) as workers:
        first = processes_of(workers)
        assert len(first) == 2
        assert os.getpid() not in first
        assert processes_of(workers) == first


def test_no_more_processes_start_than_there_are_items():
    with Workers(3) as workers:
        assert len(processes_of(workers, [1])) == 1
        assert len(processes_of(workers, [1, 2])) <= 2


def test_a_partial_can_be_called(tmp_path):
    with Workers(2) as workers:
        run = partial(square, tmp_path / "log")
        found = [result for _, result in workers.map_unordered(partial(run, data=None), [{"x": 3}])]
    assert found == [{"square": 9, "data": "None"}]


def test_an_error_arrives_with_its_origin_and_the_workers_can_be_used_again():
    with Workers(2) as workers:
        with pytest.raises(ValueError, match="unlucky 2") as caught:
            list(workers.map_unordered(partial(fail_at, 2), range(5)))
        assert "in fail_at" in "".join(caught.value.__notes__)
        assert len(list(workers.map_unordered(abs, range(5)))) == 5


def test_an_error_that_cannot_be_pickled_arrives_in_words():
    with (
        Workers(2) as workers,
        pytest.raises(RuntimeError, match="Unpicklable: unlucky at 3") as caught,
    ):
        list(workers.map_unordered(fail_unpicklably, [3]))
    assert "in fail_unpicklably" in "".join(caught.value.__notes__)


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_a_worker_that_dies_is_an_error_and_not_a_wait(n_jobs):
    with (
        Workers(n_jobs) as workers,
        pytest.raises(ChildProcessError, match="exit code 3 in the middle of a run"),
    ):
        list(workers.map_unordered(end_itself, [3]))


def test_closing_ends_busy_processes_at_once(tmp_path):
    with Workers(2) as workers:
        answers = workers.map_unordered(partial(wait_for_ever, tmp_path), range(3))
        assert next(answers)[0] == 0  # item 1 is never finished
    assert all_end(tmp_path)


def all_end(folder, seconds=20):
    """Whether all processes that wrote their number into the folder end soon."""
    deadline = time.monotonic() + seconds
    running = [int(path.name) for path in folder.iterdir()]
    assert running
    while running and time.monotonic() < deadline:
        running = [number for number in running if _is_running(number)]
        time.sleep(0.02)
    return not running


def _is_running(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_idle_workers_end_when_the_calling_process_is_killed(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from functools import partial\n"
        "from worker_functions import leave_a_mark\n"
        "from polarstep.experiments.workers import Workers\n"
        "workers = Workers(2)\n"
        "list(workers.map_unordered(partial(leave_a_mark, Path(sys.argv[2])), range(9)))\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    tests = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", code, tests, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
    assert all_end(tmp_path)
