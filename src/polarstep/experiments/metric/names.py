"""The names of the recipes in figures and tables."""

from __future__ import annotations

from .plan import RECIPES


def full_name(recipe: str) -> str:
    """Return the name of a recipe with its optimizer, for instance "SGD, batch normalization"."""
    if RECIPES[recipe].optimizer == "LengthDirection":
        return "LengthDirection, " + recipe.replace(", ", " + ")
    return f"SGD, {recipe}" if RECIPES[recipe].normalization else recipe
