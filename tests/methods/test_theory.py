"""The bounds of the theorems as formulas; tests/test_theorems.py compares them with runs."""

import numpy as np
import pytest

import polarstep as ps
from polarstep.experiments.data.tables import gaussian_moments
from polarstep.methods import theory
from problems import LOSS_NAMES

U, S = gaussian_moments(6, 20.0, 0.5, 0)
MOMENTS = ps.Moments(U, S)


def test_rate_bound_is_geometric():
    bound = theory.rate_bound(MOMENTS, 0.3, 10)
    assert bound.shape == (11,)
    np.testing.assert_allclose(bound[1:] / bound[:-1], (1 - 1 / 20) ** 2, rtol=1e-10)
    assert bound[0] == 0.3


def test_the_best_constant_step():
    best = 2 / (MOMENTS.L + MOMENTS.mu)
    factors = [theory.contraction(MOMENTS, best * k) for k in (0.5, 0.9, 1.0, 1.02, 1.2)]
    assert min(factors) == factors[2] == pytest.approx(19 / 21)
    assert theory.contraction(MOMENTS) == pytest.approx(19 / 20)
    assert theory.contraction(MOMENTS, 2 / MOMENTS.L) == pytest.approx(1.0)


@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_gradient_bound_has_a_floor_set_by_bisection(loss):
    exact = theory.gradient_bound(MOMENTS, 0.3, 400, loss)
    halved = theory.gradient_bound(
        MOMENTS, 0.3, 400, loss, bisection_steps=10, bracket_width=4.0, length_penalty=0.1
    )
    curvature = ps.losses.LOSSES[loss].sup_curvature + 0.1
    assert (halved > exact).all()
    assert halved[-1] == pytest.approx(curvature * 4.0 / 1024, rel=1e-3)


def test_gradient_bound_is_the_formula():
    bound = theory.gradient_bound(
        MOMENTS, 0.3, 5, "sigmoid", bisection_steps=3, bracket_width=-2.0, step_size=0.1
    )
    sigmoid = ps.losses.LOSSES["sigmoid"]
    rate = theory.contraction(MOMENTS, 0.1) ** (2 * np.arange(6)) * 0.3
    expected = sigmoid.sup_coefficient**2 * rate + (sigmoid.sup_curvature * 2 / 8) ** 2
    np.testing.assert_allclose(bound, np.sqrt(expected), rtol=1e-12)


REFUSED = {
    "gap": (
        lambda: theory.rate_bound(MOMENTS, -1.0, 5),
        ValueError,
        "theory.rate_bound: `gap` .* >= 0; got -1",
    ),
    "n_iter": (
        lambda: theory.rate_bound(MOMENTS, 1.0, 2.5),
        TypeError,
        "theory.rate_bound: `n_iter` .*; got 2.5",
    ),
    "contraction": (
        lambda: theory.contraction(MOMENTS, 0),
        ValueError,
        "theory.contraction: `step_size` .* > 0; got 0",
    ),
    "bound's loss": (
        lambda: theory.gradient_bound(MOMENTS, 1.0, 5, "hinge"),
        ValueError,
        "theory.gradient_bound: `loss` must be one of",
    ),
    "halvings": (
        lambda: theory.gradient_bound(MOMENTS, 1.0, 5, "softplus", bisection_steps=1.5),
        TypeError,
        "theory.gradient_bound: `bisection_steps`",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    attempt, error, words = REFUSED[case]
    with pytest.raises(error, match=f"(?s){words}") as caught:
        attempt()
    assert type(caught.value) is error
