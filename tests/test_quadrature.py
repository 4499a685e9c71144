"""Gaussian expectations against closed forms, at every width."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from polarstep.quadrature import expectation, expectation_2d

SDS = [0.0, 1e-3, 0.5, 1.0, 5.0, 1000.0]


@pytest.mark.parametrize("sd", SDS)
@pytest.mark.parametrize("mean", [-2.0, 0.0, 3.0])
def test_moments_of_a_gaussian(mean, sd):
    found = expectation(lambda a: np.stack([np.ones_like(a), a, (a - mean) ** 2]), mean, sd)
    np.testing.assert_allclose(found, [1.0, mean, sd**2], rtol=1e-12, atol=1e-12 * max(sd, 1.0))


@given(mean=st.floats(-5, 5), sd=st.floats(0, 1000))
def test_the_normal_cdf_has_a_closed_form(mean, sd):
    """E Phi(a) = Phi(mean/sqrt(1 + sd^2)) for a ~ N(mean, sd^2)."""
    expected = special.ndtr(mean / np.sqrt(1 + sd**2))
    assert expectation(special.ndtr, mean, sd) == pytest.approx(expected, abs=1e-12)


def test_a_larger_rate_resolves_an_integrand_that_varies_faster():
    """E cos(k a) = exp(-k^2/2) for a ~ N(0, 1)."""
    k = 20.0
    assert expectation(lambda a: np.cos(k * a), 0.0, 1.0, rate=k) == pytest.approx(0.0, abs=1e-12)
    wrong = expectation(lambda a: np.cos(2 * np.pi / 0.2 * a), 0.0, 1.0)
    assert wrong == pytest.approx(1.0)  # every point of the default rule sees the same phase


@pytest.mark.parametrize("rate", [2.0**19, np.inf, np.nan])
def test_a_rate_beyond_the_limit_gives_nan(rate):
    assert np.isnan(expectation(special.ndtr, 0.0, 1.0, rate=rate))


def test_two_variables():
    """E (x1^2 x2^4) = 3, and E Phi(b x1 + c x2) = 1/2, whatever the scales."""
    assert expectation_2d(lambda x, y: x**2 * y**4, (1.0, 1.0)) == pytest.approx(3.0, rel=1e-12)
    found = expectation_2d(
        lambda x, y: np.stack([special.ndtr(50.0 * x + 3.0 * y), np.exp(0.5 * x) + 0.0 * y]),
        (50.0, 3.0),
    )
    np.testing.assert_allclose(found, [0.5, np.exp(0.125)], rtol=1e-12)
