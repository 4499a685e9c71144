"""What check_assumptions says about data of several kinds."""

import re

import numpy as np
import pytest
from scipy import stats
from scipy.sparse import csr_array

import polarstep as ps
from polarstep.experiments.data.tables import gaussian_moments, gaussian_sample
from polarstep.methods import theory
from problems import skewed, two_class

U, S = gaussian_moments(6, 20.0, 0.5, 0)
MOMENTS = ps.Moments(U, S)


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


def test_a_population_has_no_sample_to_examine():
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


def test_projections_and_their_statistics():
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


def test_steps_per_digit_are_those_of_the_bound():
    digit = int(re.search(r"\((\d+) steps per digit", str(theory.check_assumptions(MOMENTS)))[1])
    bound = theory.rate_bound(MOMENTS, 1.0, digit + 1)
    assert bound[digit + 1] < 0.1 < bound[digit - 1]


X, Y = two_class(n=20, d=3)
F = ps.Halfspace(X, Y)
REFUSED = {
    "directions": (
        lambda: theory.check_assumptions(F.moments, X, Y, n_directions=0),
        ValueError,
        "check_assumptions: `n_directions` .* >= 1; got 0",
    ),
    "no labels": (
        lambda: theory.check_assumptions(F.moments, X),
        ValueError,
        "check_assumptions: `y` must come with X",
    ),
    "columns": (
        lambda: theory.check_assumptions(F.moments, X[:, :2], Y),
        ValueError,
        "check_assumptions: `X` must have 3 columns",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    attempt, error, words = REFUSED[case]
    with pytest.raises(error, match=f"(?s){words}") as caught:
        attempt()
    assert type(caught.value) is error
