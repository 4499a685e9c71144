"""The plan of the experiment on deep networks: its runs, learning rates, and PyTorch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from polarstep.experiments.deep import plan
from polarstep.experiments.deep.sizes import SIZES
from polarstep.experiments.records import key
from small_runs import TINY as ALL_TINY

TINY = ALL_TINY["deep"]

pytest.importorskip("torch", reason="deep networks need PyTorch")
TESTS = str(Path(__file__).parents[2])


# --------------------------------------------------------------------------- runs


def specs_of(preset, data=None, seeds=None, best=None):
    """All specs, with an invented tuning in which every network has its own best rate."""
    best = best or {"plain": 0.1, "batch": 1.0, "weight": 0.316}
    (_, attempts), (_, runs) = plan.stages(preset, data, seeds)
    tunings = attempts([])
    rows = []
    for spec in tunings:
        score = 0.5 if spec["rate"] == best[spec["normalization"]] else 1.0
        rows.append({"spec": spec, "outcome": {"start": 2.0, "score": score}})
    return tunings, runs(rows)


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("seeds", [None, 4])
def test_every_network_runs_at_the_tuned_rate_of_each(name, seeds):
    preset = SIZES[name]
    tunings, runs = specs_of(preset, seeds=seeds)
    assert len(tunings) == 6 * len(plan.RATES)
    n_seeds = seeds or preset.seeds
    assert len(runs) == n_seeds * 2 * 9
    assert {spec["seed"] for spec in runs} == set(range(n_seeds))
    assert {spec["rate"] for spec in runs} == {0.1, 1.0, 0.316}
    assert {spec["seed"] for spec in tunings}.isdisjoint(spec["seed"] for spec in runs)
    assert len({key(spec) for spec in (*tunings, *runs)}) == len(tunings) + len(runs)
    assert json.loads(json.dumps(runs)) == runs
    for spec in (*tunings, *runs):
        assert spec["steps"] == preset.steps


def test_networks_with_the_same_tuned_rate_do_not_run_twice():
    _, runs = specs_of(TINY, best={"plain": 0.1, "batch": 1.0, "weight": 0.1})
    assert len(runs) == 2 * 2 * 3
    assert len({key(spec) for spec in runs}) == len(runs)


def test_only_runs_at_the_own_rate_are_measured_at_levels():
    _, runs = specs_of(TINY)
    best = {"plain": 0.1, "batch": 1.0, "weight": 0.316}
    for spec in runs:
        assert bool(spec["levels"]) == (spec["rate"] == best[spec["normalization"]])


def test_rates_are_quarters_of_decades():
    ratios = [b / a for a, b in zip(plan.RATES, plan.RATES[1:], strict=False)]
    assert ratios == pytest.approx([10**0.25] * 16, rel=0.01)
    assert (plan.RATES[0], plan.RATES[-1]) == (1e-3, 10)


@pytest.mark.parametrize("steps", [1, 4, 80, 400])
@pytest.mark.parametrize("points", [1, 2, 5, 11])
def test_points_begin_at_the_start_and_end_at_the_end(steps, points):
    _, runs = specs_of(TINY.__class__(**{**vars(TINY), "steps": steps, "points": points}))
    for spec in runs:
        at = spec["measured_at"]
        assert at == sorted(set(at))
        assert (at[0] == 0) == bool(spec["levels"])
        assert at[-1] in (1, steps)
        assert len(at) <= max(points, 2)


def test_images_are_part_of_what_identifies_a_run(tmp_path):
    (tmp_path / "cifar10" / "cifar-10-batches-py").mkdir(parents=True)
    (tmp_path / "cifar10" / "cifar-10-batches-py" / "data_batch_1").write_text("")
    for folder, data in ((None, "digits"), (tmp_path, "cifar10")):
        tunings, runs = specs_of(TINY, folder)
        assert {spec["data"] for spec in (*tunings, *runs)} == {data}


# --------------------------------------------------------------------------- learning rates


def sweep_of(scores, start=2.0):
    """The sweep of one network; rates that are not named score 1.9."""
    return plan.rate_sweeps(
        {
            "spec": {"stage": "tuning", "activation": "relu", "normalization": "plain", "rate": r},
            "outcome": {"score": scores.get(r, 1.9), "start": start},
        }
        for r in plan.RATES
    )["relu", "plain"]


def test_the_best_rate_has_the_lowest_score_and_ties_go_to_the_smaller():
    assert sweep_of({0.1: 0.5, 1.0: 0.4}).best == 0.1 * 10
    assert sweep_of({0.1: 0.5, 1.0: 0.5}).best == 0.1
    assert sweep_of({0.1: 0.5, 1.0: None}).best == 0.1


def test_good_rates_are_within_a_tenth_of_the_way_back_to_the_start():
    found = sweep_of({0.1: 0.5, 0.178: 0.64, 0.316: 0.65, 0.562: 0.66, 1.0: None})
    assert found.good == [0.1, 0.178, 0.316]
    assert found.decades == 0.75


def test_no_rate_is_good_if_every_rate_diverged():
    found = sweep_of(dict.fromkeys(plan.RATES))
    assert found.good == []
    assert found.decades == 0
    assert found.best == plan.RATES[0]


def test_a_network_that_was_not_tried_at_all_rates_has_no_sweep():
    row = {
        "spec": {"stage": "tuning", "activation": "relu", "normalization": "plain", "rate": 0.1},
        "outcome": {"score": 0.1, "start": 2.0},
    }
    assert plan.rate_sweeps([row]) == {}


# --------------------------------------------------------------------------- without PyTorch


def without_torch(*arguments):
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(name, *given):\n"
        "        if name.partition('.')[0] == 'torch':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        f"sys.meta_path.insert(0, Missing); sys.path.insert(0, {TESTS!r})\n"
        "import small_runs; from polarstep.cli import main;"
        "small_runs.make_small(); from polarstep.experiments.halfspaces import plan;"
        "plan.stages = lambda *given: []; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip


def test_without_torch_deep_says_what_to_install(tmp_path):
    done = without_torch("reproduce", "deep", "--out", tmp_path, "--jobs", 1)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "'torch'" in done.stderr
    assert "pip install 'polarstep[reproduce,torch]'" in done.stderr
    assert not list(tmp_path.glob("report.html"))


def test_without_torch_everything_else_runs_and_a_message_says_so(tmp_path):
    done = without_torch("reproduce", "all", "--out", tmp_path, "--jobs", 1)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("LEFT OUT: deep, metric") == 2  # at the start and at the end
    assert "pip install 'polarstep[reproduce,torch]'" in done.stderr
    assert (tmp_path / "network.jsonl").exists()
    assert not (tmp_path / "deep.jsonl").exists()
    assert not (tmp_path / "metric.jsonl").exists()
    assert "Run: polarstep reproduce deep" in (tmp_path / "report.html").read_text()
