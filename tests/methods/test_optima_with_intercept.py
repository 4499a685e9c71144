"""All methods with weights, an intercept and an l2 penalty, against other solvers."""

import numpy as np
import pytest
from scipy import optimize
from sklearn.linear_model import LogisticRegression

import polarstep as ps
from halfspace_cases import FORMS, WEIGHTS, X, Y, written_out
from problems import METHODS, one_hot


@pytest.mark.parametrize("form", ["C", "csr", "float32"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_optimum(method, form):
    data = X.astype(np.float32) if form == "float32" else FORMS[form](X)
    exact = X.astype(np.float32).astype(float) if form == "float32" else X
    options = {"l2_penalty": 0.05, "length_penalty": 0.02, "intercept": True}
    objective = ps.Halfspace(data, Y, **options, sample_weight=WEIGHTS)
    best = optimize.minimize(
        lambda w: written_out(objective, w, exact, WEIGHTS), np.zeros(4), options={"gtol": 1e-8}
    )
    result = ps.minimize(objective, method, max_iter=5000)
    assert result.status is ps.Status.converged
    assert result.fun == pytest.approx(best.fun, abs=1e-12)
    np.testing.assert_allclose(result.x, best.x, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_logistic_regression_is_that_of_scikit_learn(method):

    peer = LogisticRegression(C=1 / (0.1 * WEIGHTS.sum()), tol=1e-10, max_iter=1000)
    peer.fit(X, Y, WEIGHTS)
    objective = ps.Halfspace(X, Y, l2_penalty=0.1, intercept=True, sample_weight=WEIGHTS)
    result = ps.minimize(objective, method, max_iter=5000)
    np.testing.assert_allclose(result.x[:3], peer.coef_[0], atol=1e-6)
    offset = result.x[3] - objective.moments.mean @ result.x
    assert offset == pytest.approx(peer.intercept_[0], abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_singular_s_with_an_l2_penalty(method):
    """The component of wt outside the range of S stays zero, as at the optimum."""
    data, y, _ = one_hot(3)
    objective = ps.Halfspace(data, y, l2_penalty=0.02, intercept=True)
    w0 = np.random.default_rng(0).standard_normal(10)
    result = ps.minimize(objective, method, w0, max_iter=5000)
    assert result.status is ps.Status.converged
    best = optimize.minimize(
        lambda w: written_out(objective, w, data), np.zeros(10), options={"gtol": 1e-8}
    )
    assert result.fun == pytest.approx(best.fun, abs=1e-11)
    np.testing.assert_allclose(objective.moments.project(result.x), result.x, atol=1e-12)
    np.testing.assert_allclose(result.x, best.x, atol=1e-5)
