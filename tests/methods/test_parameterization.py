"""The chain rule of the parameterizations."""

import numpy as np
import pytest

from objective_cases import OBJECTIVES, WT
from polarstep.methods.parameterization import batch_norm, plain, weight_norm
from problems import derivative, numeric_gradient, population


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_chain_rule_for_every_objective(objective):
    moments, g = objective.moments, 1.3
    for chart in (plain, weight_norm, batch_norm):
        gradient = objective.gradient(chart.weight(moments, WT, g))
        pulled, slope = chart.pull_back(moments, WT, g, gradient)
        if chart is plain:
            assert (chart.unit(moments, WT) == WT).all()
            assert slope == 0
            continue
        numeric = numeric_gradient(
            lambda w, chart=chart: objective.value(chart.weight(moments, w, g)), WT, 1e-3
        )
        np.testing.assert_allclose(pulled, numeric, atol=5e-8)
        along = derivative(
            lambda h, chart=chart: objective.value(chart.weight(moments, WT, h)), g, 1e-3
        )
        assert slope == pytest.approx(along, abs=1e-8)


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_the_direction_does_not_depend_on_the_size_of_w(size):
    p = population(1, 4)
    w = p.vector()
    for chart in (weight_norm, batch_norm):
        unit = chart.unit(p.moments, size * w)
        assert chart.norm(p.moments, unit) == pytest.approx(1.0)
        np.testing.assert_allclose(unit, chart.unit(p.moments, w), rtol=1e-12)
    np.testing.assert_array_equal(plain.unit(p.moments, size * w), size * w)
    assert plain.norm(p.moments, w) == 1.0
