"""The inspection of blocks: facts, totals of classes, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from polarstep.linear_model.on_dask.inspection import (
    check_facts,
    inspect_block,
    join_inspections,
    place_of,
)

X = np.arange(12.0).reshape(4, 3)


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


@pytest.mark.parametrize(
    ("convert", "usable"),
    [(np.asarray, True), (sp.csr_array, True), (sp.csc_array, False), (np.int64, False)],
)
def test_a_block_says_whether_it_can_be_used_without_a_copy(convert, usable):
    (facts,), _ = inspect_block(convert(X), np.zeros(4), None, "fit")
    assert facts.is_usable == usable
    assert facts.is_sparse == sp.issparse(convert(X))
    assert facts[:2] == (4, 3)


GOOD = inspect_block(X, np.zeros(4), None, "fit")[0][0]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"n_columns": 2}, "`X` must have 3 columns in every block; got 2 in block 1"),
        ({"is_sparse": True}, "`X` must have either dense or sparse blocks; got both"),
        ({"n_labels": 5}, "`y` must have as many rows as `X` in every block, 4 in block 1; got 5"),
        ({"n_weights": 3}, "`sample_weight` must have as many rows as `X`"),
        (
            {"missing_label": 2},
            r"`y` must hold a label for every row; got none at row 6 \(row 2 of",
        ),
        (
            {"bad_weight": (0, -1.0)},
            r"contain only finite numbers >= 0; got -1 at row 4 \(row 0 of",
        ),
    ],
    ids=str,
)
def test_the_first_block_that_does_not_fit_is_named(changes, text):
    with pytest.raises(ValueError, match="^fit: .*" + text):
        check_facts([GOOD, GOOD._replace(**changes)], 3, "fit")


def test_blocks_that_fit():
    assert check_facts([GOOD, GOOD], 3, "fit") is None


def test_a_place_counts_rows_of_all_data_and_of_the_block():
    assert place_of(341, 59, 3) == "row 400 (row 59 of block 3)"
