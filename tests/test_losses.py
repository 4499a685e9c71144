"""Margin losses: derivatives, safety far out, and the constants that bounds and steps rely on."""

import pickle

import numpy as np
import pytest
from scipy import special, stats

from polarstep import losses
from polarstep.losses import LOSSES, margin_loss, smooth_hinge
from polarstep.quadrature import expectation
from problems import ARCTAN, BOUNDED, LOSS_NAMES

FAR = np.array([-1e6, -1e3, -40.0, 40.0, 1e3, 1e6])


@pytest.mark.parametrize("loss", [*LOSSES.values(), ARCTAN, smooth_hinge(0.1)], ids=str)
def test_derivatives(loss):
    a, h = np.linspace(-6, 6, 241), 1e-5
    np.testing.assert_allclose(
        loss.dphi(a), (loss.phi(a + h) - loss.phi(a - h)) / (2 * h), atol=1e-8
    )
    np.testing.assert_allclose(
        loss.d2phi(a), (loss.dphi(a + h) - loss.dphi(a - h)) / (2 * h), atol=1e-7
    )


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_every_function_is_finite_far_out(name):
    loss = LOSSES[name]
    for f in (loss.phi, loss.dphi, loss.d2phi):
        assert np.isfinite(f(FAR)).all()


def test_limits_far_out():
    np.testing.assert_allclose(LOSSES["softplus"].phi(FAR), -special.log_expit(-FAR), rtol=1e-14)
    np.testing.assert_allclose(LOSSES["sigmoid"].phi(FAR), special.expit(FAR), rtol=1e-14)
    np.testing.assert_allclose(LOSSES["normal_cdf"].phi(FAR), stats.norm.cdf(FAR), rtol=1e-12)
    hinge = LOSSES["smooth_hinge"]
    np.testing.assert_allclose(hinge.phi(FAR), np.maximum(0, 1 + FAR), atol=1e-12)
    np.testing.assert_allclose(hinge.dphi(FAR), FAR > 0, atol=1e-12)
    sigmoid = LOSSES["sigmoid"]
    a = np.array([-30.0, -5.0, 5.0, 30.0])
    s = special.expit(-np.abs(a))
    np.testing.assert_allclose(sigmoid.dphi(a), s * (1 - s), rtol=1e-13)
    np.testing.assert_allclose(
        sigmoid.d2phi(a), -np.sign(a) * s * (1 - s) * (1 - 2 * s), rtol=1e-12
    )


@pytest.mark.parametrize("loss", [*LOSSES.values(), ARCTAN, smooth_hinge(2.0)], ids=str)
def test_sup_curvature_is_reached_and_not_exceeded(loss):
    largest = np.abs(loss.d2phi(np.linspace(-12, 12, 200_001))).max()
    assert largest == pytest.approx(loss.sup_curvature, rel=1e-4)


@pytest.mark.parametrize("loss", [*LOSSES.values(), ARCTAN, smooth_hinge(0.2)], ids=str)
def test_sup_coefficient_is_not_exceeded(loss):
    found = 0.0
    for sd in (1e-3, 0.1, 0.5, 1.0, 2.0, 8.0):
        for mean in np.linspace(-12, 12, 97):
            first, second = expectation(lambda a: np.stack([loss.dphi(a), loss.d2phi(a)]), mean, sd)
            found = max(found, abs(first - mean * second))
    assert found <= loss.sup_coefficient * (1 + 1e-3)
    assert found >= 0.9 * loss.sup_coefficient


@pytest.mark.parametrize("name", ["softplus", "smooth_hinge", "squared"])
def test_convex_losses_are_convex_and_increase(name):
    a = np.linspace(-20, 20, 4001)
    assert (LOSSES[name].d2phi(a) >= 0).all()
    if name != "squared":
        assert (LOSSES[name].dphi(a) >= 0).all()


@pytest.mark.parametrize("name", BOUNDED)
def test_bounded_losses_count_errors(name):
    np.testing.assert_allclose(LOSSES[name].phi(FAR), FAR > 0, atol=1e-12)


def test_the_smooth_hinge_is_the_hinge_averaged_over_a_gaussian():
    width, a = 0.7, np.array([-3.0, -1.0, 0.4])
    rng = np.random.default_rng(0)
    draws = np.maximum(0, 1 + a[:, None] + width * rng.standard_normal((3, 400_000))).mean(axis=1)
    np.testing.assert_allclose(smooth_hinge(width).phi(a), draws, atol=4e-3)


def test_names_and_objects():
    assert margin_loss("sigmoid") is LOSSES["sigmoid"]
    assert margin_loss(ARCTAN) is ARCTAN
    with pytest.raises(ValueError, match="`width` must be a finite number > 0"):
        smooth_hinge(0)


def test_which_losses_fall_forever():
    assert {name for name, loss in LOSSES.items() if loss.falls_forever} == {"softplus", "sigmoid"}


@pytest.mark.parametrize("loss", [*LOSSES.values(), smooth_hinge(0.1), ARCTAN], ids=str)
def test_losses_are_pickled_and_compared_by_value(loss):
    copied = pickle.loads(pickle.dumps(loss))
    assert copied == loss
    assert hash(copied) == hash(loss)
    np.testing.assert_array_equal(copied.phi(FAR), loss.phi(FAR))
    assert smooth_hinge(0.1) != smooth_hinge(0.2)


@pytest.mark.parametrize(
    ("name", "advice"),
    {
        "log_loss": "called 'softplus' here",
        "Logistic": "called 'softplus' here",
        "binary cross-entropy": "called 'softplus' here",
        "squared_error": "called 'squared' here",
        "hinge": "'smooth_hinge' is close to it",
        "squared_hinge": "'smooth_hinge' is close to it",
        "modified_huber": "'smooth_hinge' is close to it",
        "zero-one": "'sigmoid' is close to it",
        "softplu": "Did you mean 'softplus'",
    }.items(),
)
def test_names_of_other_packages_are_answered_with_ours(name, advice):
    with pytest.raises(ValueError, match=f"fit: `loss` must be one of .*; got '{name}'.*{advice}"):
        margin_loss(name, "fit")


def test_the_advice_names_losses_that_exist():
    for name, advice in losses._NAMES_ELSEWHERE.items():
        assert name not in {known.replace("_", "") for known in LOSSES}
        assert name.isalnum()
        assert name.islower() or name == "01"
        assert any(f"'{known}'" in advice for known in LOSSES)
