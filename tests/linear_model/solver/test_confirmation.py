"""Convergence with a loss that is not convex is believed only where f is not lower nearby."""

import numpy as np
import pytest

from newton import Reference
from polarstep import HalfspaceClassifier
from polarstep.linear_model.solver.confirmation import descend_until_confirmed, find_lower
from polarstep.linear_model.solver.stages import Renewal
from polarstep.losses import LOSSES
from polarstep.result import Status
from weighted_samples import centred, gaussian, problem_of

LENGTHS = np.append(0.0, np.geomspace(1e-3, 1e3, 121))


def objective(X, y, C, loss, w, b):
    return C * LOSSES[loss].phi(-y * (X @ w + b)).sum() + 0.5 * w @ w


def lowest_on_rays(X, y, C, loss, w, b):
    """Return the lowest value on the rays through the weights, with three kinds of intercepts."""
    m = X.mean(axis=0) @ w
    rates = ((0.0, b), (b, 0.0), (-m, b + m))
    return min(objective(X, y, C, loss, t * w, t * k + c) for t in LENGTHS for k, c in rates)


@pytest.mark.parametrize("loss", ["sigmoid", "normal_cdf"])
def test_no_length_along_the_weights_is_better_than_that_of_a_converged_run(loss):
    converged = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        n, d = rng.integers(3, 40), rng.integers(1, 7)
        X = rng.normal(size=(n, d)) * 10.0 ** rng.uniform(-1, 4, d)
        y = np.where(X[:, 0] + X[:, 0].std() * rng.logistic(size=n) > 0, 1.0, -1.0)
        y[0] = -y[1:].sum() > 0 or -1.0
        C = 10.0 ** rng.uniform(-2, 6)
        model = HalfspaceClassifier(loss, C=C).fit(X, y)
        if model.result_.status is Status.converged:
            converged += 1
            w, b = model.coef_[0], model.intercept_[0]
            fun = objective(X, y, C, loss, w, b)
            assert fun - lowest_on_rays(X, y, C, loss, w, b) <= 1e-4 * fun, seed
    assert converged > 110


def test_a_saturated_point_is_left():
    X, y = np.array([[1e4, 1, 0.1], [2e4, 2, 0.1], [0, -1, 0.3]]), np.array([1.0, -1.0, 1.0])
    for loss in ("sigmoid", "normal_cdf"):
        model = HalfspaceClassifier(loss, C=1e5).fit(X, y)
        w, b = model.coef_[0], model.intercept_[0]
        fun = objective(X, y, 1e5, loss, w, b)
        assert fun - lowest_on_rays(X, y, 1e5, loss, w, b) <= 1e-6 * fun


def test_a_flat_point_is_not_confirmed_and_a_minimum_is():
    problem = problem_of(centred(*gaussian(300, 3), LOSSES["sigmoid"]), 1e-2)
    flat = problem.evaluate(np.array([60.0, -80.0, 90.0, 0.0]))
    found = find_lower(problem, flat, problem.metric(flat), 1e-8)
    assert found is not None
    assert found[0].fun < flat.fun - 0.1
    seen = []
    point, status = descend_until_confirmed(
        problem, flat, problem.metric(flat), 1e-8, 100,
        observe=lambda point, _: seen.append(point.fun),
        renew_metric=Renewal(problem, 300, 1e-8, np.random.default_rng(0)),
    )  # fmt: skip
    assert status is Status.converged
    assert (np.diff(seen) < 0).all()
    assert find_lower(problem, point, problem.metric(point), 1e-8) is None


def test_the_number_of_iterations_is_limited_over_all_descents():
    problem = problem_of(centred(*gaussian(300, 3), LOSSES["sigmoid"]), 1e-2)
    flat = problem.evaluate(np.array([60.0, -80.0, 90.0, 0.0]))
    seen = []
    for max_iter in (0, 2, 4):
        seen.clear()
        _, status = descend_until_confirmed(
            problem, flat, problem.metric(flat), 1e-12, max_iter,
            observe=lambda point, _: seen.append(point.fun), renew_metric=lambda *_: None,
        )  # fmt: skip
        assert status is Status.max_iter
        assert len(seen) == max_iter + 1


def test_a_direction_in_which_curvatures_cancel_is_searched():
    rng = np.random.default_rng(0)
    for seed in range(30):
        X, y = gaussian(25, 2, seed)
        problem = problem_of(centred(X, y, LOSSES["normal_cdf"]), 1e-4)
        point = problem.evaluate(rng.normal(size=3) * 3.0)
        point, status = descend_until_confirmed(
            problem, point, problem.metric(point), 1e-9, 200,
            observe=None, renew_metric=lambda *_: None,
        )  # fmt: skip
        if status is Status.converged:
            for step in 1e-2 * rng.normal(size=(20, 3)):
                assert problem.evaluate(point.theta + step).fun > point.fun - 1e-7


def test_a_metric_from_where_f_was_much_larger_is_renewed_before_convergence_is_believed():
    """Weights of many magnitudes on hardly more rows than columns, as in nearly separable data."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n, d = rng.integers(5, 12), rng.integers(5, 13)
        X = rng.normal(size=(n, d)) * 10.0 ** rng.uniform(-6, 6, d)
        y = np.where(np.arange(n) % 2, 1.0, -1.0)
        weight = 10.0 ** rng.uniform(-5, 5, n)
        C = 10.0 ** rng.uniform(0, 5)
        model = HalfspaceClassifier(C=C).fit(X, y, weight)
        assert model.result_.status is Status.converged
        reference = Reference(X, y, "softplus", 1 / C, weight=weight)
        assert reference.excess(model.coef_[0], model.intercept_[0]) < 1e-5, seed
