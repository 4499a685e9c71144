"""Verdicts on metrics follow from the rows by the rule that stands beside them."""

import numpy as np
import pytest

from made_rows import STEPS, attempts, metric, one_training, rows
from polarstep.experiments.metric.analysis import Metrics
from polarstep.experiments.metric.plan import BATCH, METHODS
from polarstep.experiments.metric.verdicts import COVARIANCE
from polarstep.experiments.report.verdicts import verdicts

HOLDS, PART, FAILS, UNKNOWN = "holds", "holds in part", "does not hold", "not measured"
SGD, POLAR = COVARIANCE
EUCLIDEAN = ("euclidean, sgd", "euclidean, polar")


def verdict(claim, *made):
    """The verdict on the one claim that has these words."""
    (found,) = [v for v in verdicts(rows(*made)) if claim in v.claim]
    return found


def both(**options):
    """The same options in the metric covariance, with both direction rules."""
    return dict.fromkeys(COVARIANCE, options)


def euclidean(**options):
    """The same in the Euclidean metric."""
    return dict.fromkeys(EUCLIDEAN, options)


def network(metric_rows, activation="relu"):
    return [row for row in metric_rows if row["spec"]["activation"] == activation]


FAST, SECONDS = "trains as fast as with it", "second for second"
NEW = "as fast on new images"
WIDE, MATTERS, ACCURATE = "as wide a range", "is what matters", "classifies new images"
NOTHING = attempts()
ALL_DIVERGED = {BATCH: {"status": "diverged"}}

CASES = [
    (FAST, HOLDS, metric()),
    (FAST, HOLDS, metric(both(digits=0.2))),
    (FAST, PART, metric({SGD: {"digits": 0.05}})),
    (FAST, PART, [*network(metric()), *network(metric(both(digits=0.05)), "tanh")]),
    (FAST, FAILS, metric(both(digits=0.05))),
    (FAST, FAILS, metric(both(digits=0.09))),  # at 1.11 of the steps
    (FAST, FAILS, metric(both(status="diverged"))),
    (FAST, UNKNOWN, NOTHING),
    (FAST, UNKNOWN, metric(ALL_DIVERGED)),
    (NEW, HOLDS, metric(both(digits=0.01))),
    (NEW, HOLDS, metric(both(validation_digits=0.2))),
    (NEW, PART, metric({POLAR: {"validation_digits": 0.05}})),
    (NEW, FAILS, metric(both(digits=0.2, validation_digits=0.05))),
    (NEW, UNKNOWN, NOTHING),
    (NEW, UNKNOWN, metric(ALL_DIVERGED)),
    (SECONDS, HOLDS, metric()),
    (SECONDS, HOLDS, metric(both(digits=0.3, seconds=0.002))),
    (SECONDS, PART, metric({POLAR: {"seconds": 0.002}})),
    (SECONDS, FAILS, metric(both(seconds=0.002))),
    (SECONDS, UNKNOWN, NOTHING),
    (WIDE, HOLDS, metric()),
    (WIDE, HOLDS, metric({BATCH: {"good": 2}, **both(good=3)})),
    (WIDE, PART, metric({BATCH: {"good": 2}, SGD: {"good": 2}})),
    (WIDE, FAILS, metric({BATCH: {"good": 2}})),
    (WIDE, FAILS, metric(both(status="diverged"))),
    (WIDE, UNKNOWN, NOTHING),
    (MATTERS, HOLDS, metric(both(digits=0.2))),
    (MATTERS, HOLDS, metric(euclidean(digits=0.01))),  # which never get there
    (MATTERS, PART, metric({SGD: {"digits": 0.2}})),
    (MATTERS, FAILS, metric()),
    (MATTERS, FAILS, metric(both(digits=0.01))),
    (MATTERS, FAILS, metric(both(digits=0.01) | euclidean(digits=0.01))),
    (MATTERS, UNKNOWN, NOTHING),
    (MATTERS, UNKNOWN, metric(ALL_DIVERGED)),
    (ACCURATE, HOLDS, metric(both(accuracy=0.895))),
    (ACCURATE, PART, metric({SGD: {"accuracy": 0.8}})),
    (ACCURATE, FAILS, metric(both(accuracy=0.88))),
    (ACCURATE, FAILS, metric(both(status="diverged"))),
    (ACCURATE, UNKNOWN, NOTHING),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "expected", "made"), CASES, ids=range(len(CASES)))
def test_the_verdict_follows_its_rule(claim, expected, made):
    found = verdict(claim, *made)
    assert found.verdict == expected, (found.claim, found.numbers)
    assert found.numbers.endswith(".")
    assert "nan" not in found.numbers


def test_every_verdict_is_tried_in_all_its_outcomes():
    outcomes = {}
    for claim, expected, _ in CASES:
        outcomes.setdefault(claim, set()).add(expected)
    assert all(seen == {HOLDS, PART, FAILS, UNKNOWN} for seen in outcomes.values())
    assert len([v for v in verdicts(rows()) if v.group.name == "Metric"]) == len(outcomes)


def test_what_is_not_measured_says_what_to_run_and_to_install():
    found = verdict(FAST)
    assert found.verdict == UNKNOWN
    assert "polarstep reproduce metric" in found.numbers
    assert "pip install 'polarstep[reproduce,torch]'" in found.numbers


def test_the_numbers_are_those_of_the_rows():
    made = metric({POLAR: {"digits": 0.2, "seconds": 0.002}, "SGD": {"digits": 0.02}})
    steps = verdict(FAST, *made).numbers
    assert "relu: SGD never, batch normalization 1, weight normalization 1" in steps
    assert "covariance + polar 0.5" in steps
    seconds = verdict(SECONDS, *made).numbers
    assert "covariance + polar 1." in seconds
    assert "Milliseconds for a step. relu: SGD 1, batch" in seconds
    assert "SGD 0.5, batch" in verdict(WIDE, *made).numbers
    assert "relu, polar: 0.5 against 1, loss at the end 0.1 against 0.1" in (
        verdict(MATTERS, *made).numbers
    )
    assert "SGD 90, batch normalization 90" in verdict(ACCURATE, *made).numbers


# --------------------------------------------------------------------------- what is read


def test_steps_to_a_loss_are_interpolated_and_the_median_over_seeds():
    made = metric(seeds=3)
    for row in made:
        if row["spec"]["method"] == POLAR and row["spec"]["seed"] == 1:
            row["outcome"]["points"] = one_training(digits=0.125)["outcome"]["points"]
        if row["spec"]["method"] == POLAR and row["spec"]["seed"] == 2:
            row["outcome"]["points"] = one_training(digits=0.2)["outcome"]["points"]
    found = Metrics(tuple(made))
    assert found.steps_ratio(("relu", POLAR)) == pytest.approx(0.8)
    assert found.steps_ratio(("relu", "SGD")) == pytest.approx(1.0)
    assert found.steps_ratio(("relu", BATCH), POLAR) == pytest.approx(1.25)


def test_a_validation_loss_that_is_not_finite_is_no_target_and_is_not_reached():
    made = metric()
    for row in made:
        if row["spec"]["method"] == (BATCH if row["spec"]["activation"] == "relu" else "SGD"):
            for point in row["outcome"]["points"]:
                point["validation_loss"] = None
    found = Metrics(tuple(made))
    assert np.isnan(found.steps_ratio(("relu", "SGD"), field="validation_loss"))
    assert np.isinf(found.steps_ratio(("tanh", "SGD"), field="validation_loss"))
    assert found.steps_ratio(("relu", "SGD")) == pytest.approx(1.0)


def test_curves_stand_at_the_middle_of_their_steps_and_accuracies_at_the_end():
    found = Metrics(tuple(metric(seeds=2)))
    t, loss = found.curves(("relu", "SGD"), "loss")
    assert t.tolist() == [2, 6, 10, 14, 18]
    assert loss == pytest.approx(np.tile(2.0 * 10 ** (-0.1 * t), (2, 1)))
    t, accuracy = found.curves(("relu", "SGD"), "accuracy")
    assert t.tolist() == [4, 8, 12, 16, STEPS]
    assert (accuracy == 0.9).all()


def test_a_training_that_diverged_ends_early_and_counts_as_wrong():
    made = metric(seeds=2)
    for row in made:
        if row["spec"]["seed"] == 1 and row["spec"]["method"] == "SGD":
            row["outcome"] |= {"status": "diverged", "points": row["outcome"]["points"][:1]}
    found = Metrics(tuple(made))
    _, loss = found.curves(("relu", "SGD"), "loss")
    assert np.isnan(loss).sum(axis=1).tolist() == [0, 4]
    assert found.accuracy(("relu", "SGD")) == pytest.approx(0.45)
    assert found.diverged == 2 * 4


def test_seconds_are_the_median_over_all_rates():
    made = metric()
    for row in made:
        row["outcome"]["seconds_per_step"] = row["spec"]["rate"]
    assert Metrics(tuple(made)).seconds_per_step(("relu", "SGD")) == pytest.approx(
        (0.0316 + 0.1) / 2
    )


def test_what_is_as_good_as_another_method_is_counted_by_that_ones_limit():
    """Good scores are 0.1 and 0.2, bad ones 1.5; the tolerance is 0.19."""
    found = Metrics(tuple(metric({SGD: {"good": 3}, POLAR: {"score": 0.3}})))
    assert found.decades_as_good(("relu", SGD)) == 1.5
    assert found.decades_as_good(("relu", POLAR)) == 0.0
    assert found.decades_as_good(("relu", "AdamW")) == 0.5
    assert found.decades_as_good(("relu", BATCH), POLAR) == 0.5
    assert np.isnan(Metrics(tuple(metric(ALL_DIVERGED))).decades_as_good(("relu", SGD)))


def test_the_best_accuracy_may_be_at_another_rate_than_the_tuned_one():
    made = metric()
    for row in made:
        if row["spec"]["method"] == "SGD" and row["spec"]["rate"] == 0.01:
            row["outcome"]["points"][-1]["accuracy"] = 0.95
    found = Metrics(tuple(made))
    assert found.accuracy(("relu", "SGD")) == 0.9
    assert found.accuracy(("relu", "SGD"), 0.01) == found.best_accuracy(("relu", "SGD")) == 0.95
    assert (
        "At the rate where it is highest. relu: SGD 95, batch" in verdict(ACCURATE, *made).numbers
    )


def test_rows_of_other_images_are_left_out():
    found = Metrics((*metric(), *metric({"SGD": {"good": 2}}, data="cifar10")))
    assert {row["spec"]["data"] for row in found.rows} == {"cifar10"}
    assert found.sweeps["tanh", "SGD"].decades == 1.0


def test_every_method_has_a_line_and_a_name_of_its_own():
    from polarstep.experiments.metric.figures import _LINES, name

    assert _LINES.keys() == METHODS.keys()
    assert len({name(method) for method in METHODS}) == len(METHODS)
    assert len({tuple(sorted(line.items())) for line in _LINES.values()}) == len(METHODS)
