"""Quantities that are read from one measured iterate."""

import numpy as np

from made_rows import point
from polarstep.experiments.deep.quantities import MEASURES, blocks, cross, own_block


def test_scales_combine_raw_norms_and_sizes():
    made = point(0, 1.0)
    made["directions"] = {"raw": [1, 2, 3, 4, 5, 6, 7], "sizes": [2.0] * 3 + [3.0] * 4, "own": 4.0}
    raw = np.arange(1.0, 8.0)
    np.testing.assert_allclose(blocks(made, "raw", "directions"), raw)
    relative = raw * [6, 6, 6, 9, 9, 9, 9]
    np.testing.assert_allclose(blocks(made, "relative", "directions"), relative)
    np.testing.assert_allclose(blocks(made, "own", "directions"), raw / 4)
    assert cross("raw", "directions")(made) == 4.0  # of the six others
    assert own_block("directions")(made) == 4.0


def test_quantities_of_dead_layers_and_of_missing_values_are_nan():
    assert np.isnan(cross("raw", "weights")(point(0, 1.0, cross=None)))
    assert np.isnan(cross("own", "weights")(point(0, 1.0, own=0.0)))
    lost = point(0, 1.0, own=None, shift=None, gradient=None, roughness=None)
    assert all(np.isnan(measure(lost)) for measure in MEASURES.values())
