"""The analysis of the rows on metrics: curves, ratios of steps, rates, and accuracies."""

import numpy as np
import pytest

from made_rows import STEPS, metric, one_training
from polarstep.experiments.metric.analysis import Analysis
from polarstep.experiments.metric.plan import BATCH
from polarstep.experiments.metric.verdicts import COVARIANCE

SGD, POLAR = COVARIANCE
ALL_DIVERGED = {BATCH: {"status": "diverged"}}


def test_steps_to_a_loss_are_interpolated_and_the_median_over_seeds():
    made = metric(seeds=3)
    for row in made:
        if row["spec"]["method"] == POLAR and row["spec"]["seed"] == 1:
            row["outcome"]["points"] = one_training(digits=0.125)["outcome"]["points"]
        if row["spec"]["method"] == POLAR and row["spec"]["seed"] == 2:
            row["outcome"]["points"] = one_training(digits=0.2)["outcome"]["points"]
    found = Analysis(tuple(made))
    assert found.steps_ratio(("relu", POLAR)) == pytest.approx(0.8)
    assert found.steps_ratio(("relu", "SGD")) == pytest.approx(1.0)
    assert found.steps_ratio(("relu", BATCH), POLAR) == pytest.approx(1.25)


def test_a_validation_loss_that_is_not_finite_is_neither_a_target_nor_reached():
    made = metric()
    for row in made:
        if row["spec"]["method"] == (BATCH if row["spec"]["activation"] == "relu" else "SGD"):
            for point in row["outcome"]["points"]:
                point["validation_loss"] = None
    found = Analysis(tuple(made))
    assert np.isnan(found.steps_ratio(("relu", "SGD"), field="validation_loss"))
    assert np.isinf(found.steps_ratio(("tanh", "SGD"), field="validation_loss"))
    assert found.steps_ratio(("relu", "SGD")) == pytest.approx(1.0)


def test_losses_belong_to_the_middle_of_their_steps_and_accuracies_to_the_end():
    found = Analysis(tuple(metric(seeds=2)))
    t, loss = found.curves(("relu", "SGD"), "loss")
    assert t.tolist() == [2, 6, 10, 14, 18]
    assert loss == pytest.approx(np.tile(2.0 * 10 ** (-0.1 * t), (2, 1)))
    t, accuracy = found.curves(("relu", "SGD"), "accuracy")
    assert t.tolist() == [4, 8, 12, 16, STEPS]
    assert (accuracy == 0.9).all()


def test_a_training_that_diverged_ends_early_with_accuracy_zero():
    made = metric(seeds=2)
    for row in made:
        if row["spec"]["seed"] == 1 and row["spec"]["method"] == "SGD":
            row["outcome"] |= {"status": "diverged", "points": row["outcome"]["points"][:1]}
    found = Analysis(tuple(made))
    _, loss = found.curves(("relu", "SGD"), "loss")
    assert np.isnan(loss).sum(axis=1).tolist() == [0, 4]
    assert found.accuracy(("relu", "SGD")) == pytest.approx(0.45)
    assert found.diverged == 2 * 4


def test_seconds_are_the_median_over_all_rates():
    made = metric()
    for row in made:
        row["outcome"]["seconds_per_step"] = row["spec"]["rate"]
    assert Analysis(tuple(made)).seconds_per_step(("relu", "SGD")) == pytest.approx(
        (0.0316 + 0.1) / 2
    )


def test_decades_as_good_as_another_recipe_use_its_limit():
    """Good scores are 0.1 and 0.2, bad ones 1.5; the tolerance is 0.19."""
    found = Analysis(tuple(metric({SGD: {"good": 3}, POLAR: {"score": 0.3}})))
    assert found.decades_as_good(("relu", SGD)) == 1.5
    assert found.decades_as_good(("relu", POLAR)) == 0.0
    assert found.decades_as_good(("relu", "AdamW")) == 0.5
    assert found.decades_as_good(("relu", BATCH), POLAR) == 0.5
    assert np.isnan(Analysis(tuple(metric(ALL_DIVERGED))).decades_as_good(("relu", SGD)))


def test_the_best_accuracy_may_be_at_another_rate_than_the_tuned_one():
    made = metric()
    for row in made:
        if row["spec"]["method"] == "SGD" and row["spec"]["rate"] == 0.01:
            row["outcome"]["points"][-1]["accuracy"] = 0.95
    found = Analysis(tuple(made))
    assert found.accuracy(("relu", "SGD")) == 0.9
    assert found.accuracy(("relu", "SGD"), 0.01) == found.best_accuracy(("relu", "SGD")) == 0.95


def test_rows_of_other_images_are_left_out():
    found = Analysis((*metric(), *metric({"SGD": {"good": 2}}, data="cifar10")))
    assert {row["spec"]["data"] for row in found.rows} == {"cifar10"}
    assert found.sweeps["tanh", "SGD"].decades == 1.0
