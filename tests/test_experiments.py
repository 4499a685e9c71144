"""Experiments end to end at a tiny size: rows, resumption, verdicts, figures, report."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import polarstep as ps
from polarstep.experiments import halfspaces, network
from polarstep.experiments.analysis import Rows
from polarstep.experiments.records import Record, key, read_rows
from polarstep.experiments.reference import reference_optimum
from polarstep.experiments.report import write_report
from polarstep.experiments.running import run_stages
from polarstep.experiments.starts import random_start, run_from
from polarstep.experiments.tuning import tune
from polarstep.experiments.verdicts import verdicts
from small_runs import TINY

COMMAND = [sys.executable, str(Path(__file__).parent / "small_runs.py")]


def run(folder, n_jobs=1):
    done = {}
    for name, module in {"halfspaces": halfspaces, "network": network}.items():
        stages = module.stages(TINY, None)
        record = Record(folder, name)
        done[name] = run_stages(stages, module.execute, record, "quick", None, n_jobs)
    return done


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    run(folder)
    return folder


def outcomes(folder, name="halfspaces"):
    """The rows by key, without what differs between two runs of the same thing."""
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
    stages = network.stages(TINY, None)
    run_stages(stages, network.execute, Record(tmp_path, "network"), "quick", None, 2)
    assert outcomes(tmp_path, "network") == outcomes(results, "network")


def test_a_half_written_line_is_passed_over_and_ended(tmp_path):
    record = Record(tmp_path, "x")
    record.append({"a": 1}, {"value": np.float64(2.0), "bad": [np.nan, np.inf]})
    with record.path.open("ab") as file:
        file.write(b'{"key": "12", "spec": {"a"')
    assert [row["spec"] for row in record.rows()] == [{"a": 1}]
    record.append({"a": 2}, {"value": np.arange(2)})
    assert [row["spec"] for row in record.rows()] == [{"a": 1}, {"a": 2}]
    assert record.rows()[0]["outcome"] == {"value": 2.0, "bad": [None, None]}
    assert record.rows()[1]["outcome"] == {"value": [0, 1]}


def test_rows_are_set_aside_not_overwritten(tmp_path):
    record = Record(tmp_path, "x")
    record.append({"a": 1}, {})
    aside = record.set_aside()
    assert record.rows() == []
    assert len(list(read_rows(aside))) == 1
    assert record.set_aside() is None


def test_keys_follow_the_settings_not_their_order():
    assert key({"a": 1, "b": 2}) == key({"b": 2, "a": 1})
    assert key({"a": 1, "b": 2}) != key({"a": 1, "b": 3})


def test_an_output_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="`--out` must be a folder that can be written"):
        Record(tmp_path / "file" / "below", "x")


# --------------------------------------------------------------------------- interruptions


def start_command(folder):
    arguments = ["reproduce", "halfspaces", "--out", str(folder), "--resume", "--jobs", "2"]
    environment = {k: v for k, v in os.environ.items() if k != "POLARSTEP_DATA"}
    process = subprocess.Popen(
        [*COMMAND, *arguments], env=environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    rows = folder / "halfspaces.jsonl"
    while process.poll() is None and not (rows.is_file() and rows.read_bytes().count(b"\n") >= 20):
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_resumes_to_the_same_rows(results, tmp_path, how):
    process = start_command(tmp_path)
    os.killpg(process.pid, how)
    output = process.communicate(timeout=60)[0]
    lost = outcomes(tmp_path)
    assert 20 <= len(lost) < len(outcomes(results))
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert "--resume" in output
    run(tmp_path, n_jobs=2)
    assert outcomes(tmp_path) == outcomes(results)


# --------------------------------------------------------------------------- references, tuning


def problem(**limits):
    rng = np.random.default_rng(3)
    y = np.where(rng.random(200) < 0.5, 1.0, -1.0)
    X = (rng.standard_normal((200, 4)) - 0.6 * y[:, None]) * [1.0, 0.3, 1.0, 2.0]
    return ps.Halfspace(X, y, **limits)


@pytest.mark.parametrize(
    "limits",
    [{}, {"loss": "sigmoid", "length_penalty": 1e-2}, {"loss": "sigmoid", "max_length": 2.0}],
)
def test_reference_optima_are_critical_and_not_beaten(limits):
    objective = problem(**limits)
    found = reference_optimum(objective)
    assert found["grad_norm"] < 1e-8
    assert found["length"] <= limits.get("max_length", np.inf) * (1 + 1e-9)
    for method in ("agd", "gdnp"):
        assert ps.minimize(objective, method, max_iter=3000).fun >= found["fun"] - 1e-10


@pytest.mark.parametrize("method", ["gd", "agd", "wn", "bn"])
def test_tuning_rewards_no_unstable_step(method):
    objective = problem()
    starts = [random_start(objective, k) for k in (7, 8)]
    reference = reference_optimum(objective)["fun"]
    end = tune(objective, method, starts, 3.0, 40, reference=reference)
    assert end["stable"]
    scores = [score for *_, score in end["attempts"]]
    chosen = next(
        s for f, g, s in end["attempts"]
        if f == end["factor"] and g == (end["length_factor"] or 1.0)
    )  # fmt: skip
    assert chosen <= min(scores) + 0.02
    assert np.isinf(scores).any(), "the grid reaches steps that are too long"
    for w0 in starts:
        fun = run_from(objective, method, w0, 3.0, 40, **end["steps"]).trace.fun
        assert (fun <= fun[0] + 1e-12).all()
        if method != "agd":
            assert (np.diff(fun[4:]) <= 1e-12).all()


def test_all_methods_start_from_the_same_weight():
    objective = problem()
    w0 = random_start(objective, 0)
    starts = [run_from(objective, m, w0, 5.0, 0).x for m in ("gd", "agd", "wn", "bn", "gdnp")]
    np.testing.assert_allclose(starts, [starts[0]] * 5, rtol=1e-12)


# --------------------------------------------------------------------------- verdicts, report


def test_verdicts_are_computed_from_rows(results):
    measured = {v.claim: v for v in verdicts(Rows.read(results))}
    assert measured["Theorem 3: every tanh unit takes the direction S^-1 u."].verdict == "holds"
    bound = next(v for claim, v in measured.items() if claim.startswith("Theorem 1"))
    assert bound.verdict == "holds"
    rows = Rows.read(results)
    for row in rows.stage("population"):
        row["outcome"]["worst_gap_ratio"] = 1.5
    broken = next(v for v in verdicts(rows) if v.claim.startswith("Theorem 1"))
    assert broken.verdict == "does not hold"
    rows.stage("population")[0]["outcome"]["worst_gap_ratio"] = 0.5
    partly = next(v for v in verdicts(rows) if v.claim.startswith("Theorem 1"))
    assert partly.verdict == "holds in part"


def test_without_rows_nothing_is_measured():
    assert {v.verdict for v in verdicts(Rows((), ()))} == {"not measured"}


def made_up(fun_by_run):
    """Rows of one problem with the given values of f, one start each; other methods stay at 1."""
    fun_by_run = {**{name: [1.0] for name in halfspaces.RUNS}, **fun_by_run}
    problem = {"data": "gaussian", "variant": "softplus"}
    spec = {"stage": "run", "problem": problem, "start": "length 1", "seed": 0}
    rows = [
        {"spec": {**spec, "run": name}, "outcome": {"fun": fun}} for name, fun in fun_by_run.items()
    ]
    reference = {"spec": {"stage": "reference", "problem": problem}, "outcome": {"fun": 0.0}}
    return Rows((reference, *rows), ())


def test_speed_counts_what_is_reached_for_good():
    touches = [1.0, 1e-9, 1.0, 0.1, 0.1]
    rows = made_up({"gd": [1.0, 0.5, 0.2, 0.1, 0.01], "bn": touches, "wn": [1.0, 0.1]})
    cell = ("gaussian", "softplus", "length 1")
    assert rows.best_known == {cell[:2]: 0.0}
    assert rows.speed(cell, "bn", "gd") == 1.0
    assert rows.speed(cell, "wn", "gd") == 3.0
    assert rows.speed(cell, "gd", "wn") == pytest.approx(1 / 3)
    assert rows.iterations_to(cell, "bn", 1e-8) == 1
    assert rows.iterations_to(cell, "gd", 1e-8) == np.inf
    np.testing.assert_array_equal(rows.median(cell, "wn"), [1.0, 0.1, 0.1, 0.1, 0.1])


class Page(HTMLParser):
    """What a page loads, links to, and calls its own."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.loads = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "a":
            self.links.append(values["href"])
        if tag in ("script", "link", "img", "iframe") or "src" in values:
            self.loads.append(tag)


def test_the_report_stands_alone_and_its_links_resolve(results):
    text = write_report(results).read_text()
    page = Page(text)
    assert page.loads == []
    assert len(page.ids) == len(set(page.ids))
    assert all(link[1:] in page.ids for link in page.links if link.startswith("#"))
    references = set(re.findall(r"url\(#([^)]+)\)|xlink:href=\"#([^\"]+)\"", text))
    assert {a or b for a, b in references} <= set(page.ids)
    for figure in ("overview", "population-gap", "runs-gaussian-softplus", "network"):
        assert figure in page.ids


@pytest.mark.parametrize("name", ["halfspaces", "network"])
def test_a_report_of_one_experiment(results, tmp_path, name):
    (tmp_path / f"{name}.jsonl").write_bytes((results / f"{name}.jsonl").read_bytes())
    assert "not measured" in write_report(tmp_path).read_text()


def test_a_report_of_nothing_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="polarstep reproduce --out"):
        write_report(tmp_path)


def test_only_the_preset_run_last_is_shown(results, tmp_path):
    lines = (results / "network.jsonl").read_text().splitlines()
    other = json.loads(lines[0])
    other["spec"]["preset"], other["key"] = "paper", "other"
    (tmp_path / "network.jsonl").write_text("\n".join([json.dumps(other), *lines]) + "\n")
    assert {row["spec"]["preset"] for row in Rows.read(tmp_path).network} == {"quick"}
