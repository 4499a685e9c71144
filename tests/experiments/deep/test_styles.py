"""Colors and names of the networks."""

import numpy as np

from polarstep.experiments.deep.plan import NORMALIZATIONS
from polarstep.experiments.deep.styles import COLORS, NAMES, positive


def test_every_network_has_a_color_and_a_name_of_its_own():
    for table in (COLORS, NAMES):
        assert tuple(table) == NORMALIZATIONS
        assert len(set(table.values())) == len(table)


def test_values_without_a_logarithm_are_left_out():
    np.testing.assert_array_equal(
        positive(np.array([1.0, 0.0, -1.0, np.nan])), [1.0, np.nan, np.nan, np.nan]
    )
