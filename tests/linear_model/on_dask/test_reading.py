"""Reading Dask arrays and data frames: weights, empty blocks, refusals that name the place."""

import numpy as np
import pytest
import scipy.sparse as sp

from dask_cases import (
    CHUNKS,
    SOFTPLUS,
    WEIGHTS,
    D,
    N,
    X,
    Y,
    both,
    da,
    data,
    frame,
    refusal,
    spoilt,
    values,
)
from polarstep.linear_model.on_dask import reading


@pytest.mark.parametrize("class_weight", ["balanced", {0: 2.0, 1: 0.5, 2: 0.0}])
def test_class_weights_multiply_sample_weights(class_weight):
    X, y, weight = data(classes=3)
    _, there, total = reading.read_samples(
        da.from_array(X, chunks=(CHUNKS, D)), y, weight,
        loss=SOFTPLUS, intercept=True, class_weight=class_weight,
    )  # fmt: skip
    if class_weight == "balanced":
        factors = weight.sum() / (3 * np.bincount(y, weight))
    else:
        factors = np.array([class_weight[label] for label in range(3)])
    expected = weight * factors[y]
    assert total == pytest.approx(expected.sum())
    np.testing.assert_allclose(values(there.weight), expected[expected > 0] / expected.sum())


def test_weights_of_any_size():
    weights = np.where(np.arange(N) % 2, 1e308, 1e300)
    _, here = both(weight=weights / 1e300)
    _, large, _ = reading.read_samples(
        da.from_array(X, chunks=(CHUNKS, D)), Y, weights, loss=SOFTPLUS, intercept=True
    )
    np.testing.assert_allclose(values(large.weight), here.weight)


def test_a_number_is_the_weight_of_every_row():
    collection = da.from_array(X, chunks=(CHUNKS, D))
    _, there, total = reading.read_samples(collection, Y, 3, loss=SOFTPLUS, intercept=True)
    assert total == pytest.approx(3 * N)
    np.testing.assert_allclose(values(there.weight), 1 / N)
    assert "only finite numbers >= 0; got -1" in refusal(ValueError, collection, Y, -1.0)


def test_data_frames():
    table = frame()
    columns = [f"x{j}" for j in range(D)]
    _, here = both()
    w = np.full(D, 0.02)
    expected = here.evaluate(w, 0.1)[0].by_w
    for y in (table["label"], table[["label"]], da.from_array(Y, chunks=N // 4)):
        classes, there, _ = reading.read_samples(
            table[columns], y, table["weight"], loss=SOFTPLUS, intercept=True
        )
        assert classes.tolist() in (["no", "yes"], [0, 1])
        np.testing.assert_allclose(there.evaluate(w, 0.1)[0].by_w, expected)
    _, there, _ = reading.read_samples(
        table[columns].to_dask_array(), table["label"], table["weight"],
        loss=SOFTPLUS, intercept=True,
    )  # fmt: skip
    np.testing.assert_allclose(there.evaluate(w, 0.1)[0].by_w, expected)


def test_data_frames_with_empty_partitions_and_nullable_columns():
    table = frame()
    table = table.astype({"x0": "Float64", "label": "category"})
    table = table[(table["x1"] > 0) | (table["row"] > N // 2)]
    table = table[table["row"] > N // 3]
    columns = [f"x{j}" for j in range(D)]
    _, there, _ = reading.read_samples(
        table[columns], table["label"], loss=SOFTPLUS, intercept=True
    )
    at = np.arange(N)
    rows = ((X[:, 1] > 0) | (at > N // 2)) & (at > N // 3)
    assert there.n == rows.sum()
    assert len(there.census.counts) < table.npartitions
    np.testing.assert_allclose(there.centre, X[rows].mean(axis=0))


def test_masked_arrays_of_unknown_length():
    collection = da.from_array(X, chunks=(CHUNKS, (2, 4)))
    mask = da.from_array(X[:, 0], chunks=(CHUNKS,)) > 0
    y = da.from_array(Y, chunks=(CHUNKS,))
    _, there, _ = reading.read_samples(
        collection[mask], y[mask].reshape(-1), loss=SOFTPLUS, intercept=True
    )
    np.testing.assert_allclose(there.centre, X[X[:, 0] > 0].mean(axis=0))


def test_a_single_block():
    _, there, _ = reading.read_samples(da.from_array(X), Y, loss=SOFTPLUS, intercept=False)
    assert len(there.census.counts) == 1
    assert not there.centre.any()


def test_persisted_blocks_are_used_where_they_lie():
    collection = da.from_array(X, chunks=(CHUNKS, D)).persist()
    _, there, _ = reading.read_samples(collection, Y, loss=SOFTPLUS, intercept=True)
    blocks = collection.__dask_graph__()
    for mine, key in zip(there.X.compute(), collection.__dask_keys__(), strict=True):
        assert np.shares_memory(mine, blocks[key[0]])


def test_read_only_blocks():
    def frozen(block):
        block = block.copy()
        block.flags.writeable = False
        return block

    collection = da.from_array(X, chunks=(CHUNKS, D)).map_blocks(frozen).persist()
    _, there, _ = reading.read_samples(collection, Y, WEIGHTS, loss=SOFTPLUS, intercept=True)
    _, here = both()
    w = np.full(D, 0.02)
    assert there.evaluate(w, 0.1)[0].value == pytest.approx(here.evaluate(w, 0.1)[0].value)


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named_with_their_place(value, kind):
    bad = da.from_array(spoilt(value), chunks=(CHUNKS, D)).map_blocks(kind)
    text = refusal(ValueError, bad, Y)
    assert f"got {value} at row 400 (row 59 of block 3), column 3" in text
    # Rows of weight zero are left out, but they count in the place that is named.
    weight = np.ones(N)
    weight[[0, 345, 346]] = 0
    text = refusal(ValueError, bad, Y, weight)
    assert f"got {value} at row 400 (row 59 of block 3), column 3" in text
    weight[400] = 0
    _, there, _ = reading.read_samples(bad, Y, weight, loss=SOFTPLUS, intercept=True)
    assert np.isfinite(there.centre).all()


def test_columns_of_data_frames_are_named():
    table = frame(1)
    columns = [f"x{j}" for j in range(D)]
    table["x3"] = table["x3"].where(table["row"] != 400)
    text = refusal(ValueError, table[columns], table["label"])
    assert "nan at row 400 (row 400 of block 0), column 'x3'" in text
    text = refusal(TypeError, table[[*columns, "label"]], table["label"])
    assert "in column 'label'" in text


def test_labels_that_cannot_be_used():
    good = da.from_array(X, chunks=(CHUNKS, D))
    assert "as many rows as `X`, 700; got 699" in refusal(ValueError, good, Y[:-1])
    assert "one column" in refusal(ValueError, good, np.column_stack([Y, Y]))
    assert "Series" in refusal(TypeError, good, None)
    assert "two classes or more; got 1" in refusal(ValueError, good, np.ones(N))
    assert "two classes or more; got 0" in refusal(ValueError, good[:0], Y[:0])
    labels = Y.astype(float)
    labels[400] = np.nan
    text = refusal(ValueError, good, labels)
    assert "hold a label for every row; got none at row 400 (row 59 of block 3)" in text
    labels = np.array(["a", "b"], object)[Y]
    labels[400] = None
    assert "none at row 400" in refusal(ValueError, good, labels)
    labels[400] = 3
    assert "can be sorted" in refusal(TypeError, good, labels)
    assert "continuous" in refusal(ValueError, good, Y + 0.5)
    many = da.from_array(np.zeros((2_000, 2)), chunks=(500, 2))
    assert "at most 1000 classes" in refusal(ValueError, many, np.arange(2_000))


def test_weights_that_cannot_be_used():
    good = da.from_array(X, chunks=(CHUNKS, D))
    for value in (-1.0, np.nan, np.inf):
        weights = np.ones(N)
        weights[400] = value
        text = refusal(ValueError, good, Y, weights)
        assert f"only finite numbers >= 0; got {value:g} at row 400 (row 59 of block 3)" in text
    for class_weight in (None, "balanced"):
        text = refusal(ValueError, good, Y, np.zeros(N), class_weight=class_weight)
        assert "hold two classes or more; got 0" in text
    assert "hold numbers" in refusal(TypeError, good, Y, np.full(N, "a"))
    assert "`class_weight` must" in refusal(ValueError, good, Y, class_weight={0: -1.0, 1: 1.0})
