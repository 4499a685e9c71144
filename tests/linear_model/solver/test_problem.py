"""The linear problem on a sample: f and its derivatives, its metric, subsamples and passes."""

import numpy as np
import pytest
import scipy.sparse as sp

from newton import Reference
from polarstep.linear_model.solver import whitened
from polarstep.linear_model.solver.penalty import DensePenalty, DiagonalPenalty
from polarstep.linear_model.solver.problem import NotFinite, Plane, Problem, require_finite
from polarstep.linear_model.solver.samples import Samples
from polarstep.linear_model.solver.stages import make_stages
from polarstep.losses import LOSSES
from polarstep.result import Status
from weighted_samples import centred, gaussian, problem_of, samples_of

RNG = np.random.default_rng(0)
PENALTIES = {
    "diagonal": DiagonalPenalty(np.linspace(0.1, 1.0, 6)),
    "dense": DensePenalty(np.eye(6) + 0.3),
}


@pytest.mark.parametrize("kind", ["C", "csr"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_gradient_is_the_derivative_of_f(kind, intercept, penalty):
    samples, _ = samples_of(kind)
    problem = Problem(samples, PENALTIES[penalty], intercept)
    theta = RNG.standard_normal(6 + intercept)
    point = problem.evaluate(theta)
    for j, e in enumerate(np.eye(len(theta))):
        ahead, behind = problem.evaluate(theta + 1e-5 * e), problem.evaluate(theta - 1e-5 * e)
        assert point.gradient[j] == pytest.approx((ahead.fun - behind.fun) / 2e-5, abs=1e-8)
    assert problem.passes == 1 + 2 * len(theta)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_plane_is_f_on_two_directions(penalty):
    problem = Problem(samples_of()[0], PENALTIES[penalty], True)
    point, p = problem.evaluate(RNG.standard_normal(7)), RNG.standard_normal(7)
    plane, up = Plane(problem, point, p), np.append(np.zeros(6), 1.0)
    for t, h in ((0.0, 0.0), (0.7, -0.3)):
        value, by_t, by_h, by_tt, by_th, by_hh = plane(t, h)
        there = problem.evaluate(point.theta + t * p + h * up)
        assert value == pytest.approx(there.fun)
        assert by_t == pytest.approx(there.gradient @ p)
        assert by_h == pytest.approx(there.gradient @ up)
        ahead, behind = plane(t + 1e-5, h), plane(t - 1e-5, h)
        assert by_tt == pytest.approx((ahead[1] - behind[1]) / 2e-5, rel=1e-6)
        assert by_th == pytest.approx((ahead[2] - behind[2]) / 2e-5, rel=1e-6)
        ahead, behind = plane(t, h + 1e-5), plane(t, h - 1e-5)
        assert by_hh == pytest.approx((ahead[2] - behind[2]) / 2e-5, rel=1e-6)


@pytest.mark.parametrize("kind", ["C", "csr"])
def test_the_metric_of_all_rows_is_the_hessian(kind):
    problem = Problem(samples_of(kind)[0], PENALTIES["diagonal"], True)
    theta = RNG.standard_normal(7)
    metric, g = problem.metric(problem.evaluate(theta)), RNG.standard_normal(7)
    x = metric.solve(g)
    ahead, behind = problem.evaluate(theta + 1e-5 * x), problem.evaluate(theta - 1e-5 * x)
    np.testing.assert_allclose((ahead.gradient - behind.gradient) / 2e-5, g, atol=1e-6)


def test_a_column_that_is_rare_in_a_subsample_is_penalised_in_it():
    X, y = gaussian(4000, 3)
    X[:, 2] = 0.0
    X[::200, 2] = 1.0
    problem = problem_of(centred(X, y), 1e-3)
    few = problem.subsample(1000, np.random.default_rng(0))
    extra = few.penalty.diagonal - problem.penalty.diagonal
    np.testing.assert_array_equal(extra[:2], 0.0)
    assert extra[2] > 0
    assert few.columns is problem.columns


def test_problems_of_other_labels_share_the_second_moments():
    samples, _ = samples_of()
    codes = (np.arange(samples.n) % 3).astype(float)
    problem = problem_of(Samples(samples.matrix, codes, samples.weight, samples.loss))
    one, two = problem.one_against_rest(0.0), problem.one_against_rest(1.0)
    moments = one.second_moments()
    assert two.second_moments() is moments
    assert (one.passes, two.passes) == (1.0, 0.0)
    assert one.with_loss(LOSSES["sigmoid"]).second_moments() is moments
    assert not one.with_loss(LOSSES["sigmoid"]).convex


def test_rare_columns_are_fitted_where_the_penalty_is_separable():
    X, y = gaussian(400, 4)
    X[:, 3] = 0.0
    X[:4, 3] = 1.0
    y[:4] = 1.0
    samples = centred(sp.csr_array(X), y)
    problem = problem_of(samples, 1e-4)
    before = problem.evaluate(np.zeros(5))
    after = problem.evaluate_with_rare_columns_fitted(np.zeros(5))
    assert problem.passes == 3
    assert after.fun < before.fun
    assert after.theta[3] > 1
    assert after.fun == pytest.approx(problem.evaluate(after.theta).fun)
    dense = Problem(samples, DensePenalty(1e-4 * np.eye(4)), True)
    same = dense.evaluate_with_rare_columns_fitted(np.zeros(5))
    assert dense.passes == 1
    assert not same.theta.any()


def test_a_point_that_is_not_finite_is_refused():
    X, y = gaussian(20, 3)
    problem = problem_of(centred(X, y))
    assert require_finite(problem.evaluate(np.zeros(4))).fun == pytest.approx(np.log(2))
    X[3, 1] = np.nan
    with pytest.raises(NotFinite):
        require_finite(problem.evaluate(np.ones(4)))


def test_a_dense_penalty_reaches_its_optimum_in_a_metric_of_two_levels():
    """A dense penalty on more columns than the Gram matrix has is restricted to those."""
    rng = np.random.default_rng(0)
    X = sp.csr_array(np.where(rng.random((400, 1100)) < 0.02, rng.random((400, 1100)), 0.0))
    y = np.where(X @ rng.standard_normal(1100) > 0, 1.0, -1.0)
    problem = Problem(centred(X, y), DensePenalty(0.1 * np.eye(1100)), True)
    assert not problem.columns.all_single
    point, status = whitened.solve([problem], None, 1e-9, 100, rng)
    assert status is Status.converged
    reference = Reference(X, y, "softplus", 0.1, weight=np.full(400, 1 / 400))
    assert reference.excess(point.theta[:-1], point.theta[-1]) <= 1e-8


def test_a_read_of_all_rows_is_what_passes_count():
    X, y = gaussian(40_000, 4)
    calls, evaluate, project = [], Samples.evaluate, Samples.project

    class Counting(Samples):
        def evaluate(self, w, b):
            calls.append(self.n)
            return evaluate(self, w, b)

        def project(self, v, h):
            calls.append(self.n)
            return project(self, v, h)

    s = np.full(40_000, 1 / 40_000)
    samples = Counting.from_arrays(X, y, s, np.zeros(4), LOSSES["softplus"])
    problem = problem_of(samples)
    rng = np.random.default_rng(0)
    result = whitened.run(make_stages(problem, rng), None, 1e-10, 100, rng)
    assert result.success
    assert calls.count(40_000) <= result.n_passes <= calls.count(40_000) + 3


def test_suboptimalities_are_relative_to_f_or_to_its_rounding_error_at_zero():
    problem = problem_of(centred(*gaussian(50, 3), LOSSES["softplus"]), 0.0)
    assert problem.magnitude(-2.0) == pytest.approx(2.0, rel=1e-12)
    assert problem.magnitude(0.0) == pytest.approx(1e-14 * np.log(2.0))
