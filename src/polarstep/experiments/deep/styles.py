"""Colors and names of the networks in the figures on deep networks."""

from __future__ import annotations

import numpy as np

COLORS = {"plain": "#0072B2", "batch": "#CC79A7", "weight": "#009E73"}
NAMES = {"plain": "plain", "batch": "batch normalization", "weight": "weight normalization"}


def positive(values: np.ndarray) -> np.ndarray:
    """Replace values that are not positive with NaN, because they have no logarithm."""
    return np.where(values > 0, values, np.nan)
