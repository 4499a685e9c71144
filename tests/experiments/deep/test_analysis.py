"""The analysis of deep networks: tuned runs, ratios under controls, and correlations."""

import numpy as np
import pytest

from made_rows import STEPS, attempts, deep, linear, point, training_run
from polarstep.experiments.deep.analysis import CONTROLS, Analysis
from polarstep.experiments.deep.quantities import cross

PLAIN, BATCH, WEIGHT = (("relu", n) for n in ("plain", "batch", "weight"))
RAW = cross("raw", "weights")


def tuned(**best):
    """The sweeps of all networks; the best rate is 0.1 unless another one is given."""
    networks = ("plain", "batch", "weight")
    return [r for n in networks for r in attempts("relu", n, best.get(n, 0.1))]


# --------------------------------------------------------------------------- runs


def test_tuned_runs_are_those_at_the_tuned_rate():
    runs = [training_run("relu", "plain", rate, seed) for rate in (0.1, 1.0) for seed in (0, 1)]
    made = Analysis((*tuned(plain=1.0), *runs))
    assert {row["spec"]["rate"] for row in made.tuned_runs(PLAIN).values()} == {1.0}
    assert set(made.tuned_runs(PLAIN)) == {0, 1}
    assert made.tuned_runs(BATCH) == {}
    assert Analysis(tuple(runs)).tuned_runs(PLAIN) == {}  # not tuned


def test_rows_of_other_images_are_left_out():
    old = [*attempts(data="cifar10"), training_run(data="cifar10", digits=0.3)]
    made = Analysis((*old, *attempts(), training_run()))
    assert {row["spec"]["data"] for row in made.rows} == {"digits"}
    assert len(list(made.all_runs("relu"))) == 1
    assert Analysis(()).rows == []
    assert Analysis(()).activations == []


def test_curves_belong_to_the_tuned_rate_and_end_where_a_run_diverged():
    ended = training_run(seed=1, status="diverged")
    ended["outcome"]["loss"] = [2.0, 1.0, None]
    made = Analysis((*tuned(), training_run(digits=0.1), ended, training_run(rate=1.0, digits=0.5)))
    curves = made.curves(PLAIN, "loss")
    assert curves.shape == (2, STEPS + 1)
    np.testing.assert_allclose(curves[0], linear(0.1, STEPS, 2.0))
    np.testing.assert_array_equal(curves[1], [2.0, 1.0, *[np.nan] * (STEPS - 1)])
    assert made.lowest_loss("relu") == pytest.approx(2 * 10.0 ** (-0.5 * STEPS))
    shifted = made.curves(PLAIN, "suboptimality")
    np.testing.assert_allclose(shifted, curves - made.lowest_loss("relu"))
    assert made.diverged == {"tuning": 3, "run": 1}


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_speed_is_the_ratio_of_the_rates_of_descent(factor):
    made = Analysis(tuple(deep({"batch": {"digits": 0.1 * factor}})))
    assert made.speed(BATCH, PLAIN) == pytest.approx(factor)
    assert made.speed(PLAIN, BATCH) == pytest.approx(1 / factor)


def test_speed_is_a_median_over_the_initial_weights_that_both_ran_from():
    rates = [0.1, 0.2, 0.4, 0.4]
    batch = [training_run("relu", "batch", seed=k, digits=r) for k, r in enumerate(rates)]
    plain = [training_run(seed=k) for k in range(3)]
    made = Analysis((*tuned(), *batch, *plain))
    assert made.speed(BATCH, PLAIN) == pytest.approx(2)
    assert np.isnan(made.speed(WEIGHT, PLAIN))
    assert np.isnan(Analysis(tuple(tuned())).speed(BATCH, PLAIN))


# --------------------------------------------------------------------------- controls


@pytest.fixture(scope="module")
def made():
    """The coupling of batch normalization is 0.5 early and 0.1 late, and 3 at the other rate."""
    rows = deep({}, seeds=2)
    for row in rows:
        spec = row["spec"]
        if spec["stage"] == "run" and spec["normalization"] == "batch":
            for place in row["outcome"]["points"]:
                early, late = (0.5, 0.1) if spec["rate"] == 1.0 else (3.0, 3.0)
                value = early if place["iteration"] < STEPS / 2 else late
                place["weights"] = point(0, 1.0, cross=value)["weights"]
    return Analysis(tuple(rows))


def test_ratios_are_taken_under_every_control(made):
    at = {control: made.ratios(BATCH, RAW, control) for control in CONTROLS}
    assert at["early"] == pytest.approx([0.5] * 2)  # after one step, from two starts
    assert at["late"] == pytest.approx([0.1] * 2)
    # The losses 2, 1.5, 1 and 0.5 are reached early, and 0.1 late.
    assert sorted(at["loss"]) == pytest.approx([0.1] * 2 + [0.5] * 8)
    # There are two rates, two random starts, and two iterations after the start.
    assert sorted(at["rate"]) == pytest.approx([0.1] * 2 + [0.5] * 2 + [3.0] * 4)
    for control in CONTROLS:
        assert set(made.ratios(WEIGHT, RAW, control)) == {1.0}


def test_levels_that_one_network_does_not_reach_are_not_compared():
    made = Analysis(tuple(deep({"batch": {"digits": 0.01}, "weight": {"digits": 0.0}})))
    assert len(made.ratios(BATCH, RAW, "loss")) == 2  # 2 and 1.5
    assert len(made.ratios(WEIGHT, RAW, "loss")) == 1


def test_runs_that_diverged_are_not_compared():
    made = Analysis(tuple(deep({"batch": {"status": "diverged"}})))
    assert all(len(made.ratios(BATCH, RAW, control)) == 0 for control in CONTROLS)
    assert np.isnan(made.speed(BATCH, PLAIN))
    assert len(made.ratios(WEIGHT, RAW, "early")) == 1


def test_pairs_without_a_ratio_are_left_out():
    made = Analysis(tuple(deep({"batch": {"cross": 0.0}, "weight": {"cross": None}})))
    assert len(made.ratios(BATCH, RAW, "early")) == 0
    assert len(made.ratios(WEIGHT, RAW, "early")) == 0


def test_the_trend_is_from_the_first_tenth_to_the_second_half(made):
    assert made.early_and_late(BATCH, RAW) == pytest.approx((0.5, 0.1))
    assert made.early_and_late(PLAIN, RAW) == (1.0, 1.0)
    assert np.isnan(Analysis(tuple(tuned())).early_and_late(PLAIN, RAW)).all()


# --------------------------------------------------------------------------- explanations


def with_measures(*pairs):
    """One run for each pair (covariate shift, decades by which the loss falls in a step)."""
    return Analysis(
        tuple(training_run(seed=k, shift=s, digits=d) for k, (s, d) in enumerate(pairs))
    )


def test_a_measure_that_falls_with_the_loss_correlates():
    helps = with_measures((3.0, 0.1), (2.0, 0.2), (1.0, 0.3))
    assert helps.correlation("covariate shift", "relu") == pytest.approx(1.0)
    hurts = with_measures((1.0, 0.1), (2.0, 0.2), (3.0, 0.3))
    assert hurts.correlation("covariate shift", "relu") == pytest.approx(-1.0)
    assert np.isnan(hurts.correlation("coupling", "relu"))  # the same everywhere
    assert np.isnan(with_measures((1.0, 0.1), (2.0, 0.2)).correlation("covariate shift", "relu"))


def test_runs_that_diverged_rank_last():
    rows = [training_run(seed=k, shift=1.0 + k, digits=0.3 - 0.1 * k) for k in range(3)]
    rows.append(training_run(seed=3, shift=9.0, digits=0.9, status="diverged"))
    made = Analysis(tuple(rows))
    assert made.correlation("covariate shift", "relu") == pytest.approx(1.0)
    assert [np.isinf(dot.score) for dot in made.dots("relu", "covariate shift")].count(True) == 1


def test_the_correlation_is_the_mean_over_activations():
    rows = [training_run(a, seed=k) for a in ("relu", "tanh") for k in range(3)]
    for row, shift, digits in zip(rows, [1, 2, 3, 1, 2, 3], [3, 2, 1, 1, 2, 3], strict=True):
        row["outcome"]["points"] = [point(1, 1.0, shift=float(shift))]
        row["outcome"]["loss"] = list(linear(digits / 10, STEPS, 2.0))
    made = Analysis(tuple(rows))
    assert made.correlation("covariate shift", "relu") == pytest.approx(1.0)
    assert made.correlation("covariate shift", "tanh") == pytest.approx(-1.0)
    assert made.correlation("covariate shift") == pytest.approx(0.0)
    assert np.isnan(Analysis(()).correlation("covariate shift"))
