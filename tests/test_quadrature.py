"""Gaussian expectations against closed forms, at every width."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from scipy.special import ndtr

from polarstep.losses import margin_loss
from polarstep.quadrature import expectation, expectation_2d
from problems import ARCTAN, LOSS_NAMES, integral

SDS = [0.0, 1e-3, 0.5, 1.0, 5.0, 1000.0]


@pytest.mark.parametrize("sd", SDS)
@pytest.mark.parametrize("mean", [-2.0, 0.0, 3.0])
def test_moments_of_a_gaussian(mean, sd):
    found = expectation(lambda a: np.stack([np.ones_like(a), a, (a - mean) ** 2]), mean, sd)
    np.testing.assert_allclose(found, [1.0, mean, sd**2], rtol=1e-12, atol=1e-12 * max(sd, 1.0))


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


@pytest.mark.parametrize("sd", [0.01, 0.5, 3.0, 50.0, 1000.0])
@pytest.mark.parametrize("mean", [0.0, -0.7, 30.0])
@pytest.mark.parametrize("loss", [*LOSS_NAMES, ARCTAN], ids=str)
def test_expectations_against_adaptive_quadrature(loss, mean, sd):
    error = 2e-11 if loss is ARCTAN else 2e-12  # arctan has poles closer to the real axis
    loss = margin_loss(loss)
    for f in (loss.phi, loss.dphi, loss.d2phi):
        exact = integral(f, mean, sd)
        assert expectation(f, mean, sd) == pytest.approx(exact, rel=error, abs=error)


@given(st.floats(-50, 50), st.floats(0, 1000))
def test_the_normal_cdf_has_a_closed_form(mean, sd):
    loss = margin_loss("normal_cdf")
    total = np.hypot(1.0, sd)
    density = np.exp(-0.5 * (mean / total) ** 2) / np.sqrt(2 * np.pi) / total
    assert expectation(loss.phi, mean, sd) == pytest.approx(ndtr(mean / total), abs=1e-13)
    assert expectation(loss.dphi, mean, sd) == pytest.approx(density, abs=1e-13)
    assert expectation(loss.d2phi, mean, sd) == pytest.approx(-mean / total**2 * density, abs=1e-12)


def test_expectations_of_several_integrands_and_in_two_dimensions():
    both = expectation(lambda a: np.stack([a, a * a]), 2.0, 3.0)
    assert both == pytest.approx([2.0, 13.0])
    assert expectation(np.cos, 1.0, 2.0) == pytest.approx(np.cos(1.0) * np.exp(-2.0), abs=1e-14)
    plane = expectation_2d(lambda a, b: np.cos(3 * a + b), (3.0, 1.0))
    assert plane == pytest.approx(np.exp(-5.0), abs=1e-14)
    spread = expectation_2d(lambda a, b: ndtr(100 * a + 70 * b + 10), (100.0, 70.0))
    assert spread == pytest.approx(ndtr(10 / np.sqrt(1 + 100**2 + 70**2)), abs=1e-13)


@pytest.mark.parametrize("sd", [1e30, np.inf, np.nan])
def test_expectations_beyond_reach_are_nan(sd):
    assert np.isnan(expectation(np.tanh, 0.0, sd))
