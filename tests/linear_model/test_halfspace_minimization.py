"""`Halfspace` objectives, minimised by the solver of the linear models."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize as scipy_minimize

import polarstep as ps
from polarstep import Status
from problems import relative, skewed
from weighted_samples import KINDS, gaussian

CONVEX = ["smooth_hinge", "softplus", "squared"]
PENALTIES = [
    {},
    {"length_penalty": 0.05},
    {"l2_penalty": 0.1},
    {"length_penalty": 0.01, "l2_penalty": 0.01},
]


def optimum(objective):
    """The minimum of an objective by SciPy, computed in columns of unit variance."""
    d = objective.design.n_features
    unit = np.ones(d + objective.intercept)
    unit[:d] = np.sqrt(objective.design.variance)

    def f(theta):
        x = theta / unit
        return objective.value(x), objective.gradient(x) / unit

    return scipy_minimize(f, np.zeros(len(unit)), jac=True, tol=1e-14).fun


@pytest.mark.parametrize("loss", CONVEX)
@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_minimize_reaches_the_optimum(loss, penalty, intercept, weighted):
    X, y = skewed(n=250)
    weight = np.random.default_rng(0).exponential(size=250) if weighted else None
    for convert in (np.asarray, sp.csr_matrix):
        objective = ps.Halfspace(
            convert(X), y, loss, **penalty, intercept=intercept, sample_weight=weight
        )
        result = ps.minimize(objective, "whitened", tol=1e-9)
        assert result.status is Status.converged
        assert result.fun <= optimum(objective) * (1 + 1e-8)
        assert result.fun == pytest.approx(objective.value(result.x), rel=1e-12)
        assert result.gap <= 1e-9
        assert len(result.x) == X.shape[1] + intercept
        np.testing.assert_allclose(result.x, result.length * result.direction, rtol=1e-12)


def test_a_start_is_taken():
    X, y = skewed()
    objective = ps.Halfspace(X, y, "softplus", 0.1)
    best = ps.minimize(objective, "whitened", tol=1e-12).x
    assert ps.minimize(objective, "whitened", best, tol=1e-8).n_iter == 0
    far = ps.minimize(objective, "whitened", 50 * np.ones(len(best)), tol=1e-10)
    assert far.success
    assert relative(far.x, best) < 1e-3
    np.testing.assert_array_equal(far.trace.fun[0], objective.value(50 * np.ones(len(best))))


@pytest.mark.parametrize("shift", [1e4, 1e8])
def test_columns_far_from_zero(shift):
    X, y = gaussian(5000, 6)
    X = np.round(X, 2) * 1.28  # numbers that 1e8 does not round much
    plain = ps.minimize(ps.Halfspace(X, y, intercept=True), "whitened", tol=1e-8)
    far = ps.minimize(ps.Halfspace(X + shift, y, intercept=True), "whitened", tol=1e-8)
    assert far.success
    assert far.n_passes <= plain.n_passes + 2
    np.testing.assert_allclose(far.x, plain.x, atol=1e-3)


def test_options_are_checked():
    X, y = skewed()
    objective = ps.Halfspace(X, y)
    with pytest.raises(TypeError, match=r"`options` must be one of .*n_restarts.*step_size"):
        ps.minimize(objective, "whitened", step_size=0.1)
    with pytest.raises(TypeError, match="`n_threads` must be a whole number >= 1"):
        ps.minimize(objective, "whitened", n_threads=0.5)
    with pytest.raises(ValueError, match=r"`max_length` must be infinite.*length_penalty"):
        ps.minimize(ps.Halfspace(X, y, max_length=2.0), "whitened")
    with pytest.raises(ValueError, match="`w0` must be a vector of 4"):
        ps.minimize(objective, "whitened", np.ones(3))
    short = ps.minimize(objective, "whitened", max_iter=0)
    assert short.status is Status.max_iter
    assert short.n_iter == 0


@pytest.mark.parametrize("kind", ["C", "F", "csr"])
def test_threads_and_seeds(kind):
    X, y = gaussian(30_000, 5)
    objective = ps.Halfspace(KINDS[kind](X), y)
    one = ps.minimize(objective, "whitened", tol=1e-10)
    three = ps.minimize(objective, "whitened", tol=1e-10, n_threads=3)
    assert three.n_passes == one.n_passes
    np.testing.assert_allclose(three.x, one.x, rtol=1e-6)
    np.testing.assert_allclose(ps.minimize(objective, "whitened", tol=1e-10).x, one.x, rtol=1e-9)
    other = ps.minimize(objective, "whitened", tol=1e-10, seed=5)
    assert relative(other.x, one.x) > 1e-9
    np.testing.assert_allclose(other.x, one.x, atol=1e-3)
