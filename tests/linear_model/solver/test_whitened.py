"""The method whitened: its optimum, its estimate of the suboptimality, its traces and options."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize as scipy_minimize

import polarstep as ps
from newton import Reference
from polarstep import Status
from problems import ARCTAN, BOUNDED, relative, skewed
from weighted_samples import KINDS, gaussian, sparse_categories

CONVEX = ["smooth_hinge", "softplus", "squared"]

# ------------------------------------------------------------------ the optimum, by minimize


def optimum(objective):
    """scipy's minimum of an objective, in columns of unit variance."""
    d = objective.design.n_features
    unit = np.ones(d + objective.intercept)
    unit[:d] = np.sqrt(objective.design.variance)

    def f(theta):
        x = theta / unit
        return objective.value(x), objective.gradient(x) / unit

    return scipy_minimize(f, np.zeros(len(unit)), jac=True, tol=1e-14).fun


PENALTIES = [
    {},
    {"length_penalty": 0.05},
    {"l2_penalty": 0.1},
    {"length_penalty": 0.01, "l2_penalty": 0.01},
]


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


@pytest.mark.parametrize("loss", [*BOUNDED, "arctan"])
@pytest.mark.parametrize("intercept", [True, False])
def test_losses_that_are_not_convex_end_in_a_critical_point(loss, intercept):
    for seed in range(3):
        X, y = skewed(seed, n=250)
        loss = ARCTAN if loss == "arctan" else loss
        objective = ps.Halfspace(X, y, loss, 0.02, intercept=intercept)
        result = ps.minimize(objective, "whitened", tol=1e-10, max_iter=500)
        assert result.success
        assert objective.moments.dual_norm(objective.gradient(result.x)) < 1e-4
        more = ps.minimize(objective, "whitened", tol=1e-10, max_iter=500, n_restarts=3)
        assert more.fun <= result.fun + 1e-12


def test_a_start_is_taken():
    X, y = skewed()
    objective = ps.Halfspace(X, y, "softplus", 0.1)
    best = ps.minimize(objective, "whitened", tol=1e-12).x
    assert ps.minimize(objective, "whitened", best, tol=1e-8).n_iter == 0
    far = ps.minimize(objective, "whitened", 50 * np.ones(len(best)), tol=1e-10)
    assert far.success
    assert relative(far.x, best) < 1e-3
    np.testing.assert_array_equal(far.trace.fun[0], objective.value(50 * np.ones(len(best))))


@pytest.mark.parametrize("loss", ["softplus", "sigmoid"])
def test_f_falls_at_every_iterate_and_the_trace_is_consistent(loss):
    X, y = skewed(n=400)
    seen = []
    result = ps.minimize(
        ps.Halfspace(X, y, loss, 0.01), "whitened", tol=1e-12, callback=seen.append, max_iter=300
    )
    trace = result.trace
    assert len(seen) == len(trace) == result.n_iter + 1
    assert (np.diff(trace.fun) <= 1e-12 * np.abs(trace.fun[0])).all()
    assert (np.diff(trace.passes) >= 1).all()
    assert (np.diff(trace.seconds) >= 0).all()
    np.testing.assert_array_equal(seen[-1].x, result.x)


def test_callbacks_stop_a_run():
    X, y = skewed()
    for kind in (StopIteration, KeyboardInterrupt):

        def stop(row, kind=kind):
            if row.iteration == 1:
                raise kind

        result = ps.minimize(ps.Halfspace(X, y), "whitened", tol=1e-14, callback=stop)
        assert result.status is Status.interrupted
        assert result.n_iter == 1
        assert not result.success

    def fail(row):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        ps.minimize(ps.Halfspace(X, y), "whitened", callback=fail)


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
    X, y = gaussian(6000, 5)
    objective = ps.Halfspace(KINDS[kind](X), y)
    one = ps.minimize(objective, "whitened", tol=1e-10)
    three = ps.minimize(objective, "whitened", tol=1e-10, n_threads=3)
    assert three.n_passes == one.n_passes
    np.testing.assert_allclose(three.x, one.x, rtol=1e-6)
    np.testing.assert_allclose(ps.minimize(objective, "whitened", tol=1e-10).x, one.x, rtol=1e-9)
    other = ps.minimize(objective, "whitened", tol=1e-10, seed=5)
    assert relative(other.x, one.x) > 1e-9
    np.testing.assert_allclose(other.x, one.x, atol=1e-3)


# ------------------------------------------------------------------ the estimate it stops by


def heavy(n, d, seed=0):
    rng = np.random.default_rng(seed)
    X = np.exp(1.5 * rng.standard_normal((n, d)))
    return X, np.where(np.log(X) @ rng.standard_normal(d) + rng.logistic(size=n) > 0, 1.0, -1.0)


def rare(n, d, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    X[:, d // 2 :] *= rng.random((n, d - d // 2)) < 2e-3
    return X, np.where(X @ rng.standard_normal(d) + rng.logistic(size=n) > 0, 1.0, -1.0)


def correlated(n, d, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 1))
    X = z + 1e-3 * rng.standard_normal((n, d))
    return X, np.where(z[:, 0] + rng.logistic(size=n) > 0, 1.0, -1.0)


TABLE = {
    "gaussian": gaussian(6000, 10),
    "heavy tails": heavy(6000, 8),
    "rare": rare(6000, 10),
    "correlated": correlated(6000, 8),
    "categories": sparse_categories(),
    "skewed": skewed(n=5000),
    "few": gaussian(80, 6),
}


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("loss", ["softplus", "smooth_hinge"])
@pytest.mark.parametrize("alpha", [1e-2, 1e-6])
def test_the_estimate_is_not_below_the_truth(name, loss, alpha):
    """At the end, to a tenth and rounding; tol is kept to the letter."""
    X, y = TABLE[name]
    n = X.shape[0]
    reference = Reference(X, y, loss, alpha, weight=np.full(n, 1 / n))
    objective = ps.Halfspace(X, y, loss, l2_penalty=alpha, intercept=True)
    for tol in (1e-3, 1e-4, 1e-6, 1e-8, 1e-10):
        result = ps.minimize(objective, "whitened", tol=tol)
        assert result.success
        w, b = result.x[:-1], result.x[-1] - objective.design.mean @ result.x[:-1]
        reached = reference.excess(w, b)
        assert reached <= tol + 1e-14
        assert reached <= 1.1 * result.gap + 1e-13


@pytest.mark.parametrize("name", ["gaussian", "heavy tails", "rare", "skewed", "few"])
def test_passes_do_not_depend_on_the_units_of_columns(name):
    X, y = TABLE[name]
    rng = np.random.default_rng(0)
    plain = ps.minimize(ps.Halfspace(X, y, l2_penalty=1e-16), "whitened", tol=1e-6)
    for _ in range(3):
        units = 10.0 ** rng.uniform(-6, 6, X.shape[1])
        result = ps.minimize(ps.Halfspace(X * units, y, l2_penalty=1e-28), "whitened", tol=1e-6)
        assert result.n_passes == plain.n_passes
        assert result.n_iter == plain.n_iter
        assert result.fun == pytest.approx(plain.fun, rel=1e-6)


@pytest.mark.parametrize("shift", [1e4, 1e8])
def test_columns_far_from_zero(shift):
    X, y = gaussian(5000, 6)
    X = np.round(X, 2) * 1.28  # numbers that 1e8 does not round much
    plain = ps.minimize(ps.Halfspace(X, y, intercept=True), "whitened", tol=1e-8)
    far = ps.minimize(ps.Halfspace(X + shift, y, intercept=True), "whitened", tol=1e-8)
    assert far.success
    assert far.n_passes <= plain.n_passes + 2
    np.testing.assert_allclose(far.x, plain.x, atol=1e-3)
