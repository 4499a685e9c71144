"""The stages of the solver: how many rows they have, and when the metric is renewed."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp

from polarstep.linear_model.solver.lbfgs import Convergence
from polarstep.linear_model.solver.penalty import DensePenalty, DiagonalPenalty
from polarstep.linear_model.solver.problem import Problem
from polarstep.linear_model.solver.stages import (
    Renewal,
    in_row_space,
    make_stages,
    subsample_sizes,
)
from weighted_samples import centred, gaussian, problem_of, sparse_categories


def test_subsamples_are_nested_and_grow():
    stages = make_stages(problem_of(centred(*gaussian(50_000, 5))), np.random.default_rng(0))
    sizes = [stage.samples.n for stage in stages]
    assert sizes == sorted(sizes)
    assert len(sizes) >= 2
    assert sizes[-1] == 50_000
    rows = [{row.tobytes() for row in stage.samples.X} for stage in stages]
    for few, more in pairwise(rows):
        assert few <= more


def test_small_data_and_metrics_of_two_levels_need_no_subsamples():
    assert subsample_sizes(problem_of(centred(*gaussian(3_000, 5)))) == []
    X, y = sparse_categories(n=6000, levels=(4, 1500))
    assert subsample_sizes(problem_of(centred(X, y))) == []


def test_sparse_data_have_one_subsample():
    X, y = gaussian(20_000, 5)
    sizes = subsample_sizes(problem_of(centred(sp.csr_array(X), y)))
    assert sizes == [20_000 // 6]


@pytest.mark.parametrize("kind", ["many rows", "other weights", "dense", "none"])
def test_a_problem_stays_in_the_coordinates_of_the_columns(kind):
    X, y = gaussian(10, 40)
    if kind == "many rows":
        X = X[:, :15]
    d = X.shape[1]
    penalty = {
        "many rows": DiagonalPenalty(np.ones(d)),
        "other weights": DiagonalPenalty(np.arange(1.0, d + 1)),
        "dense": DensePenalty(np.eye(d)),
        "none": DiagonalPenalty(np.zeros(d)),
    }
    problem = Problem(centred(X, y), penalty[kind], True)
    assert in_row_space(problem) is problem
    wide = Problem(centred(gaussian(10, 40)[0], y), DiagonalPenalty(np.ones(40)), True)
    assert in_row_space(wide).samples.d == 10


def observed(problem, contraction, steps, n_rows):
    """The metrics that a renewal gives at some steps of a constant contraction."""
    renewal = Renewal(problem, n_rows, 1e-8, np.random.default_rng(0))
    point, convergence = problem.evaluate(np.zeros(problem.samples.d + 1)), Convergence()
    for step in range(12):
        convergence.add(0.1 * contraction**step)
    return renewal, [renewal(point, convergence) for _ in range(steps)]


def test_small_data_renew_the_metric_at_every_step():
    problem = problem_of(centred(*gaussian(500, 5)), 1e-3)
    _, metrics = observed(problem, 0.3, 3, 500)
    assert all(metric is not None for metric in metrics)


def test_a_fast_contraction_keeps_the_metric():
    problem = problem_of(centred(*gaussian(500, 5)), 1e-3)
    _, metrics = observed(problem, 0.01, 3, 500)
    assert metrics == [None] * 3


def test_a_slow_contraction_renews_the_metric_from_more_rows():
    problem = problem_of(centred(*gaussian(100_000, 5)), 1e-3)
    renewal, metrics = observed(problem, 0.9, 3, 2_000)
    assert metrics[:2] == [None, None]  # three steps tell how fast the present metric is
    assert metrics[2] is not None
    assert renewal.n_rows > 2_000
