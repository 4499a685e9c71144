"""The names of recipes, and lists of their numbers."""

import numpy as np

from polarstep.experiments.metric.plan import RECIPES
from polarstep.experiments.metric.wording import full_name, listed, ratio_text


def test_every_recipe_has_a_name_of_its_own():
    assert len({full_name(recipe) for recipe in RECIPES}) == len(RECIPES)
    assert full_name("batch normalization") == "SGD, batch normalization"
    assert full_name("covariance, sgd") == "LengthDirection, covariance + sgd"


def test_numbers_are_listed_by_activation_in_the_order_of_the_recipes():
    numbers = {("relu", "AdamW"): 2.0, ("relu", "SGD"): 1.0, ("tanh", "covariance, sgd"): 0.5}
    assert listed(numbers) == "relu: SGD 1, AdamW 2; tanh: covariance + sgd 0.5"


def test_an_infinite_ratio_is_written_as_never():
    assert ratio_text(np.inf) == "never"
    assert ratio_text(1.25) == "1.2"
