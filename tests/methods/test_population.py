"""Halfspaces in a Gaussian population, against integrals and big samples."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import polarstep as ps
from polarstep.losses import margin_loss
from problems import LOSS_NAMES, integral, population, populations

U, S = np.array([0.3, 0.1, 0.0]), np.eye(3)


@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_a_big_sample_approaches_the_population(loss):
    p = population(5, 3, kappa=5.0, separation=0.5)
    X, y = p.sample(400_000)
    sample = ps.Halfspace(X, y, loss, 0.1)
    whole = ps.GaussianHalfspace(p.u, p.S, loss, 0.1)
    wt = -1.2 * p.vector() / p.moments.norm(p.vector())
    assert sample.value(wt) == pytest.approx(whole.value(wt), rel=0.01)
    np.testing.assert_allclose(sample.gradient(wt), whole.gradient(wt), atol=0.02)
    np.testing.assert_allclose(sample.coefficients(wt), whole.coefficients(wt), atol=0.02)


@given(populations(max_d=3), st.sampled_from(LOSS_NAMES))
def test_value_in_a_population_is_an_expectation(p, loss):
    wt = 2.0 * p.vector() / p.moments.norm(p.vector())
    mean, variance = p.u @ wt, wt @ p.S @ wt - (p.u @ wt) ** 2
    exact = integral(margin_loss(loss).phi, mean, np.sqrt(variance))
    objective = ps.GaussianHalfspace(p.u, p.S, loss)
    assert objective.value(wt) == pytest.approx(exact, rel=1e-10, abs=1e-11)


def test_a_population_that_separates_has_no_spread():
    """u^T S^-1 u = 1: on the line S^-1 u every margin is the same."""
    objective = ps.GaussianHalfspace([0.6, 0.8], np.eye(2), "softplus")
    assert objective.value([-1.2, -1.6]) == pytest.approx(np.logaddexp(0, -2.0), rel=1e-9)
    assert objective.gradient([-1.2, -1.6]) == pytest.approx(
        np.array([0.6, 0.8]) / (1 + np.exp(2.0)), rel=1e-9
    )


REFUSED = {
    "penalty nan": (
        lambda: ps.GaussianHalfspace(U, S, length_penalty=np.nan),
        ValueError,
        "GaussianHalfspace: `length_penalty` .* finite .* nan",
    ),
    "too separated": (
        lambda: ps.GaussianHalfspace(5 * U, S),
        ValueError,
        "GaussianHalfspace: `u`.* <= 1 .*; got .*= 2.5. If S is the cov",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    attempt, error, words = REFUSED[case]
    with pytest.raises(error, match=f"(?s){words}") as caught:
        attempt()
    assert type(caught.value) is error
