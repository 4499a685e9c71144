"""One tanh unit as an objective."""

import numpy as np
import pytest

import polarstep as ps
from halfspace_cases import WT, X, Y
from polarstep.losses import margin_loss
from polarstep.methods.tanh_unit import unit_loss
from problems import derivative, population


def test_a_big_sample_approaches_the_population_of_a_network():
    p = population(6, 3, kappa=5.0, separation=0.5)
    X, y = p.sample(400_000)
    line = np.linalg.solve(p.S, p.u)
    weights = np.outer([-0.6, 0.0], line)
    wt = 0.5 * p.vector()
    for loss in ("softplus", "squared"):
        sample = ps.TanhNetwork(X, y, 2, loss=loss).unit(1, weights)
        whole = ps.TanhNetwork.gaussian(p.u, p.S, 2, loss=loss).unit(1, weights)
        assert sample.value(wt) == pytest.approx(whole.value(wt), rel=0.01)
        np.testing.assert_allclose(sample.gradient(wt), whole.gradient(wt), atol=0.01)
        np.testing.assert_allclose(sample.coefficients(wt), whole.coefficients(wt), atol=0.02)


def test_a_network_averages_with_the_weights_of_its_design():
    copies = np.arange(120) % 4
    many = np.repeat(np.arange(120), copies)
    weights = np.array([WT[:3], [0.1, 0.2, 0.3]])
    networks = (ps.Design(X, sample_weight=copies), Y), (X[many], Y[many])
    one, other = (ps.TanhNetwork(*data, 2).unit(1, weights) for data in networks)
    assert one.coefficients(WT[:3]) == pytest.approx(other.coefficients(WT[:3]))
    np.testing.assert_allclose(one.gradient(WT[:3]), other.gradient(WT[:3]), rtol=1e-10)


@pytest.mark.parametrize("theta", [1.0, -2.0])
@pytest.mark.parametrize("others", [0.0, 0.7])
def test_the_loss_of_a_unit_and_its_derivatives(theta, others):
    softplus = margin_loss("softplus")
    loss, a = unit_loss(softplus, theta, others), np.linspace(-4, 4, 41)
    np.testing.assert_array_equal(loss.phi(a), softplus.phi(others + theta * np.tanh(a)))
    np.testing.assert_allclose(loss.dphi(a), derivative(lambda t: loss.phi(a + t), 0.0), atol=1e-10)
    np.testing.assert_allclose(
        loss.d2phi(a), derivative(lambda t: loss.dphi(a + t), 0.0), atol=1e-10
    )
