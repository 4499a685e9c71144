"""The estimates of a block equal those of single models."""

import numpy as np

from polarstep.linear_model.block.convergence import BlockConvergence
from polarstep.linear_model.solver.lbfgs import Convergence


def test_estimates_equal_those_of_a_single_model():
    block, single = BlockConvergence(2), Convergence()
    for value in (1.0, 0.3, 0.2, 0.01, 0.003):
        block.add(np.array([value, 2 * value]))
        single.add(value)
    np.testing.assert_allclose(block.gap, [single.gap, 2 * single.gap])
    np.testing.assert_allclose(block.contraction, single.contraction)
    block.take(np.array([1]))
    block.add(np.array([0.002]))
    single.add(0.001)
    np.testing.assert_allclose(block.gap, [2 * single.gap])


def test_slow_steps_are_counted():
    block = BlockConvergence(2)
    for value in (1.0, 0.9, 0.8, 0.7):
        block.add(np.array([value, value**20]))
    assert block.slow.tolist() == [2, 0]
