"""Batch normalization's metric without batch normalization: what is run, and how it is trained."""

import json
import math
import sys

import numpy as np
import pytest

from made_images import write_cifar10
from made_rows import metric as made_metric
from made_rows import one_training
from polarstep.experiments.deep.plan import ACTIVATIONS, LAYERS
from polarstep.experiments.metric import EXPERIMENT
from polarstep.experiments.metric import plan as metric
from polarstep.experiments.metric.sizes import SIZES
from polarstep.experiments.records import Record, key
from polarstep.experiments.report.page import write_report
from polarstep.experiments.report.rows import Rows
from polarstep.experiments.running import run_stages
from polarstep.experiments.workers import Workers
from small_runs import TINY as ALL_TINY

TINY = ALL_TINY["metric"]

torch = pytest.importorskip("torch", reason="networks need PyTorch")


def go(folder, n_jobs=1):
    stages = metric.stages(TINY, None)
    with Workers(n_jobs) as workers:
        return run_stages(
            stages, EXPERIMENT.execute, Record(folder, "metric"), "quick", None, workers
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("metric")
    go(folder)
    return folder


@pytest.fixture(scope="module")
def made(folder):
    return Rows.read(folder).of("metric")


def without_time(row):
    return {k: v for k, v in row["outcome"].items() if k != "seconds_per_step"}


# --------------------------------------------------------------------------- what is run


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("seeds", [None, 4])
def test_every_method_is_tried_over_its_range_with_every_seed(name, seeds):
    preset = SIZES[name]
    (_, first), *_ = metric.stages(preset, None, seeds)
    specs = first([])
    n_seeds = seeds or preset.seeds
    n_rates = 1.5 * preset.rates_per_decade + 1
    assert len(specs) == 2 * len(metric.METHODS) * n_rates * n_seeds
    assert {spec["seed"] for spec in specs} == set(range(n_seeds))
    assert len({key(spec) for spec in specs}) == len(specs)
    assert json.loads(json.dumps(specs)) == specs
    for method in metric.METHODS:
        rates = sorted({spec["rate"] for spec in specs if spec["method"] == method})
        assert math.log10(rates[-1] / rates[0]) == pytest.approx(1.5, abs=0.01)


def test_ranges_of_one_optimizer_and_of_both_presets_begin_together():
    for method, other in [("SGD", "batch normalization"), ("covariance, sgd", "euclidean, polar")]:
        assert metric.first_rates(method, 4) == metric.first_rates(other, 4)
        assert set(metric.first_rates(method, 2)) < set(metric.first_rates(method, 4))


def test_methods_of_length_direction_say_metric_and_direction_and_nothing_else():
    for name, method in metric.METHODS.items():
        if method.optimizer == "LengthDirection":
            assert ", ".join(method.options.values()) == name
            assert method.normalization is None


def test_images_and_their_pixels_are_part_of_what_identifies_a_run(tmp_path):
    write_cifar10(tmp_path / "cifar10" / "cifar-10-batches-py")
    for folder, data, side in ((None, "digits", None), (tmp_path, "cifar10", TINY.side)):
        specs = metric.stages(TINY, folder)[0][1]([])
        assert {(spec["data"], spec["side"]) for spec in specs} == {(data, side)}


def test_without_torch_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModuleNotFoundError, match="polarstep reproduce metric needs PyTorch"):
        metric.stages(TINY, None)


# --------------------------------------------------------------------------- sweeps


def sweep_of(scores, method="SGD", seeds=1):
    """The sweep of one method by its scores, others scoring 0.1; it starts at 2."""
    rows = [r for r in made_metric(seeds=seeds) if r["spec"]["method"] != method]
    rows += [
        one_training("relu", method, rate, seed, score=score)
        for rate, score in scores.items()
        for seed in range(seeds)
    ]
    return metric.sweeps(rows)["relu", method]


def test_the_best_rate_has_the_lowest_score_and_ties_go_to_the_smaller():
    assert sweep_of({0.01: 1.0, 0.0316: 0.5, 0.1: 0.4, 0.316: 0.5}).best == 0.1
    assert sweep_of({0.01: 1.0, 0.0316: 0.4, 0.1: 0.4, 0.316: None}).best == 0.0316


def test_good_rates_are_within_a_tenth_of_the_way_from_the_best_method_to_the_start():
    found = sweep_of({0.01: 1.0, 0.0316: 0.5, 0.1: 0.68, 0.316: 0.70})
    assert found.tolerance == pytest.approx(0.1 * (2 - 0.1))
    assert found.good == [0.0316, 0.1]
    assert found.decades == 1.0
    assert found.beyond == []


def test_a_range_goes_on_where_its_end_is_good():
    assert sweep_of({0.01: 0.5, 0.0316: 0.5, 0.1: 1.0, 0.316: 1.0}).beyond == [0.00316]
    assert sweep_of({0.01: 1.0, 0.0316: 1.0, 0.1: 0.5, 0.316: 0.5}).beyond == [1.0]
    longer = {0.01: 1.0, 0.0316: 1.0, 0.1: 0.5, 0.316: 0.5, 1.0: 0.5}
    assert sweep_of(longer).beyond == [3.16]
    assert sweep_of(longer | {3.16: 1.9}).beyond == []


def test_where_every_rate_diverged_none_is_good():
    found = sweep_of(dict.fromkeys((0.01, 0.0316, 0.1, 0.316)))
    assert (found.good, found.decades, found.beyond) == ([], 0, [])
    assert found.best == 0.01


def test_a_seed_that_diverged_spoils_its_rate_and_a_seed_that_is_missing_leaves_it_out():
    rows = made_metric(seeds=2)
    two = [one_training("relu", "SGD", 1.0, seed, score=s) for seed, s in ((0, 0.1), (1, None))]
    assert metric.sweeps([*rows, *two])["relu", "SGD"].scores[-1] == np.inf
    assert 1.0 not in metric.sweeps([*rows, two[0]])["relu", "SGD"].rates


def test_a_method_that_was_not_tried_at_all_rates_has_no_sweep():
    rows = [r for r in made_metric() if (r["spec"]["method"], r["spec"]["rate"]) != ("SGD", 0.1)]
    assert ("relu", "SGD") not in metric.sweeps(rows)
    assert ("relu", "AdamW") in metric.sweeps(rows)


def test_later_stages_ask_for_the_rates_beyond_and_for_nothing_twice():
    _, (_, further), _ = metric.stages(TINY, None)
    specs = further(made_metric({"AdamW": {"good": 4}}))
    assert {(s["method"], s["rate"]) for s in specs} == {("AdamW", 0.000316), ("AdamW", 0.1)}
    assert further(made_metric()) == []


# --------------------------------------------------------------------------- training


def test_every_training_is_a_row(made):
    assert {(r["spec"]["activation"], r["spec"]["method"]) for r in made} == {
        (a, m) for a in ACTIVATIONS for m in metric.METHODS
    }
    for row in made:
        outcome = row["outcome"]
        assert outcome["n"] == TINY.samples
        assert outcome["d"] == 64
        assert outcome["seconds_per_step"] > 0
        if outcome["status"] == "diverged":
            assert outcome["score"] is None
            continue
        assert [point["steps"] for point in outcome["points"]] == [[0, 3], [3, 6]]
        for point in outcome["points"]:
            assert len(point["angles"]) == len(LAYERS)
            assert 0 <= point["accuracy"] <= 1
    assert any(row["outcome"]["status"] == "finished" for row in made)


def test_methods_start_from_the_same_weights_on_the_same_mini_batch(made):
    for activation in ACTIVATIONS:
        starts = {
            row["outcome"]["start"]
            for row in made
            if row["spec"]["activation"] == activation
            and row["spec"]["method"] != "batch normalization"
        }
        assert max(starts) == pytest.approx(min(starts), rel=1e-5)


def test_resuming_runs_nothing_again(folder, made):
    before = (folder / "metric.jsonl").read_bytes()
    go(folder)
    assert (folder / "metric.jsonl").read_bytes() == before


def test_the_same_seed_gives_the_same_rows_but_for_the_time(made, tmp_path):
    chosen = [r for r in made if r["spec"]["rate"] == 0.1 and r["spec"]["activation"] == "relu"]
    stages = [("some", lambda rows: [row["spec"] for row in chosen])]
    with Workers(1) as workers:
        again = run_stages(
            stages, EXPERIMENT.execute, Record(tmp_path, "metric"), "quick", None, workers
        )
    assert len(again) >= 4
    assert [without_time(row) for row in again] == [without_time(row) for row in chosen]


def test_rows_of_real_runs_make_a_report(folder):
    text = write_report(folder).read_text()
    for figure in ("metric-training", "metric-rates", "metric-angles"):
        assert f'<figure id="{figure}">' in text


def spec_of(**changes):
    (spec, *_) = metric.stages(TINY, None)[0][1]([])
    return {**spec, **changes}


def test_a_training_that_explodes_is_stopped_and_has_no_score():
    outcome = EXPERIMENT.execute(spec_of(rate=1e6), None)
    assert outcome["status"] == "diverged"
    assert outcome["score"] is None
    assert len(outcome["points"]) < TINY.points


def test_sgd_is_torchs_with_the_schedule():
    """Two steps by hand on one batch that holds all images."""
    from polarstep.experiments.data.images import images
    from polarstep.nn import mlp

    spec = spec_of(rate=0.1, steps=4, points=4, batch=30, activation="tanh")
    assert spec["method"] == "SGD"
    outcome = EXPERIMENT.execute(spec, None)
    pictures = images(None, 30, 1)
    X, y = torch.from_numpy(pictures.X), torch.from_numpy(pictures.y)
    model = mlp([64, *[TINY.units] * 6, 10], "tanh", seed=0)
    velocity = [torch.zeros_like(p) for p in model.parameters()]
    losses = []
    for factor in (1.0, 1.0, 2 / 3, 1 / 3):  # up in one step, then down to zero
        loss = torch.nn.functional.cross_entropy(model(X), y)
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for p, v, g in zip(model.parameters(), velocity, gradients, strict=True):
                p -= 0.1 * factor * v.mul_(0.9).add_(g)
    assert [p["loss"] for p in outcome["points"]] == pytest.approx(losses, rel=1e-4)


def test_rows_turn_by_the_rate_where_every_row_does():
    """Of "euclidean, sgd" the angle of a step is arctan of the scheduled rate."""
    spec = spec_of(method="euclidean, sgd", rate=0.01, steps=4, points=4, activation="tanh")
    points = EXPERIMENT.execute(spec, None)["points"]
    for point, factor in zip(points, (1.0, 1.0, 2 / 3, 1 / 3), strict=True):
        hidden = point["angles"][:-1]
        assert hidden == pytest.approx([math.atan(0.01 * factor)] * 6, rel=1e-2)


def test_the_rate_rises_and_falls_to_almost_nothing():
    from polarstep.experiments.metric.training import schedule

    factors = [schedule(t, 100) for t in range(100)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[5] == 1.0
    assert np.diff(factors[5:]) == pytest.approx([-1 / 95] * 94)
    assert schedule(0, 1) == 1.0


def test_small_pictures_are_means_of_blocks(tmp_path):
    from polarstep.experiments.metric.training import shrunk

    X = torch.arange(2 * 3072.0).reshape(2, 3072)
    small = shrunk(X, 16)
    assert small.shape == (2, 3 * 16 * 16)
    picture = X[1].reshape(3, 32, 32)
    assert small[1].reshape(3, 16, 16)[2, 5, 7] == picture[2, 10:12, 14:16].mean()

    write_cifar10(tmp_path / "cifar-10-batches-py")
    outcome = EXPERIMENT.execute(spec_of(data="cifar10", side=4), tmp_path)
    assert (outcome["n"], outcome["d"]) == (30, 3 * 4 * 4)
