"""The figures on coupling."""

import pytest

from made_rows import attempts, deep, training_run
from polarstep.experiments.deep.analysis import Analysis
from polarstep.experiments.deep.coupling_figures import (
    controls,
    coupling_by_loss,
    coupling_over_time,
)

FULL = Analysis(tuple(deep({"batch": {"cross": 0.25, "late": {"cross": 0.125}}}, seeds=2)))
ONE = Analysis((*attempts(), training_run()))


@pytest.mark.parametrize("coordinates", ["weights", "directions"])
def test_the_trend_is_that_of_the_rows(coordinates):
    figure = coupling_over_time(FULL, "relu", coordinates)
    assert figure.folded == (coordinates == "directions")
    assert "batch normalization: mean from 0.25 to 0.12" in figure.caption
    assert "plain: mean from 1 to 1" in figure.caption
    # Three networks in three scales, with one line for each of seven layers.
    assert [len(axes.lines) for axes in figure.drawn.axes] == [7] * 9


def test_comparisons_under_controls_are_counted():
    caption = controls(FULL, ["relu", "tanh"]).caption
    total = 3 * 2 * 4 * 2  # scales, coordinates, controls, activations
    less = "the coupling is lower than in the plain network in"
    assert f"With batch normalization, {less} {total} of {total}" in caption
    assert f"With weight normalization, {less} 0 of {total}" in caption


def test_ratios_at_equal_losses_are_medians():
    assert "relu batch: 0.25, 0.25, 0.25; relu weight: 1, 1, 1" in (
        coupling_by_loss(FULL, ["relu"]).caption
    )
    assert "No two networks have been measured at the same loss yet." in (
        coupling_by_loss(ONE, ["relu"]).caption
    )
