"""The objectives of a block: penalties and subsamples."""

import numpy as np

from block_problems import D, K, make_rows, softmax_value
from polarstep.linear_model.block.families import Softmax
from polarstep.linear_model.block.models import Models
from polarstep.linear_model.block.problem import BlockProblem
from polarstep.linear_model.block.rows import BlockRows


def test_values_and_gradients_contain_the_penalty_of_each_model():
    rows, models = make_rows(), Models.of([0.3, 3.0])
    problem = BlockProblem(rows, Softmax(K), models, True)
    theta = np.random.default_rng(0).standard_normal((2, K, D + 1))
    both = np.arange(2)
    fun, gradient = problem.evaluate(theta, both)
    np.testing.assert_allclose(fun, softmax_value(rows, models, theta, True))
    direction, h = np.ones_like(theta), 1e-6
    up, down = (problem.evaluate(theta + t * direction, both)[0] for t in (h, -h))
    np.testing.assert_allclose(gradient.sum(axis=(1, 2)), (up - down) / (2 * h), rtol=1e-6)


def test_passes_count_shares_of_the_block():
    problem = BlockProblem(make_rows(), Softmax(K), Models.of([1.0, 1.0, 1.0, 1.0]), False)
    problem.evaluate(np.zeros((1, K, D)), np.array([2]))
    assert problem.passes == 0.25


def test_a_column_that_is_rare_in_the_subsample_gets_an_additional_penalty():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3_000, 3))
    X[:, 2] = rng.random(3_000) < 0.01
    rows = BlockRows.from_arrays(
        X, rng.integers(0, 2, 3_000), np.full((1, 3_000), 1 / 3_000), np.zeros(3)
    )
    problem = BlockProblem(rows, Softmax(2), Models.of([0.5]), True)
    some = problem.subsample(500, rng)
    assert (some.extra[:2] < 1e-2).all()
    assert some.extra[2] > 0
    np.testing.assert_allclose(some.ridge(np.array([0]))[0], 0.5 + some.extra)
