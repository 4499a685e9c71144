"""Sweeps over learning rates."""

import numpy as np
import pytest

from polarstep.experiments.networks.rates import RateSweep, loss_at_end


def sweep(*scores, tolerance=0.15, per_decade=2):
    rates = tuple(float(f"{10 ** (k / per_decade):.3g}") for k in range(len(scores)))
    return RateSweep(rates, np.array(scores), 2.0, tolerance, per_decade)


def test_the_best_rate_has_the_lowest_score_and_ties_go_to_the_smaller_rate():
    assert sweep(1.0, 0.5, 0.4, 0.5).best == 10.0
    assert sweep(1.0, 0.4, 0.4, np.inf).best == 3.16


def test_good_rates_score_within_the_tolerance_of_the_best_one():
    found = sweep(1.0, 0.55, 0.4, 0.56)
    assert found.limit == pytest.approx(0.55)
    assert found.good == [3.16, 10.0]
    assert found.decades == 1.0
    assert sweep(1.0, 0.5, 0.4, 0.5, per_decade=4).decades == 0.75


def test_no_rate_is_good_if_every_rate_diverged():
    found = sweep(np.inf, np.inf)
    assert found.limit == -np.inf
    assert (found.good, found.decades, found.best) == ([], 0, 1.0)
    row = found.table_row()
    assert (row["good"], row["diverged"], row["scores"]) == ("none", 2, ["1: inf", "3.16: inf"])


def test_a_row_of_the_table_holds_the_best_and_the_good_rates():
    assert sweep(0.5, 0.4, np.inf).table_row() == {
        "best": 3.16,
        "score": 0.4,
        "good": "1 to 3.16",
        "diverged": 1,
        "scores": ["1: 0.5", "3.16: 0.4", "10: inf"],
    }


def test_the_loss_at_the_end_is_the_mean_over_the_last_steps():
    assert loss_at_end([9.0] * 95 + [1.0] * 4 + [2.0], 0.05) == pytest.approx(1.2)
    assert loss_at_end([3.0, 2.0], 0.05) == 2.0
    assert loss_at_end([1.0, float("nan")], 0.05) == float("inf")
