"""Quantities that are computed from one point: what was measured at one iterate of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .plan import MIDDLE, STEP_FACTORS

Point = dict[str, Any]
"""What was measured at one iterate, as in the rows."""

Quantity = Callable[[Point], float]
"""A function that computes a number from one point; the number is NaN if it is undefined."""

SCALES = {
    "raw": "‖∂²f/∂W₄∂Wᵢ‖",
    "relative": "‖W₄‖ ‖Wᵢ‖ ‖∂²f/∂W₄∂Wᵢ‖",
    "own": "‖∂²f/∂W₄∂Wᵢ‖ / ‖∂²f/∂W₄²‖",
}
COORDINATES = ("weights", "directions")


def blocks(point: Point, scale: str, coordinates: str) -> np.ndarray:
    """Return the coupling of the middle layer with every layer, including itself, in a scale."""
    found = point[coordinates]
    raw, sizes = (np.array(found[name], float) for name in ("raw", "sizes"))
    if scale == "relative":
        return raw * sizes * sizes[MIDDLE - 1]
    return raw / _own(found) if scale == "own" else raw


def cross(scale: str, coordinates: str) -> Quantity:
    """Return the quantity "mean coupling of the middle layer with the other layers"."""
    return lambda point: float(np.delete(blocks(point, scale, coordinates), MIDDLE - 1).mean())


def own_block(coordinates: str) -> Quantity:
    """Return the quantity "norm of the middle layer's own block"."""
    return lambda point: _own(point[coordinates])


def _own(found: dict[str, Any]) -> float:
    return float(found["own"] or np.nan)  # the block of a dead layer is zero


def _number(value: float | None) -> float:
    return np.nan if value is None else value


_FULL_STEP = STEP_FACTORS.index(1.0)
MEASURES: dict[str, Quantity] = {
    "coupling": cross("own", "directions"),
    "covariate shift": lambda point: float(np.mean(np.array(point["shift"], float))),
    "gradient shift": lambda point: _number(point["gradient_shift"]),
    "loss roughness": lambda point: _number(point["loss_roughness"][_FULL_STEP]),
    "gradient roughness": lambda point: _number(point["gradient_roughness"][_FULL_STEP]),
}
"""Measures of the possible explanations of the speed: first decoupling, then its rivals."""

RIVALS = tuple(MEASURES)[1:]
