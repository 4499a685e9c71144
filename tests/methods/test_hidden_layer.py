"""The objective of a layer, unit by unit."""

import numpy as np
import pytest

import polarstep as ps
from polarstep import Status
from polarstep.experiments.data.tables import gaussian_moments, gaussian_sample
from problems import LOSS_NAMES

U, S = gaussian_moments(4, 5.0, 0.5, 0)
X, Y = gaussian_sample(U, S, 600, 1)


@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_reported_gradients_are_those_of_f(loss):
    network = ps.TanhNetwork(X, Y, 2, loss=loss, length_penalty=0.01)
    result = network.train(1, max_iter=15)
    rng = np.random.default_rng(0)
    for i in range(2):
        step = np.zeros_like(result.weights)
        step[i] = 1e-6 * rng.standard_normal(4)
        change = network.value(result.weights + step) - network.value(result.weights - step)
        gradient = network.unit(i, result.weights).gradient(result.weights[i])
        assert change == pytest.approx(2 * gradient @ step[i], abs=1e-13)
        slope = result.weights[i] @ gradient / network.moments.norm(result.weights[i])
        assert result.slopes[i] == pytest.approx(slope, abs=1e-12)


def test_population_units_must_be_on_the_line():
    network = ps.TanhNetwork.gaussian(U, S, 2)
    off = np.array([np.zeros(4), [1.0, 2.0, 0.0, 0.0]])
    with pytest.raises(ValueError, match="row 1 with a direction gap"):
        network.unit(0, off)
    result = network.train(1, max_iter=2)
    assert result.status is Status.max_iter
    assert "max_iter" in result.message
