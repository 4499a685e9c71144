"""What all objectives and their rays have in common."""

import numpy as np
import pytest

from objective_cases import OBJECTIVES, WT
from problems import derivative, numeric_gradient


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gradient_is_the_derivative_of_the_value(objective):
    for wt in (WT, -2.0 * WT, np.zeros(3)):
        gradient = objective.gradient(wt)
        numeric = numeric_gradient(objective.value, wt, 1e-3)
        np.testing.assert_allclose(gradient, numeric, atol=2e-8 * max(1, objective.value(wt)))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_slope_and_curvature_along_rays(objective):
    ray = objective.along(WT)
    assert ray.squared == pytest.approx(1.0)
    assert ray.overlap == pytest.approx(objective.moments.u @ ray.v)
    for g in (-2.0, -0.3, 0.0, 0.9, 3.0):
        assert ray.value(g) == pytest.approx(objective.value(g * ray.v), rel=1e-12)
        slope, curvature = ray.slope(g), ray.curvature(g)
        assert slope == pytest.approx(derivative(ray.value, g, 1e-3), abs=1e-8)
        assert curvature == pytest.approx(derivative(ray.slope, g, 1e-3), abs=1e-7)
        assert slope == pytest.approx(ray.v @ ray.gradient(g), abs=1e-11)
        assert ray.coefficients(g) == pytest.approx(objective.coefficients(g * ray.v))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_curvature_bound_holds_along_rays(objective):
    ray = objective.along(WT)
    lengths = np.linspace(-6, 6, 25)
    assert max(abs(ray.curvature(g)) for g in lengths) <= objective.curvature * (1 + 1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_along_needs_a_direction(objective):
    with pytest.raises(ValueError, match=r"along: `w` must have a direction"):
        objective.along(np.zeros(3))
