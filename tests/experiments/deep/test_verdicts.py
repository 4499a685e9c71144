"""Verdicts on deep networks follow from the rows by the rule that the report prints."""

import pytest

from made_rows import attempts, cell, deep, linear, rows, training_run, verdict
from polarstep.experiments.deep.verdicts import TOO_FEW_RUNS
from polarstep.experiments.registry import EXPERIMENTS

HOLDS, PART, FAILS, UNKNOWN = "holds", "holds in part", "does not hold", "not measured"


FASTER = "makes deep networks train faster"
LESS = "depend less on one another"
FALLS = "dependence between the layers falls over time"
DECOUPLING = "length-direction decoupling, rather"
CURVATURE = "change curvature and the dependence"
CARRIES = "carry over to deep"
WIDER = "widens the range of good learning rates"


def relu_and_tanh(relu, tanh, **options):
    """Rows with different options for the two activations."""
    return [
        *deep(relu, activations=["relu"], **options),
        *deep(tanh, activations=["tanh"], **options),
    ]


def ended(status, **place):
    """Rows in which all networks behave alike and all runs end with the same status."""
    return deep({}, status=status, **place)


QUICK, SLOW = {"digits": 0.2}, {"digits": 0.05}
LOW = {"cross": 0.5, "own": 1.0}
HIGH = {"cross": 2.0, "own": 1.0}
FALLING, RISING = {"late": {"cross": 0.4}}, {"late": {"cross": 3.0}}

# Fast networks have a low coupling, and high values of the other measures.
EXPLAINED = {
    "plain": {"cross": 2.0, "shift": 1.0, "gradient": 1.0, "roughness": 1.0, "digits": 0.05},
    "batch": {"cross": 1.0, "shift": 2.0, "gradient": 2.0, "roughness": 2.0, "digits": 0.2},
    "weight": {"cross": 1.5, "shift": 1.5, "gradient": 1.5, "roughness": 1.5, "digits": 0.1},
}
AS_WELL = {n: {**m, "roughness": m["cross"]} for n, m in EXPLAINED.items()}
NOT_LOWER = {**EXPLAINED, "weight": {**EXPLAINED["weight"], "cross": 2.5}}
HALFSPACES = cell({"gd": linear(0.05), "bn": linear(0.2)})
SLOW_HALFSPACES = cell({"gd": linear(0.2), "bn": linear(0.05)})

CHANGED = {"batch": {"cross": 9.0, "own": 3.0}, "weight": {"cross": 0.1, "own": 0.5}}
NO_RATIO = {"batch": {"cross": 3.0, "own": 3.0}, "weight": {"cross": 0.5, "own": 0.5}}

CASES = [
    (FASTER, HOLDS, deep({"batch": QUICK})),
    (FASTER, PART, relu_and_tanh({"batch": QUICK}, {"batch": SLOW})),
    (FASTER, FAILS, deep({"batch": SLOW})),
    (FASTER, FAILS, deep({})),
    (FASTER, UNKNOWN, NOTHING := [*cell({}), *attempts()]),
    (LESS, HOLDS, deep({"batch": LOW})),
    (LESS, PART, relu_and_tanh({"batch": LOW}, {"batch": HIGH})),
    (LESS, PART, deep({"batch": {"cross": 2.0, "late": {"cross": 0.1}}})),
    (LESS, FAILS, deep({"batch": HIGH})),
    (LESS, FAILS, deep({})),
    (LESS, UNKNOWN, NOTHING),
    (LESS, UNKNOWN, ended("diverged")),
    (FALLS, HOLDS, deep({"batch": FALLING})),
    (FALLS, PART, deep({"batch": FALLING, "plain": FALLING})),  # it falls in both networks
    (FALLS, PART, deep({"batch": RISING, "plain": {"cross": 9.0}})),
    (FALLS, PART, relu_and_tanh({"batch": FALLING}, {"batch": RISING, "plain": FALLING})),
    (FALLS, FAILS, deep({"batch": RISING, "plain": FALLING})),
    (FALLS, UNKNOWN, NOTHING),
    (DECOUPLING, HOLDS, [*HALFSPACES, *deep(EXPLAINED)]),
    (DECOUPLING, PART, deep(EXPLAINED)),
    (DECOUPLING, PART, HALFSPACES),
    (DECOUPLING, PART, [*HALFSPACES, *deep(AS_WELL)]),
    (DECOUPLING, PART, [*HALFSPACES, *deep(NOT_LOWER)]),
    (DECOUPLING, PART, [*SLOW_HALFSPACES, *deep(EXPLAINED)]),
    (DECOUPLING, FAILS, deep(AS_WELL)),
    (DECOUPLING, FAILS, deep(NOT_LOWER)),
    (DECOUPLING, FAILS, [*SLOW_HALFSPACES, *deep(AS_WELL)]),
    (DECOUPLING, UNKNOWN, NOTHING[-1:]),
    (DECOUPLING, UNKNOWN, deep({})),  # all runs are alike, so they have no ranks
    (CURVATURE, HOLDS, deep(CHANGED)),
    (CURVATURE, PART, deep(NO_RATIO)),
    (CURVATURE, PART, relu_and_tanh(CHANGED, {})),
    (CURVATURE, FAILS, deep({})),
    (CURVATURE, UNKNOWN, NOTHING),
    (CARRIES, HOLDS, deep({"batch": {**QUICK, **LOW}}, data="cifar10")),
    (CARRIES, PART, deep({"batch": {**QUICK, **LOW}})),  # on smaller images
    (CARRIES, PART, relu_and_tanh({"batch": {**QUICK, **LOW}}, {"batch": LOW}, data="cifar10")),
    (CARRIES, FAILS, deep({"batch": {**QUICK, **HIGH}}, data="cifar10")),
    (CARRIES, FAILS, deep({"batch": {**SLOW, **LOW}}, data="cifar10")),
    (CARRIES, UNKNOWN, NOTHING),
    (CARRIES, UNKNOWN, ended("diverged")),
    (WIDER, HOLDS, deep({})),
    (WIDER, PART, deep({}, good={"weight": 2})),
    (WIDER, FAILS, deep({}, good={"plain": 4})),
    (WIDER, UNKNOWN, NOTHING),
    (WIDER, UNKNOWN, attempts(normalization="batch")),
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
    of_deep = EXPERIMENTS["deep"].verdicts(rows().analyses["deep"])
    assert len(of_deep) == len(outcomes)


def test_a_verdict_without_rows_says_what_to_run_and_to_install():
    found = verdict(FASTER)
    assert found.verdict == UNKNOWN
    assert "polarstep reproduce deep" in found.numbers
    assert "pip install 'polarstep[reproduce,torch]'" in found.numbers


def test_the_numbers_are_those_of_the_rows():
    assert (
        "relu: batch 2, weight 1; tanh: batch 2" in verdict(FASTER, *deep({"batch": QUICK})).numbers
    )
    low = verdict(LESS, *deep({"batch": {"cross": 0.25}})).numbers
    assert "relu batch: early 0.25, late 0.25, loss 0.25, rate 0.25" in low
    assert "batch 1 to 0.4, plain 1 to 1" in verdict(FALLS, *deep({"batch": FALLING})).numbers
    explained = verdict(DECOUPLING, *deep(EXPLAINED)).numbers
    assert "16 of 16 comparisons" in explained
    assert "coupling +1.00, covariate shift -1.00" in explained
    assert "relu batch: own block 3, 3; cross blocks 9, 9; cross over own 3, 3" in (
        verdict(CURVATURE, *deep(CHANGED)).numbers
    )
    assert "relu plain 0.5; relu batch 1; relu weight 0.75" in verdict(WIDER, *deep({})).numbers


def test_a_single_run_cannot_be_compared():
    for claim in (FASTER, LESS, FALLS, CURVATURE, CARRIES):
        found = verdict(claim, *attempts(), training_run())
        assert found.verdict == UNKNOWN
        assert found.numbers == TOO_FEW_RUNS
    assert TOO_FEW_RUNS in verdict(DECOUPLING, *attempts(), training_run()).numbers
