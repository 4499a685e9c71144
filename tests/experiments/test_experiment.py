"""The contract of an experiment cannot be kept in part."""

import pytest

from polarstep.experiments.experiment import Experiment

PARTS = ("stages", "execute", "analyse", "verdicts", "figures", "section")


@pytest.mark.parametrize("missing", PARTS)
def test_an_experiment_that_lacks_a_part_is_an_error(missing):
    parts = {name: lambda self: None for name in PARTS if name != missing}
    with pytest.raises(TypeError, match=missing):
        type("Partial", (Experiment,), parts)()


def test_an_experiment_with_all_parts_can_be_made():
    made = type("Whole", (Experiment,), {name: lambda self: None for name in PARTS})()
    assert not made.requires_torch
