"""All methods against the optima of other solvers, whatever the size of start and data."""

import numpy as np
import pytest
from scipy import optimize
from sklearn.linear_model import LogisticRegression

import polarstep as ps
from logistic_problem import CENTRED, START, X, Y, path
from problems import METHODS


@pytest.mark.parametrize("method", ["wn", "bn", "gdnp"])
def test_the_size_of_the_start_does_not_matter(method):
    objective = ps.Halfspace(X, Y, length_penalty=0.05)
    one = path(objective, method, START, max_iter=20)
    for size in (1e-100, 1e-3, 1e100):
        other = path(objective, method, size * START, max_iter=20)
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-140, 1e-60, 1e60, 1e140])
@pytest.mark.parametrize("method", ["gd", "agd", "bn", "gdnp"])
def test_the_size_of_the_data_does_not_matter(method, scale):
    here, there = (
        ps.minimize(ps.Halfspace(A, Y, "sigmoid", 0.1), method, max_iter=20, tol=0.0)
        for A in (X, scale * X)
    )
    np.testing.assert_allclose(there.trace.fun, here.trace.fun, rtol=1e-6)


@pytest.mark.parametrize("loss", ["softplus", "smooth_hinge", "squared"])
@pytest.mark.parametrize("method", METHODS)
def test_all_methods_find_the_optimum_of_a_convex_loss(method, loss):
    objective = ps.Halfspace(X, Y, loss, 0.1)
    found = optimize.minimize(
        objective.value, np.zeros(4), jac=objective.gradient, method="BFGS", options={"gtol": 1e-9}
    )
    run = ps.minimize(objective, method, max_iter=20_000, tol=1e-7)
    assert run.success
    assert run.fun == pytest.approx(found.fun, abs=1e-10)
    assert run.x == pytest.approx(found.x, rel=1e-4)


def test_softplus_is_logistic_regression():
    reference = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=1000)
    reference.fit(CENTRED, Y)
    run = ps.minimize(ps.Halfspace(X, Y), "gdnp", max_iter=3000)
    assert run.success
    np.testing.assert_allclose(run.x, reference.coef_[0], rtol=1e-5)
