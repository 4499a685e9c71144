"""The weights of least norm with the same margins, whatever the units of the columns."""

import numpy as np
import pytest
import scipy.sparse as sp

from polarstep.linear_model import least_norm
from polarstep.linear_model.least_norm import LeastNorm
from polarstep.linear_model.solver.samples import Samples
from polarstep.losses import LOSSES

RNG = np.random.default_rng(0)


def samples_of(X, intercept=True, weight=None):
    n = X.shape[0]
    weight = np.full(n, 1 / n) if weight is None else weight / weight.sum()
    centre = np.zeros(X.shape[1])
    if intercept:
        centre = np.asarray(X[:20].mean(axis=0)).ravel()
    y = np.where(np.arange(n) % 3, 1.0, -1.0)
    return Samples.from_arrays(X, y, weight, centre, LOSSES["softplus"])


def check(X, theta, intercept, weight=None, rtol=1e-6):
    """Compare with the pseudo-inverse of the centred columns."""
    found = LeastNorm(samples_of(X, intercept, weight), intercept).of(theta)
    dense = X.toarray() if sp.issparse(X) else X
    d = dense.shape[1]
    rows = dense - dense[:20].mean(axis=0) if intercept else dense
    b = (theta[d], found[d]) if intercept else (0.0, 0.0)
    margins = rows @ theta[:d] + b[0]
    np.testing.assert_allclose(rows @ found[:d] + b[1], margins, atol=1e-9 * np.abs(margins).max())
    Z = dense - dense.mean(axis=0) if intercept else rows
    best = np.linalg.pinv(Z, rcond=1e-9) @ (Z @ theta[:d])
    np.testing.assert_allclose(found[:d], best, rtol=rtol, atol=rtol * np.abs(best).max())
    return found


def test_a_column_and_its_thousandfold():
    a = RNG.normal(size=(40, 1))
    found = LeastNorm(samples_of(np.hstack([a, 1000 * a])), True).of(np.array([0.5, 5e-4, 0.0]))
    np.testing.assert_allclose(found[:2], [1e-6, 1e-3], rtol=2e-6)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array])
def test_indicators_of_categories(intercept, convert):
    X = np.hstack([np.eye(k)[RNG.integers(0, k, 80)] for k in (3, 4, 2)])
    X = np.hstack([X, RNG.normal(size=(80, 2)), np.full((80, 1), 3.0)])
    theta = RNG.normal(size=X.shape[1] + intercept)
    check(convert(X), theta, intercept)
    check(convert(X), theta, intercept, RNG.exponential(size=80))


@pytest.mark.parametrize("intercept", [True, False])
def test_more_columns_than_rows(intercept):
    X = RNG.normal(size=(12, 30))
    check(X, RNG.normal(size=30 + intercept), intercept)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_units_do_not_decide_which_columns_are_collinear(scale):
    a, b = RNG.normal(size=(2, 60, 1))
    unit = np.array([1.0, scale, 1.0, 1e3 * scale, 1.0])
    X = np.hstack([a, a + b, RNG.normal(size=(60, 1)), b, np.ones((60, 1))]) * unit
    found = LeastNorm(samples_of(X), True).of(np.array([1.0, 1.0, 1.0, 1.0, 5.0, 0.0]))
    kernel = np.array([1.0, -1.0, 0.0, 1.0, 0.0]) / unit
    assert abs(found[:5] @ kernel) <= 1e-9 * np.linalg.norm(found[:5]) * np.linalg.norm(kernel)
    assert found[4] == pytest.approx(0.0, abs=1e-12)


def test_columns_that_are_only_almost_collinear_stay_as_they_are():
    a = RNG.normal(size=(100, 1))
    X = np.hstack([a, a + 1e-6 * RNG.normal(size=(100, 1)), a + 1e-3 * RNG.normal(size=(100, 1))])
    theta = np.array([1e4, -1e4, 3.0, 0.5])
    np.testing.assert_array_equal(LeastNorm(samples_of(X), True).of(theta), theta)
    both = np.hstack([X, X[:, :1]])  # beside a column that occurs twice
    found = LeastNorm(samples_of(both), True).of(np.array([1e4, -1e4, 3.0, 2e4, 0.5]))
    np.testing.assert_allclose(found[:4], [1.5e4, -1e4, 3.0, 1.5e4], rtol=1e-6)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array])
def test_many_columns_are_solved_iteratively(intercept, convert, monkeypatch):
    monkeypatch.setattr(least_norm, "_MOST_DENSE", 3)
    X = np.hstack([np.eye(k)[RNG.integers(0, k, 80)] for k in (3, 4, 2)])
    check(convert(X), RNG.normal(size=9 + intercept), intercept)
