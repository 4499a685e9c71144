"""An experiment cannot be made in part, and its folder has the functions that are imported late."""

from importlib import import_module

import pytest

from polarstep.experiments.experiment import Experiment
from polarstep.experiments.registry import EXPERIMENTS

PARTS = {
    "package": __name__,
    "name": "toy",
    "title": "Toys",
    "sizes": {},
    "stages": lambda sizes, data, seeds: [],
    "run_module": "execution",
    "analyse": list,
    "verdicts": list,
}


@pytest.mark.parametrize("missing", PARTS)
def test_an_experiment_that_lacks_a_part_is_an_error(missing):
    with pytest.raises(TypeError, match=missing):
        Experiment(**{name: part for name, part in PARTS.items() if name != missing})


def test_an_experiment_with_all_parts_can_be_made():
    assert not Experiment(**PARTS).requires_torch


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_folder_has_the_functions_that_are_imported_late(name):
    experiment = EXPERIMENTS[name]
    if experiment.requires_torch:
        pytest.importorskip("torch", reason=f"running {name} needs PyTorch")
    late = {"figures": "figures", "section": "section", experiment.run_module: "execute"}
    for module, function in late.items():
        assert callable(getattr(import_module(f"{experiment.package}.{module}"), function))
