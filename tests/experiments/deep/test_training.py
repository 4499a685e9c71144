"""The training of deep networks: rows of real runs, all of them tiny."""

import pytest

from polarstep.experiments.deep import EXPERIMENT, plan
from polarstep.experiments.networks.architecture import ACTIVATIONS
from polarstep.experiments.records import Record
from polarstep.experiments.report.page import write_report
from polarstep.experiments.report.rows import Rows
from polarstep.experiments.running import run_stages
from polarstep.experiments.workers import Workers
from small_runs import TINY as ALL_TINY
from small_runs import run_small

TINY = ALL_TINY["deep"]

pytest.importorskip("torch", reason="deep networks need PyTorch")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deep")
    run_small("deep", folder)
    return folder


@pytest.fixture(scope="module")
def made(folder):
    return Rows.read(folder).of("deep")


def of(made, stage):
    return [row for row in made if row["spec"]["stage"] == stage]


def test_every_training_is_a_row(made):
    tunings, runs = of(made, "tuning"), of(made, "run")
    assert len(tunings) == 6 * len(plan.RATES)
    tuned = plan.rate_sweeps(tunings)
    rates = {a: {tuned[a, n].best for n in plan.NORMALIZATIONS} for a in ACTIVATIONS}
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
    for activation in ACTIVATIONS:
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
    run_small("deep", folder)
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
