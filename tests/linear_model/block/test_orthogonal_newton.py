"""Small softmax models that did not converge continue by orthogonal factorizations."""

import numpy as np
import pytest

from block_problems import D, K, dense_rows, make_rows, softmax_hessian, softmax_minimum
from polarstep.linear_model.block.families import Margins, Softmax
from polarstep.linear_model.block.models import BlockResult, Models
from polarstep.linear_model.block.orthogonal_newton import (
    _Model,
    can_factorize,
    iterates,
    iterations_before,
    rescue,
)
from polarstep.linear_model.block.problem import BlockProblem
from polarstep.linear_model.block.solve import first_theta
from polarstep.losses import LOSSES
from polarstep.result import Progress, Status


def _problem(kind="C", alpha=(1e-4, 1.0), intercept=True, **options):
    models = Models.of(list(alpha), np.zeros(len(alpha), int))
    return BlockProblem(make_rows(kind, **options), Softmax(K), models, intercept)


def _unfinished(problem, status=Status.max_iter, n_iter=3):
    theta = first_theta(problem)
    B = len(theta)
    row = Progress(n_iter, theta.ravel(), 1.0, 1.0, np.nan, np.nan, 4, 0.1)
    return BlockResult(
        theta, np.ones(B), np.full(B, 9.0), np.full(B, n_iter), [status] * B, [row], 4.0
    )


def test_the_step_is_newtons():
    problem = _problem()
    theta = np.random.default_rng(0).standard_normal((2, K, D + 1)) * 0.3
    theta -= theta.mean(axis=1, keepdims=True)
    H = softmax_hessian(problem.rows, problem.models, theta, True)
    _, gradient = problem.evaluate(theta, np.arange(2))
    Z, s = dense_rows(problem.rows, True), problem.rows.weights[0]
    model = _Model(Z, problem.rows.codes, s, problem.ridge(np.array([0]))[0], K)
    fun, scores = model.value(theta[0])
    assert fun == pytest.approx(problem.evaluate(theta, np.arange(2))[0][0], rel=1e-12)
    step, decrement = model.newton_step(theta[0], scores, 1e-14)
    np.testing.assert_allclose(H @ step.ravel(), -gradient[0].ravel(), atol=1e-10)
    assert decrement == pytest.approx(-0.5 * float(step.ravel() @ gradient[0].ravel()))


@pytest.mark.parametrize("kind", ["C", "csr", "float32"])
@pytest.mark.parametrize("intercept", [True, False])
def test_unfinished_models_reach_the_minimum(kind, intercept):
    problem = _problem(kind, intercept=intercept)
    seen = []
    result = rescue(problem, _unfinished(problem), 1e-12, 80, seen.append)
    assert result.status == [Status.converged] * 2
    for b in range(2):
        expected = softmax_minimum(problem.rows, problem.models, intercept, b)
        np.testing.assert_allclose(result.theta[b], expected, rtol=1e-5, atol=1e-7)
    assert (result.gap <= 1e-12).all()
    assert [row.iteration for row in result.rows] == [3 + i for i in range(len(seen) + 1)]
    assert result.n_iter.sum() == 6 + len(seen)
    assert result.passes == seen[-1].passes


def test_the_number_of_iterations_counts_those_before():
    problem = _problem(alpha=(1e-6,))
    result = rescue(problem, _unfinished(problem), 1e-14, 5)
    assert result.status == [Status.max_iter]
    assert result.n_iter.tolist() == [5]
    assert iterations_before(problem, 100) < 100
    assert iterations_before(problem, 7) == 7


def test_converged_models_margin_losses_and_large_models_are_left_alone():
    problem = _problem()
    done = _unfinished(problem, Status.converged)
    assert rescue(problem, done, 1e-12, 80) is done
    margins = BlockProblem(
        make_rows("C"), Margins(LOSSES["softplus"]), Models.of([1.0], [0], [0]), True
    )
    assert not can_factorize(margins)
    assert iterations_before(margins, 100) == 100
    large = _problem(n=3_000, d=60)
    assert not can_factorize(large)


def test_a_callback_can_stop():
    problem = _problem(alpha=(1e-4,))

    def stop(row):
        raise StopIteration

    result = rescue(problem, _unfinished(problem), 1e-12, 80, stop)
    assert result.status == [Status.interrupted]


def test_scales_that_a_hessian_does_not_resolve():
    rng = np.random.default_rng(0)
    n, unit = 40, np.array([1e6, 1e-6, 1.0])
    X = rng.normal(size=(n, 3)) * unit
    codes = np.argmax(X / unit @ rng.normal(size=(3, 3)) + 0.3 * rng.gumbel(size=(n, 3)), axis=1)
    s = 10.0 ** rng.uniform(-8, 0, n)
    model = _Model(X, codes, s / s.sum(), np.full(3, 1e-9), 3)
    theta = np.zeros((3, 3))
    for _ in range(60):
        fun, scores = model.value(theta)
        step, decrement = model.newton_step(theta, scores, 1e-14)
        length = 1.0
        while model.value(theta + length * step)[0] > fun and length > 1e-6:
            length *= 0.5
        theta = theta + length * step
    assert decrement <= 1e-9 * fun


def test_iterates_fall():
    problem = _problem(alpha=(1e-6,))
    found = list(iterates(problem, 0, first_theta(problem)[0], 1e-10))
    values = [fun for _, fun, _, _ in found]
    assert (np.diff(values) <= 0).all()
    assert found[-1][3] is Status.converged


@pytest.mark.parametrize("alpha", [0.0, 1e-4])
def test_rows_without_curvature_leave_the_step_to_the_penalty(alpha):
    problem = _problem(alpha=(alpha, 1.0))
    Z, s = dense_rows(problem.rows, True), problem.rows.weights[0]
    model = _Model(Z, problem.rows.codes, s, problem.ridge(np.array([0]))[0], K)
    scores = np.where(model.own, 1e6, 0.0)  # every row is far on the right side
    theta = np.random.default_rng(0).standard_normal((K, D + 1))
    theta -= theta.mean(axis=0)
    step, _ = model.newton_step(theta, scores, 1e-14)
    expected = -theta[:, :-1] if alpha else np.zeros((K, D))
    np.testing.assert_allclose(step[:, :-1], expected, atol=1e-9)


def test_a_point_from_which_rounding_errors_allow_no_step_ends_the_iteration(monkeypatch):
    problem = _problem(alpha=(1e-4,))
    theta = first_theta(problem)[0]
    value = _Model.value
    start = problem.evaluate(theta[None], np.arange(1))[0][0]

    def stuck(self, at):
        found, scores = value(self, at)
        return max(found, start), scores

    monkeypatch.setattr(_Model, "value", stuck)
    *_, (_, fun, gap, status) = iterates(problem, 0, theta, 1e-10)
    assert status is Status.stalled
    assert fun == start
    assert gap > 1e-10 * fun
