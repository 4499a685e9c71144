"""Functions of rows, applied to Dask arrays and data frames block by block."""

import numpy as np
import pytest

from dask_cases import CHUNKS, D, X, da, frame
from polarstep.linear_model.on_dask.predicting import map_rows

FACTORS = np.arange(1.0, D + 1)


def first(block, factors):
    return block @ factors


def both(block, factors):
    return np.column_stack([block @ factors, -(block @ factors)])


@pytest.mark.parametrize("kind", ["one block of columns", "two blocks of columns", "frame"])
def test_values_by_row(kind):
    rows = {
        "one block of columns": lambda: da.from_array(X, chunks=(CHUNKS, D)),
        "two blocks of columns": lambda: da.from_array(X, chunks=(CHUNKS, (2, 4))),
        "frame": lambda: frame()[[f"x{j}" for j in range(D)]],
    }[kind]()
    one = map_rows(first, rows, FACTORS, columns=1, who="predict")
    two = map_rows(both, rows, FACTORS, columns=2, who="predict")
    assert (one.ndim, two.ndim) == (1, 2)
    np.testing.assert_allclose(one.compute(), X @ FACTORS)
    np.testing.assert_allclose(two.compute()[:, 1], -(X @ FACTORS))


def test_a_vector_becomes_columns():
    values = da.from_array(X[:, 0], chunks=(CHUNKS,))
    found = map_rows(lambda v: np.column_stack([v, 2 * v]), values, columns=2, who="predict")
    assert found.shape == (len(X), 2)
    np.testing.assert_array_equal(found.compute()[:, 1], 2 * X[:, 0])
