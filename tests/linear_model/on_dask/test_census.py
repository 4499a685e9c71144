"""The census of blocks, against counts of the rows in memory."""

import numpy as np
import pytest
import scipy.sparse as sp

pytest.importorskip("dask", reason="Dask is not installed: pip install 'polarstep[dask]'")

from polarstep.linear_model.on_dask.census import count_labels, take_census
from polarstep.linear_model.on_dask.graphs import BlockValues

RNG = np.random.default_rng(0)
LENGTHS = (5, 1, 9)
X = [RNG.standard_normal((n, 3)) * (RNG.random((n, 3)) < 0.6) for n in LENGTHS]
Y = [RNG.choice([0.0, 2.0], n) for n in LENGTHS]
WEIGHT = [RNG.exponential(size=n) for n in LENGTHS]
ROWS = BlockValues(
    {f"rows {i}": rows for i, rows in enumerate(zip(Y, WEIGHT, strict=True))},
    [f"rows {i}" for i in range(3)],
)


def blocks(convert):
    return BlockValues(
        {f"X {i}": convert(block) for i, block in enumerate(X)}, [f"X {i}" for i in range(3)]
    )


@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array])
def test_rows_weights_and_entries_are_counted(convert):
    census = take_census(blocks(convert), ROWS, np.array([0.0, 1.0, 2.0]))
    assert census.labels.tolist() == [0.0, 2.0]
    assert census.d == 3
    for k, label in enumerate(census.labels):
        assert census.counts[:, k].tolist() == [np.count_nonzero(y == label) for y in Y]
        expected = [s[y == label].sum() for y, s in zip(Y, WEIGHT, strict=True)]
        np.testing.assert_allclose(census.weights[:, k], expected)
    entries = np.concatenate([np.count_nonzero(block, axis=1) for block in X])
    assert census.is_sparse == (convert is sp.csr_array)
    assert census.nnz == (entries.sum() if census.is_sparse else 0)
    assert census.nnz_squares == (np.square(entries).sum() if census.is_sparse else 0)


def test_labels_that_do_not_occur_are_counted_as_zero():
    counts, weights = count_labels(np.array([2.0, 2.0]), np.array([0.5, 1.0]), np.array([0.0, 2.0]))
    assert counts.tolist() == [0, 2]
    assert weights.tolist() == [0.0, 1.5]
