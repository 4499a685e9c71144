"""The intervals and the forms of a summary."""

import pickle

import numpy as np
import pytest

from inference_cases import summarized
from polarstep.linear_model.inference.results import coverage, intervals


def test_intervals_of_another_level():
    found = summarized()
    np.testing.assert_allclose(found.conf_int(), found.interval)
    half = (found.conf_int(0.68268949)[:, 1] - found.coef) / found.std_err
    np.testing.assert_allclose(half, 1.0, rtol=1e-6)
    with pytest.raises(ValueError, match="`level` must be below 1"):
        found.conf_int(1.0)


def test_intervals_of_draws():
    rng = np.random.default_rng(0)
    draws, coef = rng.exponential(size=(2_001, 2)), np.array([1.0, 2.0])
    lower, upper = np.quantile(draws, [0.05, 0.95], axis=0)
    found = intervals("percentile", 0.9, coef, np.ones(2), draws)
    np.testing.assert_allclose(found, np.column_stack([lower, upper]))
    found = intervals("basic", 0.9, coef, np.ones(2), draws)
    np.testing.assert_allclose(found, np.column_stack([2 * coef - upper, 2 * coef - lower]))


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5])
def test_levels(level):
    with pytest.raises(ValueError, match="`level` must be"):
        coverage(level, "f")


def test_a_summary_can_be_pickled():
    found = summarized()
    copy = pickle.loads(pickle.dumps(found))
    assert str(copy) == str(found)
    assert repr(found).startswith("Summary(4 coefficients, covariance='model', n=240, log_")
