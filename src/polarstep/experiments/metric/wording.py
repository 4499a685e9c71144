"""The names of recipes, and lists of their numbers, as the report shows them."""

from __future__ import annotations

import numpy as np

from ..formatting import short
from .plan import RECIPES, Case

Numbers = dict[Case, float]
"""One number for each case."""

STEPS_TO_HALF_WAY_LOSS = (
    "Steps to the loss of batch normalization half-way through its training, relative to batch "
    "normalization itself"
)


def full_name(recipe: str) -> str:
    """Return the name of a recipe with its optimizer, for instance "SGD, batch normalization"."""
    if RECIPES[recipe].optimizer == "LengthDirection":
        return "LengthDirection, " + recipe.replace(", ", " + ")
    return f"SGD, {recipe}" if RECIPES[recipe].normalization else recipe


def listed(numbers: Numbers) -> str:
    """List numbers as in "relu: SGD 3, covariance + polar 2; tanh: ..."."""
    return "; ".join(
        f"{activation}: "
        + ", ".join(
            f"{recipe.replace(', ', ' + ')} {ratio_text(numbers[activation, recipe])}"
            for recipe in RECIPES
            if (activation, recipe) in numbers
        )
        for activation in dict.fromkeys(a for a, _ in numbers)
    )


def ratio_text(ratio: float) -> str:
    """Write a ratio of steps; an infinite one means that the loss is never reached."""
    return "never" if np.isinf(ratio) else short(ratio)
