"""The runs on the network with one hidden layer: their outcomes, and that runs repeat exactly."""

import numpy as np

from polarstep.experiments.halfspaces.plan import CAP, SEPARATION
from polarstep.experiments.tanh_network.execution import execute

GAUSSIAN = {"d": 4, "kappa": 5.0, "separation": SEPARATION}
COMMON = {"loss": "softplus", "n_units": 2, "max_iter": 50}


def test_training_lowers_f_in_the_population_and_ends_on_the_line():
    outcome = execute({"stage": "population", "sweeps": 4, **COMMON, **GAUSSIAN}, None)
    assert outcome["fun"] < outcome["start"]
    assert outcome["fun"] == outcome["trace"]["fun"][-1]
    np.testing.assert_allclose(outcome["rho_star"], -SEPARATION)
    assert max(outcome["trace"]["direction_gap"]) < 1e-8


def test_lengths_on_data_stay_below_their_cap():
    data = {"stage": "data", "sweeps": 2, "max_length": CAP, **COMMON}
    for place in (
        {"data": "gaussian", "n": 200, **GAUSSIAN},
        {"data": "breast_cancer", "rows": 200},
    ):
        outcome = execute({**data, **place}, None)
        assert outcome["fun"] < outcome["start"]
        assert max(outcome["trace"]["length"]) <= CAP * (1 + 1e-12)


def test_the_same_spec_gives_the_same_outcome():
    spec = {"stage": "data", "sweeps": 2, "max_length": CAP, "data": "gaussian", "n": 200}
    one, other = (execute({**spec, **COMMON, **GAUSSIAN}, None) for _ in range(2))
    for name, values in one["trace"].items():
        np.testing.assert_array_equal(values, other["trace"][name])
