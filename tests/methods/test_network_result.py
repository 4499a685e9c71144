"""A trained network: its decision function and its repr."""

import numpy as np
import pytest

import polarstep as ps
from polarstep.experiments.data.tables import gaussian_moments, gaussian_sample

U, S = gaussian_moments(4, 5.0, 0.5, 0)
X, Y = gaussian_sample(U, S, 600, 1)


def test_decision_function_is_the_network_written_out():
    result = ps.TanhNetwork(X, Y, 2, output_weights=[1.0, -0.5]).train(1, max_iter=20)
    centred = X - X.mean(axis=0)
    F = np.tanh(centred @ result.weights[0]) - 0.5 * np.tanh(centred @ result.weights[1])
    np.testing.assert_allclose(result.decision_function(X), F, atol=1e-12)
    assert result.fun == pytest.approx(np.mean(np.log1p(np.exp(-Y * F))), rel=1e-12)


def test_the_repr_names_what_matters():
    result = ps.TanhNetwork(X, Y, 2).train(1, max_iter=3)
    assert repr(result).startswith("NetworkResult(2 units: max_iter after 1 sweeps; fun=0.")


def test_data_that_do_not_fit_are_refused():
    result = ps.TanhNetwork(X, Y, 2).train(max_iter=1)
    with pytest.raises(ValueError, match=r"decision_function: `X` must have 4 columns"):
        result.decision_function(X[:, :2])
    with pytest.raises(ValueError, match=r"decision_function: `X`.* nan at row 0"):
        result.decision_function(np.full((5, 4), np.nan))
