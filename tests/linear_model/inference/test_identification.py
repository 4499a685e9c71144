"""Which coefficients data determine."""

import numpy as np
import pytest

from polarstep.linear_model.inference.identification import determined
from polarstep.linear_model.inference.inverse import invert
from polarstep.linear_model.inference.standard_rows import Standard

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("centre", [0.0, 5.0])
def test_which_coefficients_are_determined(centre):
    """The intercept is not determined if a constant column is not zero."""
    x = RNG.standard_normal((40, 2))
    columns = np.column_stack([x, x[:, 0] * 3, np.zeros(40)])
    Z = np.column_stack([columns, np.ones(40)])
    inverse = invert(Z.T @ Z)
    standard = Standard(np.array([1.0, 2.0, 3.0, centre]), np.ones(4), True)
    mask = determined(inverse.null, inverse.scale, standard)
    assert mask.tolist() == [[False, True, False, False, centre == 0.0]]


def test_everything_is_determined_without_null_directions():
    standard = Standard(np.zeros(3), np.ones(3), True)
    assert determined(np.zeros((8, 0)), np.ones(8), standard).all()
