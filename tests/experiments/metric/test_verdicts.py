"""Verdicts on metrics follow from the rows by the rule that the report prints."""

import pytest

from made_rows import attempts, metric, rows, verdict
from polarstep.experiments.metric.plan import BATCH
from polarstep.experiments.metric.verdicts import COVARIANCE
from polarstep.experiments.report.verdicts import verdicts

HOLDS, PART, FAILS, UNKNOWN = "holds", "holds in part", "does not hold", "not measured"
SGD, POLAR = COVARIANCE
EUCLIDEAN = ("euclidean, sgd", "euclidean, polar")


def both(**options):
    """The same options for the covariance metric with both direction rules."""
    return dict.fromkeys(COVARIANCE, options)


def euclidean(**options):
    """The same options for the Euclidean metric with both direction rules."""
    return dict.fromkeys(EUCLIDEAN, options)


def network(metric_rows, activation="relu"):
    return [row for row in metric_rows if row["spec"]["activation"] == activation]


FAST, SECONDS = (
    "A plain network in the metric of batch normalization needs no more steps",
    "no more time",
)
NEW = "On new images, too"
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
    (MATTERS, HOLDS, metric(euclidean(digits=0.01))),  # the Euclidean metric never reaches the loss
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


def test_a_verdict_without_rows_says_what_to_run_and_to_install():
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
    assert "Milliseconds per step: relu: SGD 1, batch" in seconds
    assert "SGD 0.5, batch" in verdict(WIDE, *made).numbers
    assert "relu, polar: 0.5 against 1, final loss 0.1 against 0.1" in (
        verdict(MATTERS, *made).numbers
    )
    assert "SGD 90, batch normalization 90" in verdict(ACCURATE, *made).numbers
    for row in made:
        if row["spec"]["method"] == "SGD" and row["spec"]["rate"] == 0.01:
            row["outcome"]["points"][-1]["accuracy"] = 0.95
    assert "at the rate where it is highest: relu: SGD 95" in verdict(ACCURATE, *made).numbers
