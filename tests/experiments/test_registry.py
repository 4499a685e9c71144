"""The registered experiments keep the contract of `Experiment`."""

from dataclasses import asdict

import pytest

from polarstep.experiments.experiment import PRESETS, Experiment
from polarstep.experiments.registry import EXPERIMENTS


def numbers(sizes):
    """Return the sizes by name, with None for all rows as infinity."""
    values = asdict(sizes)
    seeds, iterations = values.pop("seeds"), values.pop("population_iterations", {})
    values |= {f"kappa {k}": n for k, n in iterations.items()}
    values |= {} if seeds is None else {"seeds": seeds}
    return {name: float("inf") if n is None else n for name, n in values.items()}


def test_names_are_those_of_the_experiments():
    for name, experiment in EXPERIMENTS.items():
        assert isinstance(experiment, Experiment)
        assert experiment.name == name
    assert len({experiment.title for experiment in EXPERIMENTS.values()}) == len(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_preset_has_positive_sizes(name):
    sizes = EXPERIMENTS[name].sizes
    assert tuple(sizes) == PRESETS
    for preset in PRESETS:
        assert all(number > 0 for number in numbers(sizes[preset]).values())


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_paper_preset_is_nowhere_smaller(name):
    quick, paper = (numbers(EXPERIMENTS[name].sizes[preset]) for preset in PRESETS)
    assert paper.keys() == quick.keys()
    assert all(paper[size] >= number for size, number in quick.items())


def test_the_paper_preset_takes_all_rows_of_the_real_data():
    for name in ("halfspaces", "network"):
        assert EXPERIMENTS[name].sizes["paper"].real_rows is None
