"""The lengths of steps satisfy the Wolfe conditions."""

import numpy as np
import pytest

from block_problems import D, K, make_rows
from polarstep.linear_model.block.families import Softmax
from polarstep.linear_model.block.line_search import take_steps
from polarstep.linear_model.block.models import Models
from polarstep.linear_model.block.problem import BlockProblem


@pytest.mark.parametrize("size", [1e-3, 1e-1, 1.0, 10.0, 1e3])
def test_lengths_satisfy_the_wolfe_conditions(size):
    problem = BlockProblem(make_rows(), Softmax(K), Models.of([1e-2, 1.0, 1e-4]), True)
    which, theta = np.array([2, 0]), np.zeros((2, K, D + 1))
    fun, g = problem.evaluate(theta, which)
    p = -size * g
    length, new, gradient = take_steps(problem, which, theta, fun, g, p)
    slope, after = (np.einsum("bkp,bkp->b", x, p) for x in (g, gradient))
    assert (length > 0).all()
    assert (new <= fun + 1e-4 * length * slope).all()
    assert (np.abs(after) <= 0.9 * np.abs(slope)).all()
    np.testing.assert_allclose(problem.evaluate(theta + length[:, None, None] * p, which)[0], new)


def test_no_length_is_found_uphill():
    problem = BlockProblem(make_rows(), Softmax(K), Models.of([1.0]), True)
    which, theta = np.arange(1), np.zeros((1, K, D + 1))
    fun, g = problem.evaluate(theta, which)
    length, new, _ = take_steps(problem, which, theta, fun, g, g)
    assert length.tolist() == [0.0]
    assert new.tolist() == fun.tolist()
