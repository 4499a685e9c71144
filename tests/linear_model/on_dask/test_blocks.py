"""Blocks: their conversion, rows of weight zero, and the place of NaN."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from polarstep.data_matrix import is_usable_matrix
from polarstep.linear_model.on_dask.blocks import (
    find_not_finite,
    prepare_block,
    select_rows,
)

X = np.arange(12.0).reshape(4, 3)
CLASSES = np.array(["no", "yes"])


@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array, sp.csc_array, pd.DataFrame])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_blocks_are_prepared_in_the_form_of_the_solver(convert, dtype):
    expected = np.float32 if dtype == np.float32 else np.float64
    for selection, rows in (
        (None, X),
        (
            select_rows(
                np.array([*"abab"]), np.array([1, 0, 2, 1]), np.array([*"ab"]), np.ones(2), 1.0
            ),
            X[[0, 2, 3]],
        ),
    ):
        made = prepare_block(convert(X.astype(dtype)), selection, "fit")
        assert made.dtype == expected
        dense = made.toarray() if sp.issparse(made) else made
        np.testing.assert_array_equal(dense, rows)
        assert is_usable_matrix(made)


def test_rows_without_weight_are_not_selected():
    y = np.array(["yes", "no", "no", "yes"])
    selection = select_rows(y, np.array([4, 0, 2, 2]), CLASSES, np.array([1.0, 0.5]), 2.0)
    assert selection.y.tolist() == [1.0, -1.0, 1.0]
    assert selection.weight.tolist() == [1.0, 1.0, 0.5]
    assert selection.rows.tolist() == [0, 2, 3]
    assert select_rows(y, None, CLASSES, np.ones(2), 1.0).rows is None


@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array])
def test_the_place_of_nan_counts_rows_without_weight(convert):
    bad = X.copy()
    bad[2, 1] = np.nan
    selection = select_rows(
        np.array([*"abab"]), np.array([0, 1, 2, 1]), np.array([*"ab"]), np.ones(2), 1.0
    )
    block, row, column, value = find_not_finite(5, convert(bad), selection, "fit")
    assert (block, row, column) == (5, 2, 1)
    assert np.isnan(value)
    assert find_not_finite(5, convert(X), selection, "fit") is None
