"""The compiled Newton method for few rows and columns: same results as the general method."""

import numpy as np
import pytest

import polarstep as ps
from newton import Reference
from polarstep import Status
from polarstep.linear_model.solver import small
from polarstep.linear_model.solver.penalty import DensePenalty
from polarstep.linear_model.solver.problem import NotFinite, Problem
from polarstep.linear_model.solver.small import is_small, solve_small
from polarstep.linear_model.solver.stages import make_stages
from polarstep.linear_model.solver.whitened import run
from polarstep.losses import LOSSES, smooth_hinge
from problems import ARCTAN, skewed
from weighted_samples import KINDS, centred, gaussian, problem_of, samples_of

CONVEX = [LOSSES["softplus"], LOSSES["squared"], smooth_hinge(1.0), smooth_hinge(0.1)]


def test_which_problems_are_small():
    X, y = gaussian(200, 5)
    assert is_small(problem_of(centred(X, y), 1e-3))
    for kind in KINDS:
        assert is_small(problem_of(samples_of(kind)[0]))
    for loss in (ARCTAN, LOSSES["sigmoid"]):
        assert not is_small(problem_of(centred(X, y, loss), 1e-3))
    assert not is_small(problem_of(centred(*gaussian(30_000, 5)), 1e-3))
    assert not is_small(problem_of(centred(*gaussian(20, 200)), 1e-3))
    assert not is_small(Problem(centred(X, y), DensePenalty(np.eye(5)), True))
    assert len(make_stages(problem_of(centred(*gaussian(9_000, 3))), np.random.default_rng(0))) == 1


@pytest.mark.parametrize("loss", CONVEX, ids=["softplus", "squared", "hinge", "narrow hinge"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("alpha", [1e-1, 1e-3, 1e-7])
def test_the_optimum_and_the_estimate(loss, intercept, alpha):
    for seed, (n, d) in enumerate([(300, 7), (90, 9), (40, 4), (25, 30)]):
        X, y = skewed(seed, n=n, d=d)
        X = X * 10.0 ** np.random.default_rng(seed).uniform(-2, 2, d)
        weight = np.random.default_rng(seed).exponential(size=n)
        weight /= weight.sum()
        samples = centred(X, y, loss)
        samples.weight[:] = weight
        Z = X - samples.centre
        reference = Reference(Z, y, loss, alpha, weight=weight, intercept=intercept)
        for tol in (1e-3, 1e-6, 1e-10):
            problem = problem_of(samples, alpha, intercept)
            result = solve_small(problem, None, tol, 200)
            assert result.success
            excess = reference.excess(result.x[:d], result.x[-1] if intercept else 0.0)
            assert excess <= tol + 1e-13
            assert excess <= 1.1 * result.gap + 1e-13


@pytest.mark.parametrize("loss", CONVEX, ids=["softplus", "squared", "hinge", "narrow hinge"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_callback_changes_the_path_but_not_the_result(loss, kind):
    samples, _ = samples_of(kind, loss, n=120, d=6)
    problem = problem_of(samples, 1e-2)
    rng = np.random.default_rng(0)
    seen = []
    watched = run([problem], None, 1e-12, 100, rng, seen.append)
    alone = run([problem_of(samples, 1e-2)], None, 1e-12, 100, rng)
    assert len(seen) == watched.n_iter + 1
    assert alone.fun == pytest.approx(watched.fun, rel=1e-11)
    np.testing.assert_allclose(alone.x, watched.x, atol=1e-5 * np.abs(watched.x).max())
    for result in (alone, watched):
        assert result.success
        assert result.length == pytest.approx(watched.length, rel=1e-5)


def test_the_trace():
    X, y = skewed(n=300)
    problem = problem_of(centred(X, y), 1e-3)
    result = solve_small(problem, None, 1e-12, 100)
    trace = result.trace
    assert len(trace) == result.n_iter + 1
    assert trace.fun[0] == pytest.approx(np.log(2))
    assert trace.length[0] == 0
    assert (np.diff(trace.fun) <= 0).all()
    assert (np.diff(trace.passes) == 3).all()
    assert (np.diff(trace.seconds) > 0).all()
    point = problem.evaluate(result.x)
    assert (result.fun, result.length) == pytest.approx((point.fun, point.length))
    assert np.abs(point.gradient).max() < 1e-6
    assert 0 < result.grad_norm < 1e-5


def test_a_start_is_continued_and_max_iter_is_kept():
    X, y = skewed(n=300)
    problem = problem_of(centred(X, y), 1e-4)
    first = solve_small(problem, None, 1e-12, 3)
    assert (first.status, first.n_iter) == (Status.max_iter, 3)
    rest = solve_small(problem, first.x, 1e-12, 100)
    assert rest.trace.fun[0] == pytest.approx(first.fun, rel=1e-14)
    assert rest.n_iter + 3 == solve_small(problem, None, 1e-12, 100).n_iter
    assert solve_small(problem, rest.x, 1e-8, 100).n_iter == 0


def test_rounding_ends_a_run():
    X, y = skewed(n=300)
    result = solve_small(problem_of(centred(X, y), 1e-4), None, 0.0, 200)
    assert result.status is Status.rounding


def test_a_run_of_many_steps_is_left_to_other_methods(monkeypatch):
    monkeypatch.setattr(small, "_MOST_STEPS", 2)
    X, y = skewed(n=300)
    problem = problem_of(centred(X, y), 1e-4)
    assert solve_small(problem, None, 1e-12, 100) is None
    assert solve_small(problem, None, 1e-12, 2).status is Status.max_iter
    assert run([problem], None, 1e-10, 100, np.random.default_rng(0)).success


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_numbers_that_are_not_finite_are_refused(bad):
    X, y = skewed(n=60)
    X[7, 1] = bad
    samples = centred(X, y)
    samples.centre[:] = 0.0
    with pytest.raises(NotFinite), np.errstate(all="ignore"):
        solve_small(problem_of(samples, 1e-3), None, 1e-8, 100)


def test_separated_classes_without_a_penalty():
    """f falls towards 0; the run ends only where f is a rounding error of its start."""
    X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([-1.0, -1.0, 1.0, 1.0])
    result = solve_small(problem_of(centred(X, y)), None, 1e-8, 100)
    assert result.fun < 1e-10


def test_a_classifier_of_small_data():
    X, y = skewed(n=150)
    model = ps.HalfspaceClassifier(C=10.0, tol=1e-10).fit(X, y)
    assert model.n_iter_[0] == len(model.result_.trace) - 1
    reference = Reference(X, y, "softplus", 1 / (10 * len(y)), weight=np.full(len(y), 1 / len(y)))
    np.testing.assert_allclose(model.coef_[0], reference.w, rtol=1e-4, atol=1e-6)
