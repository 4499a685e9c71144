"""TanhNetwork: its result, its trace, and its statuses."""

import numpy as np
import pytest

import polarstep as ps
from polarstep import Status
from polarstep.experiments.data.tables import gaussian_moments, gaussian_sample
from problems import LOSS_NAMES

U, S = gaussian_moments(4, 5.0, 0.5, 0)
X, Y = gaussian_sample(U, S, 600, 1)


def test_training_on_data_lowers_f_unit_by_unit():
    network = ps.TanhNetwork(X + 5.0, Y, 3)
    result = network.train(2, max_iter=60)
    assert (np.diff(result.trace["fun"]) <= 1e-12).all()
    np.testing.assert_array_equal(result.trace["unit"], [0, 1, 2] * 2)
    assert result.fun == pytest.approx(network.value(result.weights))
    assert np.mean(np.sign(result.decision_function(X + 5.0)) == Y) > 0.75
    assert {len(column) for column in result.trace.values()} == {6}


def test_decision_function_is_the_network_written_out():
    result = ps.TanhNetwork(X, Y, 2, output_weights=[1.0, -0.5]).train(1, max_iter=20)
    centred = X - X.mean(axis=0)
    F = np.tanh(centred @ result.weights[0]) - 0.5 * np.tanh(centred @ result.weights[1])
    np.testing.assert_allclose(result.decision_function(X), F, atol=1e-12)
    assert result.fun == pytest.approx(np.mean(np.log1p(np.exp(-Y * F))), rel=1e-12)


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
    with pytest.raises(ValueError, match="row 1 off it"):
        network.unit(0, off)
    result = network.train(1, max_iter=2)
    assert result.status is Status.max_iter
    assert "max_iter" in result.message


def test_statuses():
    done = ps.TanhNetwork.gaussian(U, S, 2, length_penalty=0.1).train(40)
    assert done.status is Status.converged
    assert done.success
    assert done.grad_norms.max() <= 1e-8

    def stop(row):
        raise StopIteration

    stopped = ps.TanhNetwork(X, Y, 3).train(2, max_iter=5, callback=stop)
    assert stopped.status is Status.interrupted
    assert len(stopped.trace["fun"]) == 1


def test_bad_input():
    with pytest.raises(ValueError, match="`output_weights` must be a number or 2 numbers"):
        ps.TanhNetwork(X, Y, 2, output_weights=[1, 2, 3])
    with pytest.raises(ValueError, match="`output_weights` must be finite and not zero"):
        ps.TanhNetwork(X, Y, 2, output_weights=0)
    with pytest.raises(ValueError, match="`u` must satisfy 0 < "):
        ps.TanhNetwork.gaussian(0 * U, S)
    with pytest.raises(ValueError, match="`w0` must be a 2 x 4 matrix"):
        ps.TanhNetwork(X, Y, 2).train(w0=np.ones(4))
    with pytest.raises(ValueError, match="`sweeps` must be a whole number >= 1"):
        ps.TanhNetwork(X, Y, 2).train(0)
