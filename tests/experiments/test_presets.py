"""What the presets ask for."""

import json

import pytest

from polarstep.experiments.data import tables as datasets
from polarstep.experiments.halfspaces import plan as halfspaces
from polarstep.experiments.presets import PRESETS
from polarstep.experiments.records import key
from polarstep.experiments.tanh_network import plan as network
from polarstep.losses import LOSSES


def specs_of(stages):
    """All specs of an experiment, the outcomes of its stages invented as they are needed."""
    rows = []
    for _, make in stages:
        specs = make(rows)
        for spec in specs:
            outcome = {"fun": 0.25, "steps": {"step_size": 0.5}}
            rows.append({"key": key(spec), "spec": spec, "outcome": outcome})
    return [row["spec"] for row in rows]


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("seeds", [None, 3])
def test_halfspaces_ask_for_every_combination_once(name, seeds):
    preset = PRESETS[name]
    specs = specs_of(halfspaces.stages(preset, None, seeds))
    count = {
        stage: sum(s["stage"] == stage for s in specs) for stage in {s["stage"] for s in specs}
    }
    problems = 2 * len(halfspaces.VARIANTS)
    places = problems * len(halfspaces.STARTS)
    assert count == {
        "population": len(preset.population_iterations) * (len(LOSSES) + 1),
        "reference": problems,
        "tuning": places * len(halfspaces.TUNED),
        "run": places * len(halfspaces.RUNS) * (preset.seeds if seeds is None else seeds),
    }
    assert {s["seed"] for s in specs if s["stage"] == "run"} == set(range(seeds or preset.seeds))
    assert len({key(spec) for spec in specs}) == len(specs)
    assert json.loads(json.dumps(specs)) == specs


@pytest.mark.parametrize("name", PRESETS)
def test_the_network_asks_for_two_losses_and_two_data_sets(name):
    specs = specs_of(network.stages(PRESETS[name], None))
    population = [s for s in specs if s["stage"] == "population"]
    on_data = [s for s in specs if s["stage"] == "data"]
    assert {s["loss"] for s in population} == {"softplus", "squared"}
    assert {s["data"] for s in on_data} == {"gaussian", "breast_cancer"}
    assert len(specs) == 4
    assert specs == specs_of(network.stages(PRESETS[name], None, 3))  # it has no random starts
    assert json.loads(json.dumps(specs)) == specs


@pytest.mark.parametrize("name", PRESETS)
def test_tuned_runs_take_the_steps_of_their_tuning_and_others_none(name):
    for spec in specs_of(halfspaces.stages(PRESETS[name], None)):
        if spec["stage"] == "run":
            tuned = spec["run"] in halfspaces.TUNED
            assert spec["steps"] == ({"step_size": 0.5} if tuned else {})


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_named_and_ask_for_positive_sizes(name):
    preset = PRESETS[name]
    assert preset.name == name
    sizes = {**vars(preset), "real_rows": preset.real_rows or 1}
    sizes |= {f"kappa {k}": n for k, n in sizes.pop("population_iterations").items()}
    assert all(size > 0 for label, size in sizes.items() if label != "name")


def test_the_paper_preset_is_nowhere_smaller_and_takes_all_rows():
    quick, paper = PRESETS["quick"], PRESETS["paper"]
    assert paper.real_rows is None
    for name, size in vars(quick).items():
        if isinstance(size, (int, float)) and name != "real_rows":
            assert getattr(paper, name) >= size
    assert all(n >= quick.population_iterations[k] for k, n in paper.population_iterations.items())


@pytest.mark.parametrize("name", PRESETS)
def test_a9a_takes_the_place_of_breast_cancer_where_it_is(name, tmp_path):
    (tmp_path / "a9a").write_text("")
    for module in (halfspaces, network):
        for folder, real in ((None, "breast_cancer"), (tmp_path, "a9a")):
            specs = specs_of(module.stages(PRESETS[name], folder))
            used = {s.get("problem", s).get("data") for s in specs}
            assert used == {None, "gaussian", real}
    assert datasets.real_data(tmp_path) == "a9a"
