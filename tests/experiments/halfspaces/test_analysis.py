"""The analysis of rows: best values, curves, iterations to an accuracy, and speed."""

import numpy as np
import pytest

from made_rows import cell, linear, reference, run
from polarstep.experiments.halfspaces.analysis import FLOOR, Analysis
from polarstep.experiments.halfspaces.plan import RUNS

CELL = ("gaussian", "softplus", "length 1")


def rows(*made):
    return Analysis(made)


def complete(*made):
    """Return the analysis of one problem, with runs of all methods that are not given."""
    given = {r["spec"]["run"] for r in made if r["spec"]["stage"] == "run"}
    return rows(*made, *(run(name, 1.0) for name in RUNS if name not in given))


def everywhere(fun, **place):
    """Return runs of all methods."""
    return [run(name, fun, **place) for name in RUNS]


def test_the_best_known_value_is_the_lowest_of_the_reference_and_every_iterate():
    assert complete(reference(0.3), run("gd", [1, 0.5])).best_known == {CELL[:2]: 0.3}
    assert complete(reference(0.3), run("gd", [1, 0.1, 0.5])).best_known == {CELL[:2]: 0.1}
    assert complete(run("gd", [1, 0.2])).best_known == {CELL[:2]: 0.2}
    assert rows(reference(0.3)).best_known == {CELL[:2]: 0.3}


def test_starts_of_one_problem_share_their_best_value_and_problems_do_not():
    here, far = everywhere([1.0, 0.5]), everywhere(0.05, start="plateau")
    made = rows(reference(0.3), *here, *far, *everywhere(0.01, data="a9a"))
    assert made.best_known[CELL[:2]] == 0.05
    assert made.best_known["a9a", "softplus"] == 0.01
    assert made.curves(CELL, "gd", "suboptimality")[0] == pytest.approx([0.95, 0.45])


def test_curves_have_one_line_per_start_and_ended_runs_stay_put():
    made = complete(reference(0.0), run("gd", [1, 0.5, 0.25]), run("gd", [1, 0.0], seed=1))
    np.testing.assert_allclose(
        made.curves(CELL, "gd", "suboptimality"), [[1, 0.5, 0.25], [1, FLOOR, FLOOR]]
    )
    np.testing.assert_allclose(made.curves(CELL, "gd", "grad_norm"), [[1, 0.5, 0.25], [1, 0, 0]])
    np.testing.assert_allclose(made.curves(CELL, "gd", "passes"), [[2, 4, 6], [2, 4, 4]])
    assert made.median(CELL, "gd") == pytest.approx([1, 0.25, 0.125], rel=1e-9)


def test_iterations_to_a_target_are_the_median_over_starts():
    runs = [run("gd", linear(rate, 20), seed=k) for k, rate in enumerate([0.5, 1.0, 0.1])]
    made = complete(reference(0.0), *runs)
    assert made.iterations_to(CELL, "gd", 10**-1.75) == 4  # of 2, 4 and 18
    assert made.iterations_to(CELL, "gd", 1.0) == 0
    assert made.iterations_to(CELL, "gd", 10**-2.75) == 6  # of 3, 6 and never
    assert made.iterations_to(CELL, "gd", 1e-15) == np.inf


def test_half_of_the_starts_must_reach_the_target():
    arrives, stays = [1.0, 1e-3], [1.0, 1.0]
    for together, expected in ([[arrives, arrives, stays], 1], [[arrives, stays, stays], np.inf]):
        made = complete(reference(0.0), *(run("gd", f, seed=k) for k, f in enumerate(together)))
        assert made.iterations_to(CELL, "gd", 1e-2) == expected


@pytest.mark.parametrize("ratio", [1, 2, 4])
def test_speed_is_the_ratio_of_the_rates(ratio):
    made = complete(reference(), run("gdnp", linear(0.1 * ratio)), run("gd", linear(0.1)))
    assert made.speed(CELL, "gdnp", "gd") == pytest.approx(ratio)
    assert made.speed(CELL, "gd", "gdnp") == pytest.approx(1 / ratio)


def test_speed_counts_only_values_that_are_not_exceeded_again():
    touches = [1.0, 1e-9, 1.0, 0.1, 0.1]
    runs = [run("gd", [1.0, 0.5, 0.2, 0.1, 0.01]), run("bn", touches), run("wn", [1.0, 0.1])]
    made = complete(reference(), *runs)
    assert made.speed(CELL, "bn", "gd") == 1.0
    assert made.speed(CELL, "wn", "gd") == 3.0
    assert made.speed(CELL, "gd", "wn") == pytest.approx(1 / 3)
    assert made.iterations_to(CELL, "bn", 1e-8) == 1


@pytest.mark.parametrize("nowhere", [1.0, [1.0, 2.0, 3.0], [1.0, 1e-3, 1.5]])
def test_a_run_that_ends_no_lower_than_it_started_has_no_speed(nowhere):
    made = complete(reference(), run("gdnp", linear(0.1)), run("gd", nowhere), run("bn", 1.0))
    assert made.speed(CELL, "gd", "gdnp") == 0.0
    assert made.speed(CELL, "gdnp", "gd") == np.inf
    assert made.speed(CELL, "gd", "bn") == 1.0


def test_problems_that_lack_runs_of_a_method_are_left_out():
    """An interruption leaves such problems, which would be compared for some methods only."""
    whole = cell({}, start="plateau")
    made = rows(*whole, run("gd", 1.0), run("agd", 1.0))
    assert list(made.runs) == [("gaussian", "softplus", "plateau")]
