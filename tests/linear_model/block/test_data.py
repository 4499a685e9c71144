"""The interface of the rows of a block."""

import numpy as np

from block_problems import D, N, make_rows
from polarstep.linear_model.block.data import BlockData


def test_rows_in_memory_offer_the_whole_interface():
    rows = make_rows("csr")
    assert isinstance(rows, BlockData)
    assert (rows.n, rows.d, rows.is_sparse) == (N, D, True)
    assert rows.in_memory() is rows
    assert rows.gram_columns().size == D
    assert rows.gram_cost(D) > 0
    np.testing.assert_allclose(rows.totals.sum(axis=1), 1.0)
