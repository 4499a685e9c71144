"""The commands at a tiny size: rows, interruptions, resumption, verdicts and the report."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from html_page import Page
from polarstep.experiments.records import Record, key, read_rows
from polarstep.experiments.registry import EXPERIMENTS
from polarstep.experiments.report.page import write_report
from polarstep.experiments.report.rows import Rows
from polarstep.experiments.report.verdicts import verdicts
from polarstep.experiments.running import run_stages
from polarstep.experiments.workers import Workers
from small_runs import TINY

COMMAND = [sys.executable, str(Path(__file__).parents[1] / "small_runs.py")]


def run(folder, n_jobs=1):
    done = {}
    for name in ("halfspaces", "network"):
        experiment, record = EXPERIMENTS[name], Record(folder, name)
        stages = experiment.stages(TINY[name], None)
        with Workers(n_jobs) as workers:
            done[name] = run_stages(stages, experiment.execute, record, "quick", None, workers)
    return done


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    run(folder)
    return folder


def outcomes(folder, name="halfspaces"):
    """Return (spec, outcome) of the rows by key, without the seconds that the runs took."""
    rows = {}
    for row in read_rows(folder / f"{name}.jsonl"):
        row["outcome"].pop("seconds", None)
        rows[row["key"]] = (row["spec"], row["outcome"])
    return rows


# --------------------------------------------------------------------------- rows


def test_every_run_is_a_row_with_its_settings_and_versions(results):
    rows = list(read_rows(results / "halfspaces.jsonl"))
    stages = [row["spec"]["stage"] for row in rows]
    assert {s: stages.count(s) for s in set(stages)} == {
        "population": 12,
        "reference": 6,
        "tuning": 48,
        "run": 168,
    }
    for row in rows:
        assert row["key"] == key(row["spec"])
        assert row["spec"]["preset"] == "quick"
        assert {"polarstep", "python", "numpy", "machine"} <= row["environment"].keys()
    assert {row["spec"]["seed"] for row in rows if row["spec"]["stage"] == "run"} == {0, 1}


def test_resuming_runs_nothing_again(results):
    before = (results / "halfspaces.jsonl").read_bytes()
    run(results)
    assert (results / "halfspaces.jsonl").read_bytes() == before


def test_the_same_seed_gives_the_same_rows_on_any_number_of_processes(results, tmp_path):
    network = EXPERIMENTS["network"]
    stages = network.stages(TINY["network"], None)
    with Workers(2) as workers:
        run_stages(stages, network.execute, Record(tmp_path, "network"), "quick", None, workers)
    assert outcomes(tmp_path, "network") == outcomes(results, "network")


# --------------------------------------------------------------------------- interruptions


def cut_off(folder, how, n_jobs):
    """Send a signal to the command after twenty rows; return (exit code, output).

    Every process holds the pipe of the output. The output ends when the last of them ends, so that
    reading all of it shows that no worker is left over.
    """
    arguments = ["reproduce", "halfspaces", "--out", folder, "--resume", "--jobs", n_jobs]
    environment = {k: v for k, v in os.environ.items() if k != "POLARSTEP_DATA"}
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], env=environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    rows = folder / "halfspaces.jsonl"
    deadline = time.monotonic() + 60
    while not (rows.is_file() and rows.read_bytes().count(b"\n") >= 20):
        if process.poll() is not None or time.monotonic() > deadline:
            how = signal.SIGKILL  # the test fails below, because rows are missing
            break
        time.sleep(0.02)
    os.killpg(process.pid, how)
    output = process.communicate(timeout=30)[0]
    return process.returncode, output


@pytest.mark.parametrize(
    ("how", "n_jobs"), [(signal.SIGKILL, 2), (signal.SIGINT, 2), (signal.SIGINT, 1)]
)
def test_an_interrupted_command_keeps_its_rows_and_resumes(results, tmp_path, how, n_jobs):
    code, output = cut_off(tmp_path, how, n_jobs)
    if how is signal.SIGINT:
        assert code == 130
        assert f"The finished runs are in {tmp_path}; continue with --resume." in output
        assert "Traceback" not in output
    else:
        assert code == -signal.SIGKILL

    path = tmp_path / "halfspaces.jsonl"
    whole = path.read_bytes().rpartition(b"\n")[0] + b"\n"
    kept = [json.loads(line) for line in whole.splitlines()]
    assert 20 <= len(kept) < len(outcomes(results))
    assert all(key(row["spec"]) == row["key"] for row in kept)
    with path.open("ab") as file:  # as if a row had been cut short in its middle, too
        file.write(whole[:300])
    run(tmp_path)
    assert path.read_bytes().startswith(whole), "what was finished is not run again"
    assert outcomes(tmp_path) == outcomes(results)


# --------------------------------------------------------------------------- verdicts, report


def test_the_theorems_hold_in_the_runs(results):
    found = [v for v in verdicts(Rows.read(results)) if v.claim.startswith("Theorem")]
    assert len(found) == 2
    assert {v.verdict for v in found} == {"holds"}


def test_the_report_stands_alone_and_its_links_resolve(results):
    text = write_report(results).read_text()
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe"}
    assert len(page.ids) == len(set(page.ids))
    assert page.links <= set(page.ids)
    references = set(re.findall(r"url\(#([^)]+)\)|xlink:href=\"#([^\"]+)\"", text))
    assert {a or b for a, b in references} <= set(page.ids)
    for figure in ("overview", "population-gap", "runs-gaussian-softplus", "network"):
        assert figure in page.ids
