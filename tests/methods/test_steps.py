"""Direction rules against their iterations written out, and their default steps."""

import numpy as np
import pytest
from scipy import optimize

import polarstep as ps
from logistic_problem import CENTRED, COVARIANCE, START, X, Y, gradient, path
from problems import skewed


def gradient_descent(w, eta, n):
    yield w
    for _ in range(n):
        w = w - eta * gradient(w)
        yield w


def nesterov(w, eta, n):
    y, before = w, None
    yield y
    for k in range(n):
        x = y - eta * gradient(y)
        y = x if before is None else x + k / (k + 3) * (x - before)
        before = x
        yield y


def normalization(metric):
    """Gradient descent on w and g together, both derivatives taken at the old point."""

    def iterates(w, eta, n, length_eta=0.3, g=1.5):
        A = metric
        yield g * w / np.sqrt(w @ A @ w)
        for _ in range(n):
            norm = np.sqrt(w @ A @ w)
            full = gradient(g * w / norm)
            slope = w @ full / norm
            w = w - eta * g / norm * (full - A @ w * (w @ full) / norm**2)
            g = g - length_eta * slope
            yield g * w / np.sqrt(w @ A @ w)

    return iterates


@pytest.mark.parametrize(
    ("method", "iterates", "options"),
    [
        ("gd", gradient_descent, {}),
        ("agd", nesterov, {}),
        ("wn", normalization(np.eye(4)), {"length": 1.5, "length_step_size": 0.3}),
        ("bn", normalization(COVARIANCE), {"length": 1.5, "length_step_size": 0.3}),
    ],
    ids=["gd", "agd", "wn", "bn"],
)
@pytest.mark.parametrize("eta", [0.02, 0.2])
def test_constant_steps_are_the_iteration_written_out(method, iterates, options, eta):
    objective = ps.Halfspace(X, Y, length_penalty=0.05)
    taken = path(objective, method, START, step_size=eta, max_iter=40, **options)
    written = np.array(list(iterates(START, eta, 40)))
    np.testing.assert_allclose(taken, written, rtol=1e-9, atol=1e-12)


def test_gdnp_is_algorithm_1_written_out():
    """On data that are not Gaussian, c1 is its sample mean and grad_w f the true gradient."""
    lam, L = 0.05, np.linalg.eigvalsh(COVARIANCE)[-1]
    u = -CENTRED.T @ Y / len(Y)
    w, g = START, 1.0
    written = [w / np.sqrt(w @ COVARIANCE @ w)]
    for _ in range(12):
        norm = np.sqrt(w @ COVARIANCE @ w)
        margins = -Y * (CENTRED @ (g * w / norm))
        s = 1 / (1 + np.exp(-margins))
        c1 = s.mean() - (s * (1 - s)).mean() * (u @ (g * w / norm))
        full = gradient(g * w / norm)
        tangent = g / norm * (full - COVARIANCE @ w * (w @ full) / norm**2)
        w = w + norm**3 / (L * g * c1 * (u @ w)) * tangent
        unit = w / np.sqrt(w @ COVARIANCE @ w)
        g = optimize.brentq(lambda h, v=unit: v @ gradient(h * v, lam), -50, 50, xtol=1e-14)
        written.append(g * unit)
    taken = path(ps.Halfspace(X, Y, length_penalty=lam), "gdnp", START, max_iter=12)
    np.testing.assert_allclose(taken, written, rtol=1e-8, atol=1e-11)


def test_default_steps():
    objective = ps.Halfspace(X, Y, length_penalty=0.05)
    C, L = objective.curvature, objective.moments.L
    assert pytest.approx(0.3) == C
    for method in ("gd", "agd"):
        one = path(objective, method, START, max_iter=10)
        other = path(objective, method, START, max_iter=10, step_size=1 / (C * L))
        np.testing.assert_array_equal(one, other)
    for method, norm, length_step in (("wn", 1.0, 1 / (C * L)), ("bn", COVARIANCE, 1 / C)):
        squared = START @ START if method == "wn" else START @ norm @ START
        options = {"step_size": squared / (C * L), "length_step_size": length_step}
        one = path(objective, method, START, max_iter=10)
        other = path(objective, method, START, max_iter=10, **options)
        np.testing.assert_allclose(one, other, rtol=1e-9)
    one = path(objective, "gdnp", START, max_iter=10)
    other = path(objective, "gdnp", START, max_iter=10, step_size=1 / L)
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("loss", ["softplus", "smooth_hinge", "squared", "sigmoid"])
def test_gradient_descent_with_the_default_step_never_rises(loss):
    run = ps.minimize(ps.Halfspace(X, Y, loss, 0.05), "gd", 20 * START, max_iter=100, tol=0.0)
    assert (np.diff(run.trace.fun) <= 1e-14).all()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("alpha", [1.0, 30.0])
def test_the_step_of_gdnp_is_safe_under_a_large_l2_penalty(seed, alpha):
    data, y = skewed(seed, 200, 4)
    for intercept in (False, True):
        objective = ps.Halfspace(data, y, l2_penalty=alpha, intercept=intercept)
        assert ps.minimize(objective, "gdnp", max_iter=500, tol=1e-7).success
