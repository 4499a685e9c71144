"""The work on one block: conversion, rows of weight zero, facts, the place of NaN."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from polarstep.linear_model.on_dask.blocks import (
    find_not_finite,
    inspect_block,
    join_inspections,
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
        assert inspect_block(made, np.zeros(len(rows)), None, "fit")[0][0].is_usable


def test_rows_without_weight_are_not_selected():
    y = np.array(["yes", "no", "no", "yes"])
    selection = select_rows(y, np.array([4, 0, 2, 2]), CLASSES, np.array([1.0, 0.5]), 2.0)
    assert selection.y.tolist() == [1.0, -1.0, 1.0]
    assert selection.weight.tolist() == [1.0, 1.0, 0.5]
    assert selection.rows.tolist() == [0, 2, 3]
    assert select_rows(y, None, CLASSES, np.ones(2), 1.0).rows is None


def test_facts_and_totals_of_blocks_are_joined():
    parts = [
        inspect_block(X, np.array(["b", "a", "b", "b"]), np.array([1e308, 1e308, 0, 1e308]), "fit"),
        inspect_block(X[:1], np.array(["c"]), np.array([5e307]), "fit"),
    ]
    facts, totals = join_inspections("fit", parts)
    assert [fact.n_rows for fact in facts] == [4, 1]
    assert totals.classes.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(totals.weights, [1, 2, 0.5])
    assert totals.unit == 1e308


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_the_first_missing_label_and_the_first_bad_weight_are_found(missing):
    labels = np.array(["a", "b", missing, missing], object)
    (facts,), totals = inspect_block(X, labels, np.array([1.0, -2.0, np.nan, 1.0]), "fit")
    assert facts.missing_label == 2
    assert facts.bad_weight == (1, -2.0)
    assert len(totals.classes) == 0


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
