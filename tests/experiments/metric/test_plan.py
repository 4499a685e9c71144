"""The plan of the experiment on metrics: its runs, and ranges of learning rates."""

import json
import math
import sys

import numpy as np
import pytest

from made_images import write_cifar10
from made_rows import metric as made_metric
from made_rows import one_training
from polarstep.experiments.metric import plan
from polarstep.experiments.metric.sizes import SIZES
from polarstep.experiments.records import key
from small_runs import TINY as ALL_TINY

TINY = ALL_TINY["metric"]

torch = pytest.importorskip("torch", reason="networks need PyTorch")


# --------------------------------------------------------------------------- runs


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("seeds", [None, 4])
def test_every_recipe_is_tried_over_its_range_with_every_seed(name, seeds):
    preset = SIZES[name]
    (_, first), *_ = plan.stages(preset, None, seeds)
    specs = first([])
    n_seeds = seeds or preset.seeds
    n_rates = 1.5 * preset.rates_per_decade + 1
    assert len(specs) == 2 * len(plan.RECIPES) * n_rates * n_seeds
    assert {spec["seed"] for spec in specs} == set(range(n_seeds))
    assert len({key(spec) for spec in specs}) == len(specs)
    assert json.loads(json.dumps(specs)) == specs
    for recipe in plan.RECIPES:
        rates = sorted({spec["rate"] for spec in specs if spec["method"] == recipe})
        assert math.log10(rates[-1] / rates[0]) == pytest.approx(1.5, abs=0.01)


def test_ranges_of_one_optimizer_and_of_both_presets_have_the_same_start():
    for recipe, other in [("SGD", "batch normalization"), ("covariance, sgd", "euclidean, polar")]:
        assert plan.first_rates(recipe, 4) == plan.first_rates(other, 4)
        assert set(plan.first_rates(recipe, 2)) < set(plan.first_rates(recipe, 4))


def test_recipes_with_length_direction_set_metric_and_direction_and_nothing_else():
    for name, recipe in plan.RECIPES.items():
        if recipe.optimizer == "LengthDirection":
            assert ", ".join(recipe.options.values()) == name
            assert recipe.normalization is None


def test_images_and_their_pixels_are_part_of_what_identifies_a_run(tmp_path):
    write_cifar10(tmp_path / "cifar10" / "cifar-10-batches-py")
    for folder, data, side in ((None, "digits", None), (tmp_path, "cifar10", TINY.side)):
        specs = plan.stages(TINY, folder)[0][1]([])
        assert {(spec["data"], spec["side"]) for spec in specs} == {(data, side)}


def test_without_torch_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModuleNotFoundError, match="polarstep reproduce metric needs PyTorch"):
        plan.stages(TINY, None)


# --------------------------------------------------------------------------- learning rates


def sweep_of(scores, method="SGD", seeds=1):
    """The sweep of one recipe by its scores; the others score 0.1, and all start at 2."""
    rows = [r for r in made_metric(seeds=seeds) if r["spec"]["method"] != method]
    rows += [
        one_training("relu", method, rate, seed, score=score)
        for rate, score in scores.items()
        for seed in range(seeds)
    ]
    return plan.rate_sweeps(rows)["relu", method]


def test_the_best_rate_has_the_lowest_score_and_ties_go_to_the_smaller():
    assert sweep_of({0.01: 1.0, 0.0316: 0.5, 0.1: 0.4, 0.316: 0.5}).best == 0.1
    assert sweep_of({0.01: 1.0, 0.0316: 0.4, 0.1: 0.4, 0.316: None}).best == 0.0316


def test_good_rates_are_within_a_tenth_of_the_way_from_the_best_recipe_to_the_start():
    found = sweep_of({0.01: 1.0, 0.0316: 0.5, 0.1: 0.68, 0.316: 0.70})
    assert found.tolerance == pytest.approx(0.1 * (2 - 0.1))
    assert found.good == [0.0316, 0.1]
    assert found.decades == 1.0
    assert plan.rates_beyond(found) == []


def test_a_range_is_extended_if_its_end_is_good():
    assert plan.rates_beyond(sweep_of({0.01: 0.5, 0.0316: 0.5, 0.1: 1.0, 0.316: 1.0})) == [0.00316]
    assert plan.rates_beyond(sweep_of({0.01: 1.0, 0.0316: 1.0, 0.1: 0.5, 0.316: 0.5})) == [1.0]
    longer = {0.01: 1.0, 0.0316: 1.0, 0.1: 0.5, 0.316: 0.5, 1.0: 0.5}
    assert plan.rates_beyond(sweep_of(longer)) == [3.16]
    assert plan.rates_beyond(sweep_of(longer | {3.16: 1.9})) == []


def test_no_rate_is_good_if_every_rate_diverged():
    found = sweep_of(dict.fromkeys((0.01, 0.0316, 0.1, 0.316)))
    assert (found.good, found.decades, plan.rates_beyond(found)) == ([], 0, [])
    assert found.best == 0.01


def test_a_seed_that_diverged_makes_the_score_infinite_and_a_missing_seed_drops_the_rate():
    rows = made_metric(seeds=2)
    two = [one_training("relu", "SGD", 1.0, seed, score=s) for seed, s in ((0, 0.1), (1, None))]
    assert plan.rate_sweeps([*rows, *two])["relu", "SGD"].scores[-1] == np.inf
    assert 1.0 not in plan.rate_sweeps([*rows, two[0]])["relu", "SGD"].rates


def test_a_recipe_that_was_not_tried_at_all_rates_has_no_sweep():
    rows = [r for r in made_metric() if (r["spec"]["method"], r["spec"]["rate"]) != ("SGD", 0.1)]
    assert ("relu", "SGD") not in plan.rate_sweeps(rows)
    assert ("relu", "AdamW") in plan.rate_sweeps(rows)


def test_later_stages_ask_for_the_rates_beyond_and_for_nothing_twice():
    _, (_, further), _ = plan.stages(TINY, None)
    specs = further(made_metric({"AdamW": {"good": 4}}))
    assert {(s["method"], s["rate"]) for s in specs} == {("AdamW", 0.000316), ("AdamW", 0.1)}
    assert further(made_metric()) == []
