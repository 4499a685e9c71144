"""The training of networks by the recipes: rows of real runs, all of them tiny."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="networks need PyTorch")

from made_images import write_cifar10  # noqa: E402
from polarstep.experiments.data.images import images  # noqa: E402
from polarstep.experiments.metric import EXPERIMENT, plan  # noqa: E402
from polarstep.experiments.metric.training import schedule, shrunk  # noqa: E402
from polarstep.experiments.networks.architecture import ACTIVATIONS, LAYERS  # noqa: E402
from polarstep.experiments.records import Record  # noqa: E402
from polarstep.experiments.report.page import write_report  # noqa: E402
from polarstep.experiments.report.rows import Rows  # noqa: E402
from polarstep.experiments.running import run_stages  # noqa: E402
from polarstep.experiments.workers import Workers  # noqa: E402
from polarstep.nn import mlp  # noqa: E402
from small_runs import TINY as ALL_TINY  # noqa: E402
from small_runs import run_small  # noqa: E402

TINY = ALL_TINY["metric"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("metric")
    run_small("metric", folder)
    return folder


@pytest.fixture(scope="module")
def made(folder):
    return Rows.read(folder).of("metric")


def without_time(row):
    return {k: v for k, v in row["outcome"].items() if k != "seconds_per_step"}


def test_every_training_is_a_row(made):
    assert {(r["spec"]["activation"], r["spec"]["method"]) for r in made} == {
        (a, m) for a in ACTIVATIONS for m in plan.RECIPES
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


def test_recipes_start_from_the_same_weights_on_the_same_mini_batch(made):
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
    run_small("metric", folder)
    assert (folder / "metric.jsonl").read_bytes() == before


def test_the_same_seed_gives_the_same_rows_except_for_the_time(made, tmp_path):
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
    (spec, *_) = plan.stages(TINY, None)[0][1]([])
    return {**spec, **changes}


def test_a_training_that_explodes_is_stopped_and_has_no_score():
    outcome = EXPERIMENT.execute(spec_of(rate=1e6), None)
    assert outcome["status"] == "diverged"
    assert outcome["score"] is None
    assert len(outcome["points"]) < TINY.points


def test_sgd_agrees_with_steps_by_hand():
    """All steps are repeated by hand on one batch that holds all images."""
    spec = spec_of(rate=0.1, steps=4, points=4, batch=30, activation="tanh")
    assert spec["method"] == "SGD"
    outcome = EXPERIMENT.execute(spec, None)
    pictures = images(None, 30, 1)
    X, y = torch.from_numpy(pictures.X), torch.from_numpy(pictures.y)
    model = mlp([64, *[TINY.units] * 6, 10], "tanh", seed=0)
    velocity = [torch.zeros_like(p) for p in model.parameters()]
    losses = []
    for factor in (1.0, 1.0, 2 / 3, 1 / 3):  # the schedule of four steps
        loss = torch.nn.functional.cross_entropy(model(X), y)
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for p, v, g in zip(model.parameters(), velocity, gradients, strict=True):
                p -= 0.1 * factor * v.mul_(0.9).add_(g)
    assert [p["loss"] for p in outcome["points"]] == pytest.approx(losses, rel=1e-4)


def test_every_row_turns_by_the_scheduled_rate():
    """In the Euclidean metric, sgd turns every row by arctan of the scheduled rate."""
    spec = spec_of(method="euclidean, sgd", rate=0.01, steps=4, points=4, activation="tanh")
    points = EXPERIMENT.execute(spec, None)["points"]
    for point, factor in zip(points, (1.0, 1.0, 2 / 3, 1 / 3), strict=True):
        hidden = point["angles"][:-1]
        assert hidden == pytest.approx([math.atan(0.01 * factor)] * 6, rel=1e-2)


def test_the_rate_rises_and_falls_to_almost_nothing():
    factors = [schedule(t, 100) for t in range(100)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[5] == 1.0
    assert np.diff(factors[5:]) == pytest.approx([-1 / 95] * 94)
    assert schedule(0, 1) == 1.0


def test_small_images_are_means_of_blocks(tmp_path):
    X = torch.arange(2 * 3072.0).reshape(2, 3072)
    small = shrunk(X, 16)
    assert small.shape == (2, 3 * 16 * 16)
    picture = X[1].reshape(3, 32, 32)
    assert small[1].reshape(3, 16, 16)[2, 5, 7] == picture[2, 10:12, 14:16].mean()

    write_cifar10(tmp_path / "cifar-10-batches-py")
    outcome = EXPERIMENT.execute(spec_of(data="cifar10", side=4), tmp_path)
    assert (outcome["n"], outcome["d"]) == (30, 3 * 4 * 4)
