"""The five methods against their iterations written out, and against other solvers' optima."""

import numpy as np
import pytest
from scipy import optimize
from sklearn.linear_model import LogisticRegression

import polarstep as ps
from polarstep.methods.lengths import constant_length_step
from polarstep.methods.roots import bracket, brent, newton
from polarstep.methods.steps import theorem_step
from polarstep.methods.table import METHODS as TABLE
from polarstep.methods.table import Method
from problems import LOSS_NAMES, METHODS, population, skewed

X, Y = skewed(11, 300, 4)
X = (X - 1) @ np.linalg.inv(np.linalg.cholesky(np.cov(X.T))).T * [1.0, 1.5, 2.0, 0.7] + 1
CENTRED = X - X.mean(0)
COVARIANCE = CENTRED.T @ CENTRED / len(Y)
START = np.array([0.3, -0.2, 0.5, 0.1])


def path(objective, method, w0, **options):
    """Every wt of a run, shape (n_iter + 1, d)."""
    seen = []
    ps.minimize(objective, method, w0, tol=0.0, callback=lambda row: seen.append(row.x), **options)
    return np.array(seen)


def gradient(wt, lam=0.05):
    """That of the logistic loss with a length penalty, written out."""
    margins = -Y * (CENTRED @ wt)
    return -CENTRED.T @ (Y / (1 + np.exp(-margins))) / len(Y) + lam * COVARIANCE @ wt


# ------------------------------------------------------------------ iterations written out


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


def test_methods_can_be_composed():
    objective = ps.Halfspace(X, Y, length_penalty=0.05)
    mixed = Method("mixed", TABLE["gdnp"].parameterization, theorem_step, constant_length_step)
    run = ps.minimize(objective, mixed, max_iter=500, length_step_size=2.0)
    assert run.success
    assert run.method == "mixed"
    assert run.message.startswith("mixed: ")
    assert run.fun == pytest.approx(ps.minimize(objective, "gdnp", max_iter=500).fun, abs=1e-12)


# ------------------------------------------------------------------ lengths


@pytest.mark.parametrize("loss", [*LOSS_NAMES])
@pytest.mark.parametrize("start", [1e-6, 0.3, 40.0, 2e3])
def test_length_searches_agree(loss, start):
    p = population(5, 4, kappa=8.0, separation=0.6)
    for objective in (
        ps.Halfspace(X, Y, loss, 0.02),
        ps.GaussianHalfspace(p.u, p.S, loss, 0.02),
    ):
        w = -objective.moments.u + 0.1 * START * np.abs(objective.moments.u).max()
        ray = objective.along(w)
        a, b = bracket(ray, 1.0, start)
        assert ray.slope(a) <= 0 < ray.slope(b)
        exact = brent(ray, a, b)
        assert ray.slope(exact) == pytest.approx(0, abs=1e-12 * max(1.0, start))
        quick = newton(ray, start, np.inf)
        if quick is not None:
            assert quick == pytest.approx(exact, rel=1e-9)
        for options in ({}, {"bisection_steps": 50}):
            options |= {"length": start, "max_iter": 1, "tol": 0.0}
            run = ps.minimize(objective, "gdnp", w, **options)
            assert run.n_iter == 1
            end = objective.along(run.x)
            assert end.slope(run.length) == pytest.approx(0, abs=1e-12 * max(1.0, start))


@pytest.mark.parametrize("length", [0.0, -2.0, 1e-300, 1e6])
@pytest.mark.parametrize("method", ["gdnp", "bn", "wn"])
def test_any_starting_length_will_do(method, length):
    objective = ps.Halfspace(X, Y, length_penalty=0.3)
    best = ps.minimize(objective, "gdnp", max_iter=3000).fun
    if method == "gdnp":
        run = ps.minimize(objective, method, length=length, max_iter=3000)
        assert run.success
        assert run.fun == pytest.approx(best, abs=1e-12)
    else:
        run = ps.minimize(objective, method, START, length=length, max_iter=300, tol=0.0)
        assert run.trace.fun[-1] < run.trace.fun[0]
    in_s = objective.moments.norm(START) / np.linalg.norm(START) if method == "wn" else 1.0
    assert run.trace.length[0] == pytest.approx(abs(length) * in_s)


def test_least_squares_takes_the_best_length_of_every_direction():
    objective = ps.LeastSquares(X, 2 * Y + 1)
    moments = objective.moments
    run = ps.minimize(objective, "gdnp", START, max_iter=15, tol=0.0)
    for x, length, fun in zip(
        path(objective, "gdnp", START, max_iter=15)[1:],
        run.trace.length[1:],
        run.trace.fun[1:],
        strict=True,
    ):
        assert length == pytest.approx(abs(moments.u @ x) / moments.norm(x))
        assert fun == pytest.approx(moments.y_squared + moments.rho(x))
    best = np.linalg.lstsq(CENTRED, 2 * Y + 1)[0]
    assert ps.minimize(objective, "gdnp", max_iter=2000).x == pytest.approx(best, rel=1e-6)


# ------------------------------------------------------------------ optima of other solvers


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
