"""The tuning: the rule in the report, checked by running every attempt again."""

import numpy as np
import pytest

import polarstep as ps
from polarstep.experiments.halfspaces.plan import TUNED
from polarstep.experiments.halfspaces.reference import reference_optimum
from polarstep.experiments.halfspaces.starts import random_start, run_from
from polarstep.experiments.halfspaces.tuning import (
    FACTORS,
    LENGTH_FACTORS,
    RULE,
    SMALLER_FACTORS,
    tune,
)
from problems import two_class

ITERATIONS = 30
TIE = 0.01
PROBLEMS = {
    "softplus": {},
    "sigmoid, penalty": {"loss": "sigmoid", "length_penalty": 1e-2},
    "sigmoid, cap": {"loss": "sigmoid", "max_length": 5.0},
}


class Tuned:
    """A tuning whose attempts are run again in full, with their traces."""

    def __init__(self, variant, method, length=1.0):
        self.objective = ps.Halfspace(*two_class(seed=3, n=120, d=3), **PROBLEMS[variant])
        self.method, self.length = method, length
        self.starts = [random_start(self.objective, k) for k in (100, 101)]
        self.reference = reference_optimum(self.objective)["fun"]
        self.found = self.tune()
        self.scores = {(f, g): score for f, g, score in self.found["attempts"]}
        self.winner = self.found["factor"], self.found["length_factor"] or 1.0

    def tune(self):
        return tune(
            self.objective, self.method, self.starts, self.length, ITERATIONS, self.reference
        )

    def steps(self, factor, length_factor):
        """The default steps as the documentation of the rule gives them, multiplied."""
        L = self.objective.moments.L
        options = {"step_size": factor / (self.objective.curvature * L)}
        if self.method in ("wn", "bn"):
            unit = L if self.method == "bn" else 1.0  # the direction of bn has S-norm 1
            options["length_step_size"] = length_factor * unit / (self.objective.curvature * L)
        return options

    def values(self, pair):
        """Return f at every iterate, from each start."""
        runs = [
            run_from(self.objective, self.method, w0, self.length, ITERATIONS, **self.steps(*pair))
            for w0 in self.starts
        ]
        return [run.trace.fun for run in runs]

    def is_stable(self, fun):
        if len(fun) <= ITERATIONS or (fun > fun[0] + 1e-12).any():
            return False
        transient = ITERATIONS if self.method == "agd" else ITERATIONS // 10
        return bool((np.diff(fun[transient:]) <= 1e-12).all())

    def score(self, curves):
        gaps = [np.maximum(fun[1:] - self.reference, 1e-12) for fun in curves]
        worst = [[part.max() for part in np.array_split(gap, 16)] for gap in gaps]
        return np.log10(worst).mean()


@pytest.fixture(scope="module", params=[(v, m) for v in PROBLEMS for m in TUNED], ids="-".join)
def tuned(request):
    return Tuned(*request.param)


def test_attempts_have_a_score_exactly_if_they_are_stable(tuned):
    stable = 0
    for pair, score in tuned.scores.items():
        curves = tuned.values(pair)
        if all(map(tuned.is_stable, curves)):
            assert score == pytest.approx(tuned.score(curves), abs=1e-9)
            stable += 1
        else:
            assert score == np.inf
    assert 0 < stable < len(tuned.scores), "the grid has both kinds"


def test_the_winner_is_stable_and_beats_or_ties_all_others(tuned):
    assert tuned.found["stable"]
    assert all(map(tuned.is_stable, tuned.values(tuned.winner)))
    assert tuned.scores[tuned.winner] <= min(tuned.scores.values()) + TIE
    assert tuned.found["steps"] == pytest.approx(tuned.steps(*tuned.winner))


def test_the_grid_is_that_of_the_rule(tuned):
    assert (FACTORS[0], FACTORS[-1]) == (4.0**-2, 4.0**5)
    assert (SMALLER_FACTORS[0], LENGTH_FACTORS[0], LENGTH_FACTORS[-1]) == (4.0**-6, 1.0, 4.0**6)
    assert "4^-2 ... 4^5" in RULE
    assert "4^-6 ... 4^5 for wn and bn" in RULE
    assert "4^0 ... 4^6" in RULE
    tried = [(f, g) for f, g, _ in tuned.found["attempts"]]
    coarse = [(f, 1.0) for f in FACTORS]
    if tuned.method in ("wn", "bn"):
        coarse = [*((f, 1.0) for f in SMALLER_FACTORS), *coarse]
        assert {g for _, g in tried} >= set(LENGTH_FACTORS)
    else:
        assert {g for _, g in tried} == {1.0}
        assert tuned.found["length_factor"] is None
    assert tried[: len(coarse)] == coarse


def test_the_neighbours_of_the_winner_were_tried(tuned):
    factor, length_factor = tuned.winner
    moves = [(0.5, 1), (2, 1)]
    if tuned.method in ("wn", "bn"):
        moves += [(1, 0.5), (1, 2), (2, 2), (0.5, 0.5)]
    assert all((factor * i, length_factor * j) in tuned.scores for i, j in moves)


def test_tuning_the_same_problem_again_gives_the_same_steps():
    tuned = Tuned("softplus", "wn")
    assert tuned.tune() == tuned.found


def test_a_step_that_is_lucky_at_the_end_is_not_chosen():
    """An unstable step that ends lower than all stable ones is rejected."""
    lucky = []
    for variant in PROBLEMS:
        for method in ("gd", "wn", "bn"):
            tuned = Tuned(variant, method, length=5.0)
            ends = {p: np.mean([fun[-1] for fun in tuned.values(p)]) for p in tuned.scores}
            lowest = min(ends, key=ends.get)
            if tuned.scores[lowest] == np.inf:
                lucky.append((variant, method))
                assert tuned.winner != lowest
                assert ends[lowest] < ends[tuned.winner]
    assert lucky, "none of the problems has such a step"


def test_agd_may_overshoot_and_the_others_may_not():
    """A step at which f rises late in a run of agd counts as stable for agd."""
    tuned = Tuned("softplus", "agd", length=5.0)
    rising = [
        pair
        for pair, score in tuned.scores.items()
        if np.isfinite(score) and (np.diff(tuned.values(pair)[0][3:]) > 1e-12).any()
    ]
    assert rising


def test_ties_go_to_the_smaller_step():
    """All steps score the same if the start is the optimum."""
    objective = ps.LeastSquares(*two_class(seed=3, n=120, d=3))
    best = -np.linalg.solve(objective.moments.S, objective.moments.u)
    length = objective.moments.norm(best)
    for method, smallest in (("gd", 4.0**-2), ("bn", 4.0**-6)):
        found = tune(objective, method, [best], length, 10, objective.value(best))
        assert found["factor"] == smallest
        assert found["edge"]


def test_without_a_stable_step_the_smallest_is_taken_and_said_not_to_be_stable():
    """A problem that claims too little curvature has default steps that are far too long."""
    objective = ps.Halfspace(*two_class(seed=3, n=120, d=3))
    objective.curvature *= 1e-12
    found = tune(objective, "gd", [random_start(objective, 0)], 1.0, 10, 0.0)
    assert not found["stable"]
    assert found["edge"]
    assert found["factor"] == FACTORS[0]
    assert {score for *_, score in found["attempts"]} == {np.inf}


def test_an_interruption_is_no_sign_of_an_unstable_step():
    calls = 0

    def dphi(a):
        nonlocal calls
        calls += 1
        if calls == 100:
            raise KeyboardInterrupt
        return 1 / (1 + np.exp(-a))

    loss = ps.MarginLoss(
        lambda a: np.logaddexp(0, a), dphi, lambda a: dphi(a) * dphi(-a), "log", 1.0, 0.25
    )
    objective = ps.Halfspace(*two_class(seed=3, n=120, d=3), loss)
    with pytest.raises(KeyboardInterrupt):
        tune(objective, "gd", [random_start(objective, 0)], 1.0, ITERATIONS, 0.0)
