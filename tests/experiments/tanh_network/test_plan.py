"""What the experiment on the network with one hidden layer asks for, for each preset."""

import json

import pytest

from planned import specs_of
from polarstep.experiments.tanh_network import plan
from polarstep.experiments.tanh_network.sizes import SIZES


@pytest.mark.parametrize("name", SIZES)
def test_two_losses_and_two_data_sets_are_asked_for(name):
    specs = specs_of(plan.stages(SIZES[name], None))
    population = [s for s in specs if s["stage"] == "population"]
    on_data = [s for s in specs if s["stage"] == "data"]
    assert {s["loss"] for s in population} == {"softplus", "squared"}
    assert {s["data"] for s in on_data} == {"gaussian", "breast_cancer"}
    assert len(specs) == 4
    assert specs == specs_of(plan.stages(SIZES[name], None, 3))  # it has no random starts
    assert json.loads(json.dumps(specs)) == specs


@pytest.mark.parametrize("name", SIZES)
def test_a9a_takes_the_place_of_breast_cancer_where_it_is(name, tmp_path):
    (tmp_path / "a9a").write_text("")
    for folder, real in ((None, "breast_cancer"), (tmp_path, "a9a")):
        specs = specs_of(plan.stages(SIZES[name], folder))
        assert {spec.get("data") for spec in specs} == {None, "gaussian", real}
