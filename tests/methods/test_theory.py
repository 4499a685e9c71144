"""Bounds' shapes, and what check_assumptions says about data of several kinds."""

import re

import numpy as np
import pytest
from scipy import stats
from scipy.sparse import csr_array

import polarstep as ps
from polarstep.experiments.data.tables import gaussian_moments, gaussian_sample
from polarstep.methods import theory
from problems import LOSS_NAMES, skewed, two_class

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


def test_false_alarms_are_rare_and_skewed_data_are_found():
    alarms = 0
    for seed in range(60):
        X, y = two_class(seed, n=400, d=4)
        alarms += not theory.check_assumptions(ps.Moments.from_data(X, y), X, y, seed=seed).gaussian
        X, y = skewed(seed, n=400, d=4)
        assert not theory.check_assumptions(ps.Moments.from_data(X, y), X, y).gaussian
    assert alarms <= 3


def test_one_sided_data_do_not_pass():
    rng = np.random.default_rng(0)
    X = np.abs(rng.standard_normal((500, 1)))
    y = np.where(rng.random(500) < 0.5, 1, -1)
    assert not theory.check_assumptions(ps.Moments.from_data(X, y), X, y).gaussian


def test_what_is_looked_at():
    X, y = two_class(n=300, d=5)
    moments = ps.Moments.from_data(X, y)
    found = theory.check_assumptions(moments, X, y)
    assert [p.name for p in found.projections] == [
        "along S^-1 u",
        "along u",
        "along a random direction",
    ]
    again = theory.check_assumptions(moments, csr_array(X), 2 * y + 1)
    assert [p.distance for p in again.projections] == pytest.approx(
        [p.distance for p in found.projections]
    )
    assert (found.n_samples, found.n_features, found.rank) == (300, 5, 5)
    assert found.offset == pytest.approx(np.max(np.abs(X.mean(0)) / X.std(0)))
    # The distance is that of the projected sample from the normal distribution of its moments.
    w = moments.solve(moments.u)
    z = -y * ((X - X.mean(0)) @ w)
    distance = stats.kstest((z - z.mean()) / z.std(), "norm").statistic
    assert found.projections[0].distance == pytest.approx(distance, abs=1e-12)
    assert found.projections[0].skewness == pytest.approx(stats.skew(z), abs=1e-10)
    assert found.projections[0].excess_kurtosis == pytest.approx(stats.kurtosis(z), abs=1e-10)


def test_the_report_survives_any_spectrum():
    rng = np.random.default_rng(0)
    for X in (
        rng.standard_normal((50, 3)) * [1e-9, 1.0, 1e9],  # kappa = 1e36
        rng.standard_normal((50, 1)),  # kappa = 1
        np.eye(4)[rng.integers(0, 4, 50)],
        rng.standard_normal((4, 6)),  # fewer rows than columns
    ):
        y = np.where(np.arange(len(X)) % 2, 1, -1)
        found = theory.check_assumptions(ps.Moments.from_data(X, y), X, y)
        assert "steps per digit" in str(found)
        assert "nan" not in str(found)
        assert "inf" not in str(found)
    uncorrelated = np.array([[1.0], [1], [-1], [-1]])
    labels = [1, -1, 1, -1]
    found = theory.check_assumptions(
        ps.Moments.from_data(uncorrelated, labels), uncorrelated, labels
    )
    assert (found.separation, len(found.projections)) == (0, 1)


def test_steps_a_digit_are_those_of_the_bound():
    digit = int(re.search(r"\((\d+) steps per digit", str(theory.check_assumptions(MOMENTS)))[1])
    bound = theory.rate_bound(MOMENTS, 1.0, digit + 1)
    assert bound[digit + 1] < 0.1 < bound[digit - 1]


def test_gradient_bound_is_the_formula():
    bound = theory.gradient_bound(
        MOMENTS, 0.3, 5, "sigmoid", bisection_steps=3, bracket_width=-2.0, step_size=0.1
    )
    sigmoid = ps.losses.LOSSES["sigmoid"]
    rate = theory.contraction(MOMENTS, 0.1) ** (2 * np.arange(6)) * 0.3
    expected = sigmoid.sup_coefficient**2 * rate + (sigmoid.sup_curvature * 2 / 8) ** 2
    np.testing.assert_allclose(bound, np.sqrt(expected), rtol=1e-12)


def test_what_does_not_belong_together_is_refused():
    X, y = gaussian_sample(U, S, 50, 1)
    with pytest.raises(ValueError, match="`y` must come with X"):
        theory.check_assumptions(MOMENTS, X)
    with pytest.raises(ValueError, match="`X` must have 6 columns"):
        theory.check_assumptions(MOMENTS, X[:, :2], y)
    with pytest.raises(ValueError, match="`gap` must be"):
        theory.rate_bound(MOMENTS, -1.0, 5)
