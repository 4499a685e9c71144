"""Deep networks: what is run, how it is trained and measured, and what a missing PyTorch says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from polarstep.experiments.deep import EXPERIMENT
from polarstep.experiments.deep import plan as deep
from polarstep.experiments.deep.sizes import SIZES
from polarstep.experiments.records import Record, key
from polarstep.experiments.report.page import write_report
from polarstep.experiments.report.rows import Rows
from polarstep.experiments.running import run_stages
from polarstep.experiments.workers import Workers
from small_runs import TINY as ALL_TINY

TINY = ALL_TINY["deep"]

pytest.importorskip("torch", reason="deep networks need PyTorch")
TESTS = str(Path(__file__).parents[2])


def go(folder, n_jobs=1, seeds=None):
    stages = deep.stages(TINY, None, seeds)
    with Workers(n_jobs) as workers:
        return run_stages(
            stages, EXPERIMENT.execute, Record(folder, "deep"), "quick", None, workers
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deep")
    go(folder)
    return folder


@pytest.fixture(scope="module")
def made(folder):
    return Rows.read(folder).of("deep")


def of(made, stage):
    return [row for row in made if row["spec"]["stage"] == stage]


# --------------------------------------------------------------------------- what is run


def specs_of(preset, data=None, seeds=None, best=None):
    """All specs, the tunings invented: every network has its own best rate."""
    best = best or {"plain": 0.1, "batch": 1.0, "weight": 0.316}
    (_, attempts), (_, runs) = deep.stages(preset, data, seeds)
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
    assert len(tunings) == 6 * len(deep.RATES)
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


def test_levels_are_for_runs_at_the_own_rate():
    _, runs = specs_of(TINY)
    best = {"plain": 0.1, "batch": 1.0, "weight": 0.316}
    for spec in runs:
        assert bool(spec["levels"]) == (spec["rate"] == best[spec["normalization"]])


def test_rates_are_quarters_of_decades():
    ratios = [b / a for a, b in zip(deep.RATES, deep.RATES[1:], strict=False)]
    assert ratios == pytest.approx([10**0.25] * 16, rel=0.01)
    assert (deep.RATES[0], deep.RATES[-1]) == (1e-3, 10)


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


# --------------------------------------------------------------------------- tuning


def tuning(scores, start=2.0):
    """Rows of the tuning of one network; rates that are not named score 1.9."""
    return deep.tunings(
        {
            "spec": {"stage": "tuning", "activation": "relu", "normalization": "plain", "rate": r},
            "outcome": {"score": scores.get(r, 1.9), "start": start},
        }
        for r in deep.RATES
    )["relu", "plain"]


def test_the_best_rate_has_the_lowest_score_and_ties_go_to_the_smaller():
    assert tuning({0.1: 0.5, 1.0: 0.4}).best == 0.1 * 10
    assert tuning({0.1: 0.5, 1.0: 0.5}).best == 0.1
    assert tuning({0.1: 0.5, 1.0: None}).best == 0.1


def test_good_rates_are_within_a_tenth_of_the_way_back_to_the_start():
    found = tuning({0.1: 0.5, 0.178: 0.64, 0.316: 0.65, 0.562: 0.66, 1.0: None})
    assert found.good == [0.1, 0.178, 0.316]
    assert found.decades == 0.75


def test_where_every_rate_diverged_none_is_good():
    found = tuning(dict.fromkeys(deep.RATES))
    assert found.good == []
    assert found.decades == 0
    assert found.best == deep.RATES[0]


def test_a_network_that_was_not_tried_at_all_rates_is_not_tuned():
    row = {
        "spec": {"stage": "tuning", "activation": "relu", "normalization": "plain", "rate": 0.1},
        "outcome": {"score": 0.1, "start": 2.0},
    }
    assert deep.tunings([row]) == {}


def test_the_score_is_the_mean_over_the_last_steps():
    assert deep.score([9.0] * 95 + [1.0] * 4 + [2.0]) == pytest.approx(1.2)
    assert deep.score([3.0, 2.0]) == 2.0
    assert deep.score([1.0, float("nan")]) == float("inf")


# --------------------------------------------------------------------------- rows


def test_every_training_is_a_row(made):
    tunings, runs = of(made, "tuning"), of(made, "run")
    assert len(tunings) == 6 * len(deep.RATES)
    tuned = deep.tunings(tunings)
    rates = {a: {tuned[a, n].best for n in deep.NORMALIZATIONS} for a in deep.ACTIVATIONS}
    assert len(runs) == sum(3 * len(some) for some in rates.values())
    for row in runs:
        assert row["spec"]["rate"] in rates[row["spec"]["activation"]]
        assert row["outcome"]["n"] == TINY.samples
        assert "torch" in row["environment"]


def test_all_normalizations_start_from_the_same_weights_and_seeds_from_others(made):
    starts = {}
    for row in of(made, "run"):
        spec, outcome = row["spec"], row["outcome"]
        place = spec["activation"], spec["normalization"]
        starts.setdefault(place, set()).add(outcome["loss"][0])
    for activation in deep.ACTIVATIONS:
        (plain,), (weight,) = (starts[activation, n] for n in ("plain", "weight"))
        assert plain == pytest.approx(weight, rel=1e-5)
    tuned = {r["outcome"]["start"] for r in of(made, "tuning")}
    assert all(min(abs(t - s) for s in some for t in tuned) > 2e-5 for some in starts.values())


def test_runs_are_measured_where_they_should_be(made):
    for row in of(made, "run"):
        spec, outcome = row["spec"], row["outcome"]
        if outcome["status"] == "diverged":
            continue
        loss = outcome["loss"]
        assert len(loss) == spec["steps"] + 1
        first = {
            level: next((t for t, value in enumerate(loss) if value <= level), None)
            for level in spec["levels"]
        }
        expected = {*spec["measured_at"], *(t for t in first.values() if t is not None)}
        assert [p["iteration"] for p in outcome["points"]] == sorted(expected)
        for point in outcome["points"]:
            assert point["loss"] == loss[point["iteration"]]
            assert point["levels"] == [lv for lv, t in first.items() if t == point["iteration"]]


def test_measures_have_a_value_for_every_layer(made):
    for row in of(made, "run"):
        for point in row["outcome"]["points"]:
            for coordinates in ("weights", "directions"):
                assert len(point[coordinates]["raw"]) == len(point[coordinates]["sizes"]) == 7
                assert point[coordinates]["raw"][3] == point[coordinates]["own"]
            assert len(point["shift"]) == 6
            assert len(point["loss_roughness"]) == len(point["gradient_roughness"]) == 3


def test_resuming_runs_nothing_again(folder, made):
    before = (folder / "deep.jsonl").read_bytes()
    go(folder)
    assert (folder / "deep.jsonl").read_bytes() == before


def test_the_same_seed_gives_the_same_rows_on_any_number_of_processes(made, tmp_path):
    chosen = [made[0], *of(made, "run")[:3]]
    stages = [("some", lambda rows: [row["spec"] for row in chosen])]
    with Workers(2) as workers:
        again = run_stages(
            stages, EXPERIMENT.execute, Record(tmp_path, "deep"), "quick", None, workers
        )
    assert [row["outcome"] for row in again] == [row["outcome"] for row in chosen]


def test_rows_of_real_runs_make_a_report(folder):
    text = write_report(folder).read_text()
    for figure in ("deep-rates", "deep-training", "deep-controls", "deep-explanations"):
        assert f'<figure id="{figure}">' in text


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


def test_without_torch_everything_else_runs_and_deep_is_said_to_be_left_out(tmp_path):
    done = without_torch("reproduce", "all", "--out", tmp_path, "--jobs", 1)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("LEFT OUT: deep, metric") == 2  # at the start and at the end
    assert "pip install 'polarstep[reproduce,torch]'" in done.stderr
    assert (tmp_path / "network.jsonl").exists()
    assert not (tmp_path / "deep.jsonl").exists()
    assert not (tmp_path / "metric.jsonl").exists()
    assert "polarstep reproduce deep does that" in (tmp_path / "report.html").read_text()
