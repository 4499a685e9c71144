"""The table of the section on the network with one hidden layer."""

from made_rows import training
from polarstep.experiments.tanh_network.section import section


def test_every_training_is_a_line():
    lines = section([training("squared"), training(stage="data")])["trainings"]
    assert [line["data"] for line in lines] == ["Gaussian population", "gaussian"]
    assert [line["loss"] for line in lines] == ["squared", "softplus"]
    assert {(line["start"], line["fun"]) for line in lines} == {(0.7, 0.5)}
