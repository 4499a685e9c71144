"""Verdicts on halfspaces follow from the rows by the rule beside them."""

import numpy as np
import pytest

from made_rows import cell, every_cell, linear, population, rows, verdict
from polarstep.experiments.claims import FAILS, HOLDS, PART, UNKNOWN
from polarstep.experiments.registry import EXPERIMENTS

LINEAR = "On Gaussian data the convergence is linear"
REAL = "also speeds up the real data"
CLOSE = "BN and WN come close"
ACCELERATES = "provably accelerate"
DECOUPLING = "length-direction decoupling, rather"
EXPONENTIAL = "exponential rates"
BOUND = "Theorem 1"
SAME = "does not depend on the loss"
PLATEAU = "stalls on the sigmoid's plateau"
FASTEST = "step 1.9/L is the fastest"
NOT_FASTEST = "gdnp is not the fastest"

CRAWL = np.geomspace(1, 0.5, 61)  # falls, and gets nowhere
BENT = 1 / (1 + np.arange(61.0)) ** 4.5  # gets below 1e-6, not in a straight line
FAST, MIDDLE, SLOW = linear(0.4, 60), linear(0.2, 60), linear(0.05, 60)


def on_gaussian(curves, **limits):
    return every_cell(curves, data=["gaussian"], **limits)


def on_real(curves, **limits):
    return every_cell(curves, data=["breast_cancer"], **limits)


def one_good(make, good, bad):
    """Return rows of two problems, a good one and a bad one."""
    return [
        *make(good, variants=["softplus"], starts=["length 1"]),
        *make(bad, variants=["softplus"], starts=["plateau"]),
    ]


def pair(kappa, of_gd, bound=(1.0, 0.1, 0.001)):
    """gdnp and gd at one condition number; gdnp ends at 1e-3."""
    return [
        population("sigmoid", kappa, grad_norm=(1.0, 0.1, 1e-3), bound=bound),
        population("sigmoid", kappa, method="gd", grad_norm=(1.0, 0.5, of_gd), bound=bound),
    ]


def losses(*ends, kappa=10):
    """Runs of different losses, told by where their gap ends."""
    names = ("softplus", "squared", "sigmoid")
    pairs = zip(names, ends, strict=False)
    return [population(name, kappa, gap=(1.0, 0.1, end)) for name, end in pairs]


def plateau(slow, tuned, variant="sigmoid, penalty"):
    return cell({"gd 1/smoothness": slow, "gd": tuned}, variant=variant, start="plateau")


def counts(late, soon, **others):
    """gdnp with step 1.9/L and agd."""
    return cell({"gdnp 1.9/L": late, "agd": soon, **others})


TOGETHER = {"gdnp": MIDDLE, "bn": MIDDLE, "wn": FAST}
EARLY = np.append(linear(1.0, 6), np.full(54, 1e-6))  # agd: at 1e-6 soon, and never at 1e-8

CASES = [
    (LINEAR, HOLDS, on_gaussian({"gdnp": MIDDLE})),
    (LINEAR, PART, one_good(on_gaussian, {"gdnp": MIDDLE}, {"gdnp": BENT})),
    (LINEAR, PART, one_good(on_gaussian, {"gdnp": MIDDLE}, {"gdnp": CRAWL})),
    (LINEAR, FAILS, on_gaussian({"gdnp": BENT})),
    (LINEAR, FAILS, on_gaussian({"gdnp": CRAWL})),
    (LINEAR, UNKNOWN, on_real({"gdnp": MIDDLE})),
    (REAL, HOLDS, on_real({"gdnp": MIDDLE, "gd": SLOW})),
    (REAL, PART, one_good(on_real, {"gdnp": MIDDLE, "gd": SLOW}, {"gdnp": SLOW, "gd": MIDDLE})),
    (REAL, FAILS, on_real({"gdnp": SLOW, "gd": MIDDLE})),
    (REAL, FAILS, on_real({"gdnp": SLOW, "gd": SLOW})),
    (REAL, UNKNOWN, on_gaussian({"gdnp": MIDDLE, "gd": SLOW})),
    (CLOSE, HOLDS, every_cell(TOGETHER)),
    (CLOSE, PART, [*on_gaussian(TOGETHER), *on_real({"gdnp": FAST})]),
    (CLOSE, FAILS, every_cell({"gdnp": MIDDLE, "bn": SLOW, "wn": MIDDLE})),
    (CLOSE, FAILS, every_cell({"gdnp": MIDDLE, "bn": MIDDLE, "wn": SLOW})),
    (CLOSE, UNKNOWN, NOTHING := [population()]),
    (ACCELERATES, HOLDS, [*pair(10, 0.5), *pair(100, 0.5)]),
    (ACCELERATES, HOLDS, [*pair(10, 0.5), *pair(100, 1e-3, bound=(1.0, 0.9, 0.8))]),
    (ACCELERATES, PART, [*pair(10, 0.5), *pair(100, 5e-3)]),
    (ACCELERATES, FAILS, [*pair(10, 1e-3), *pair(100, 5e-3)]),
    (ACCELERATES, UNKNOWN, pair(10, 0.5, bound=(1.0, 0.9, 0.8))),
    (ACCELERATES, UNKNOWN, pair(10, 0.5)[:1]),
    (ACCELERATES, UNKNOWN, pair(10, 0.5)[1:]),
    (DECOUPLING, PART, every_cell({"gd": SLOW, "bn": MIDDLE})),
    (DECOUPLING, PART, every_cell({"gd": SLOW, "wn": MIDDLE})),
    (DECOUPLING, FAILS, every_cell({"gd": MIDDLE, "bn": SLOW, "wn": MIDDLE})),
    (DECOUPLING, FAILS, [*on_gaussian({"gd": SLOW, "bn": MIDDLE}), *on_real({"gd": MIDDLE})]),
    (DECOUPLING, UNKNOWN, NOTHING),
    (EXPONENTIAL, HOLDS, [population("sigmoid"), population("normal_cdf", gradient_ratio=1.0)]),
    (EXPONENTIAL, HOLDS, [population("sigmoid"), population("softplus", gradient_ratio=2.0)]),
    (EXPONENTIAL, PART, [population("sigmoid"), population("normal_cdf", gradient_ratio=1.1)]),
    (EXPONENTIAL, FAILS, [population("sigmoid", gradient_ratio=1.1)]),
    (EXPONENTIAL, UNKNOWN, [population("softplus")]),
    (BOUND, HOLDS, [population("sigmoid", gap_ratio=1.0), population("softplus")]),
    (BOUND, PART, [population("sigmoid", gap_ratio=1.01), population("softplus")]),
    (BOUND, FAILS, [population("sigmoid", gap_ratio=1.01)]),
    (BOUND, UNKNOWN, [population("sigmoid", method="gd")]),
    (SAME, HOLDS, losses(0.01, 0.01, 0.01)),
    (SAME, HOLDS, losses(1e-18, 3e-18)),  # both are rounding
    (SAME, PART, [*losses(0.01, 0.01), *losses(0.01, 0.02, kappa=100)]),
    (SAME, FAILS, losses(0.01, 0.01, 0.0101)),
    (SAME, UNKNOWN, losses(0.01)),
    (PLATEAU, HOLDS, [*plateau(1.0, FAST), *plateau(1.0, 0.05, variant="sigmoid, cap")]),
    (PLATEAU, PART, [*plateau(1.0, FAST), *plateau(1.0, 0.2, variant="sigmoid, cap")]),
    (PLATEAU, FAILS, plateau(1.0, 0.2)),
    (PLATEAU, UNKNOWN, [*plateau(1.0, FAST, "softplus"), *cell({}, variant="sigmoid, cap")]),
    (FASTEST, HOLDS, counts(MIDDLE, EARLY)),
    (FASTEST, PART, counts(MIDDLE, SLOW)),  # agd is not faster to 1e-6
    (FASTEST, PART, counts(MIDDLE, FAST)),  # agd is faster to 1e-8 too
    (FASTEST, PART, counts(CRAWL, EARLY)),  # nothing gets to 1e-8
    (FASTEST, FAILS, counts(MIDDLE, SLOW, wn=FAST)),
    (FASTEST, FAILS, cell({})),
    (FASTEST, UNKNOWN, cell({}, start="plateau")),
    (NOT_FASTEST, HOLDS, on_real({"agd": FAST, "gdnp": MIDDLE})),
    (NOT_FASTEST, HOLDS, on_real({"bn": FAST, "gdnp": MIDDLE, "agd": SLOW})),
    (NOT_FASTEST, PART, one_good(on_real, {"agd": FAST}, {"gdnp": FAST, "agd": MIDDLE})),
    (NOT_FASTEST, FAILS, on_real({"gdnp 1.9/L": FAST, "agd": MIDDLE, "wn": MIDDLE})),
    (NOT_FASTEST, UNKNOWN, on_gaussian({"agd": FAST})),
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
    assert len(outcomes) == len(EXPERIMENTS["halfspaces"].verdicts(rows().analyses["halfspaces"]))


def test_the_numbers_are_those_of_the_rows():
    found = verdict(REAL, *on_real({"gdnp": linear(0.2), "gd": linear(0.05)}))
    assert found.numbers.count(" 4") == 6
    assert "breast_cancer" in found.numbers
    found = verdict(BOUND, population("sigmoid", 7, gap_ratio=0.123), population("softplus", 9))
    assert "0.500" in found.numbers
    assert "kappa 7, 9" in found.numbers
