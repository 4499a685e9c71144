"""Verdicts on the network with one hidden layer follow from the rows by the rule beside them."""

import pytest

from made_rows import rows, training, verdict
from polarstep.experiments.claims import FAILS, HOLDS, PART, UNKNOWN
from polarstep.experiments.registry import EXPERIMENTS

UNITS = "Theorem 3"
SWEEPS = "further sweeps correct that"
IDLE = "the second gets length zero"

CASES = [
    (UNITS, HOLDS, [training(gaps=(0.0, 1e-20)), training("squared", gaps=(0.0, None))]),
    (UNITS, PART, [training(gaps=(0.0, 1e-5))]),
    (UNITS, FAILS, [training(gaps=(1e-3, 1e-3), slopes=(1e-2,))]),
    (UNITS, UNKNOWN, [training(stage="data")]),
    (SWEEPS, HOLDS, [training(slopes=(1e-2, 1e-5, 1e-8))]),
    (SWEEPS, FAILS, [training(slopes=(1e-2, 1e-5, 1e-5))]),
    (SWEEPS, UNKNOWN, [training("squared"), training(stage="data")]),
    (IDLE, HOLDS, [training("squared", idle=True)]),
    (IDLE, FAILS, [training("squared")]),
    (IDLE, UNKNOWN, [training("softplus", idle=True)]),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "expected", "made"), CASES, ids=range(len(CASES)))
def test_the_verdict_follows_its_rule(claim, expected, made):
    found = verdict(claim, *made)
    assert found.verdict == expected, (found.claim, found.numbers)


def test_every_verdict_is_tried_in_all_its_outcomes():
    outcomes = {}
    for claim, expected, _ in CASES:
        outcomes.setdefault(claim, set()).add(expected)
    for claim, seen in outcomes.items():
        assert {FAILS, UNKNOWN} < seen, claim
    assert len(outcomes) == len(EXPERIMENTS["network"].verdicts(rows().analyses["network"]))


def test_the_numbers_are_those_of_the_rows():
    found = verdict(SWEEPS, training(slopes=(3e-2, 2e-7)))
    assert "3.0e-02 after one sweep and 2.0e-07 after 2" in found.numbers
