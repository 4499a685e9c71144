"""What the experiment on halfspaces asks for, for each preset."""

import json

import pytest

from planned import specs_of
from polarstep.experiments.data import tables
from polarstep.experiments.halfspaces import plan
from polarstep.experiments.halfspaces.sizes import SIZES
from polarstep.experiments.records import key
from polarstep.losses import LOSSES


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("seeds", [None, 3])
def test_every_combination_is_asked_for_once(name, seeds):
    sizes = SIZES[name]
    specs = specs_of(plan.stages(sizes, None, seeds))
    count = {
        stage: sum(s["stage"] == stage for s in specs) for stage in {s["stage"] for s in specs}
    }
    problems = 2 * len(plan.VARIANTS)
    places = problems * len(plan.STARTS)
    assert count == {
        "population": len(sizes.population_iterations) * (len(LOSSES) + 1),
        "reference": problems,
        "tuning": places * len(plan.TUNED),
        "run": places * len(plan.RUNS) * (sizes.seeds if seeds is None else seeds),
    }
    assert {s["seed"] for s in specs if s["stage"] == "run"} == set(range(seeds or sizes.seeds))
    assert len({key(spec) for spec in specs}) == len(specs)
    assert json.loads(json.dumps(specs)) == specs


@pytest.mark.parametrize("name", SIZES)
def test_tuned_runs_take_the_steps_of_their_tuning_and_others_none(name):
    for spec in specs_of(plan.stages(SIZES[name], None)):
        if spec["stage"] == "run":
            tuned = spec["run"] in plan.TUNED
            assert spec["steps"] == ({"step_size": 0.5} if tuned else {})


@pytest.mark.parametrize("name", SIZES)
def test_a9a_takes_the_place_of_breast_cancer_where_it_is(name, tmp_path):
    (tmp_path / "a9a").write_text("")
    for folder, real in ((None, "breast_cancer"), (tmp_path, "a9a")):
        specs = specs_of(plan.stages(SIZES[name], folder))
        used = {spec.get("problem", spec).get("data") for spec in specs}
        assert used == {None, "gaussian", real}
    assert tables.real_data(tmp_path) == "a9a"
