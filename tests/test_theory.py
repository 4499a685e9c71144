"""Bounds' shapes, and what check_assumptions says about data of several kinds."""

import numpy as np
import pytest

import polarstep as ps
from polarstep import theory
from polarstep.experiments.datasets import gaussian_moments, gaussian_sample
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


def test_gaussian_data_pass():
    X, y = gaussian_sample(U, S, 4000, 1)
    found = theory.check_assumptions(ps.Moments.from_data(X + 7.0, y), X + 7.0, y)
    assert found.gaussian
    assert "holds up to sampling error" in str(found)
    assert "no, done implicitly" in str(found)
    assert found.separation == pytest.approx(0.5, abs=0.05)


def test_one_hot_data_do_not_pass():
    rng = np.random.default_rng(2)
    group = rng.integers(0, 3, 2000)
    y = np.where(rng.random(2000) < 0.2 + 0.3 * group, 1.0, -1.0)
    X = np.eye(3)[group]
    found = theory.check_assumptions(ps.Moments.from_data(X, y), X, y)
    assert found.rank == 2
    assert not found.gaussian
    assert "not guaranteed: z is not Gaussian" in str(found)
    assert "pseudo-inverse" in str(found)


def test_a_population_is_taken_at_its_word():
    found = theory.check_assumptions(MOMENTS)
    assert found.gaussian is None
    assert "guaranteed if z is Gaussian" in str(found)
    apart = theory.check_assumptions(ps.Moments(3 * U, S))
    assert "no distribution has these moments" in str(apart)


def test_what_does_not_belong_together_is_refused():
    X, y = gaussian_sample(U, S, 50, 1)
    with pytest.raises(ValueError, match="`y` must come with X"):
        theory.check_assumptions(MOMENTS, X)
    with pytest.raises(ValueError, match="`X` must have 6 columns"):
        theory.check_assumptions(MOMENTS, X[:, :2], y)
    with pytest.raises(ValueError, match="`gap` must be"):
        theory.rate_bound(MOMENTS, -1.0, 5)
