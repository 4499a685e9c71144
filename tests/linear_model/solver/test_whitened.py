"""The method whitened: its runs and restarts, and its estimate of the suboptimality."""

from itertools import pairwise

import numpy as np
import pytest

import polarstep as ps
from newton import Reference
from polarstep import Status
from polarstep.linear_model.solver import whitened
from polarstep.linear_model.solver.stages import make_stages
from polarstep.losses import LOSSES
from problems import ARCTAN, BOUNDED, skewed
from weighted_samples import centred, gaussian, problem_of, sparse_categories

# ------------------------------------------------------------------ runs


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


def run(problem, theta=None, **options):
    rng = np.random.default_rng(0)
    return whitened.run(make_stages(problem, rng), theta, 1e-8, 200, rng, **options)


def test_the_lowest_result_of_all_runs_is_returned():
    X, y = skewed(3, n=250)
    problem = problem_of(centred(X, y, LOSSES["sigmoid"]), 1e-3)
    seen = []
    best = run(problem, n_restarts=4, callback=seen.append)
    ends = [row.fun for row, after in pairwise(seen) if after.iteration == 0]
    assert len(ends) == 4  # and the last run
    assert best.fun == min(*ends, seen[-1].fun)


def test_a_convex_loss_is_not_restarted():
    problem = problem_of(centred(*gaussian(300, 4)), 1e-3)
    seen = []
    run(problem, n_restarts=4, callback=seen.append)
    assert [row.iteration for row in seen].count(0) == 1


@pytest.mark.parametrize("at", [0, 2])
def test_no_run_follows_an_interrupted_one(at):
    """The result is the lowest so far, and its status says that the runs were interrupted."""
    X, y = skewed(3, n=250)
    problem = problem_of(centred(X, y, LOSSES["sigmoid"]), 1e-3)
    starts = []

    def interrupt(row):
        starts.extend([row.x] * (row.iteration == 0))
        if len(starts) == at + 1:
            raise KeyboardInterrupt

    result = run(problem, n_restarts=4, callback=interrupt)
    assert len(starts) == at + 1
    assert result.status is Status.interrupted
    assert result.fun <= run(problem).fun or at == 0


def test_an_interruption_before_the_first_iterate_is_passed_on(monkeypatch):
    problem = problem_of(centred(*gaussian(300, 4)), 1e-3)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(whitened, "start_on_line", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(problem, callback=lambda row: None)  # with a callback the iteration runs in Python


# ------------------------------------------------------------------ the estimated suboptimality


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
    """The final estimate is too low by at most a tenth and rounding, and tol is always reached."""
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


@pytest.mark.parametrize("loss", ["softplus", "smooth_hinge", "sigmoid"])
@pytest.mark.parametrize("tol", [1e-3, 1e-8])
def test_the_gap_of_a_converged_run_is_at_most_tol_even_where_f_tends_to_zero(loss, tol):
    X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([-1.0, -1.0, 1.0, 1.0])
    rng = np.random.default_rng(0)
    stages = make_stages(problem_of(centred(X, y, LOSSES[loss])), rng)
    result = whitened.run(stages, None, tol, 200, rng)
    assert result.status is Status.converged
    assert 0 <= result.gap <= tol
    assert result.fun < 1e-13
    early = whitened.run(stages, None, tol, 3, rng)
    assert (early.status is Status.converged) == (early.gap <= tol)


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
