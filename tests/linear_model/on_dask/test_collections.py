"""Dask collections are recognised and checked before any data are read."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

from dask_cases import CHUNKS, SOFTPLUS, WEIGHTS, D, N, X, Y, da, frame, refusal
from polarstep.linear_model.on_dask import collections, reading
from polarstep.linear_model.on_dask.predicting import map_rows

pd = pytest.importorskip("pandas", reason="data frames need pandas")


def test_is_dask():
    assert collections.is_dask(da.zeros(3))
    assert collections.is_dask(X, da.zeros(3))
    assert not collections.is_dask(X, [1.0], None)


def test_dask_is_imported_only_when_it_is_needed():
    code = (
        "import sys, numpy as np; from polarstep.linear_model.on_dask import collections, reading;"
        "assert not collections.is_dask(np.zeros(3)); assert 'dask' not in sys.modules;"
        "sys.modules['dask'] = None; sys.modules['dask.array'] = None\n"
        "try: reading.read_samples(np.zeros((3, 1)), np.zeros(3), loss=None, intercept=True)\n"
        "except ModuleNotFoundError as error: assert \"'polarstep[dask]'\" in str(error), error\n"
        "else: raise AssertionError\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_data_that_cannot_be_used():
    good = da.from_array(X, chunks=(CHUNKS, D))
    assert "hold numbers" in refusal(TypeError, good.astype(complex), Y)
    assert "hold numbers" in refusal(TypeError, good.astype(str), Y)
    objects = da.from_array(np.full((N, 2), None), chunks=(CHUNKS, 2))
    assert "hold numbers" in refusal(TypeError, objects, Y)
    hidden = good.map_blocks(lambda block: block.astype(str), dtype=float, meta=np.zeros((0, D)))
    assert "hold numbers" in refusal(TypeError, hidden, Y)
    assert "rows and columns" in refusal(ValueError, good[:, 0], Y)
    assert "Dask array or DataFrame" in refusal(TypeError, X, da.from_array(Y))
    assert "got an ndarray in memory. Call compute()" in refusal(TypeError, X, da.from_array(Y))
    mixed = da.concatenate([good, good.map_blocks(sp.csr_array)])
    assert "sparse" in refusal(ValueError, mixed, np.append(Y, Y))


def test_blocks_that_do_not_match():
    mask = da.from_array(X[:, 0], chunks=(CHUNKS,)) > 0
    unknown = da.from_array(X, chunks=(CHUNKS, D))[mask]
    text = refusal(ValueError, unknown, da.from_array(Y, chunks=200))
    assert "as many blocks as `X`, 5" in text
    text = refusal(ValueError, unknown, da.from_array(Y, chunks=(CHUNKS,)))
    assert "as many rows as `X` in every block" in text
    assert "compute_chunk_sizes" in text


def test_labels_in_memory_beside_blocks_of_unknown_lengths():
    table = frame()
    columns = table[[f"x{j}" for j in range(D)]]
    mask = da.from_array(X[:, 0], chunks=(CHUNKS,)) > 0
    for unknown in (columns, columns.clear_divisions(), da.from_array(X, chunks=(CHUNKS, D))[mask]):
        for y, kind in ((Y, "an ndarray"), (Y.tolist(), "a list"), (pd.Series(Y), "a Series")):
            text = refusal(TypeError, unknown, y)
            assert "`y` must be a Dask array or Series with the partitions of `X`" in text
            assert f"got {kind} in memory. Or convert a data frame `X` by" in text
    text = refusal(TypeError, columns, table["label"], WEIGHTS)
    assert "`sample_weight` must be a Dask array or Series with the partitions of `X`" in text
    reading.read_samples(
        columns.to_dask_array(lengths=True), pd.Series(Y), loss=SOFTPLUS, intercept=True
    )  # as the message advises


CHANGES = {
    "order": lambda part: part[[f"x{j}" for j in (3, 1, 0, 2, 5, 4)]],
    "single precision": lambda part: part.astype(np.float32),
    "booleans and nullable": lambda part: part.astype({"x0": "Float64"}),
    "an array": lambda part: part.to_numpy(),
}


def changed(change):
    """Return the columns of a data frame of which one partition is changed behind Dask's back."""
    columns = frame()[[f"x{j}" for j in range(D)]]

    def work(part, partition_info=None):
        return change(part) if partition_info and partition_info["number"] == 2 else part

    return columns.map_partitions(work, meta=columns._meta, enforce_metadata=False)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_partitions_are_aligned_by_the_names_of_columns(change):
    array, names = collections.as_matrix(changed(change), "fit")
    assert names == [f"x{j}" for j in range(D)]
    np.testing.assert_allclose(array.compute(), X, rtol=1e-6)
    found = map_rows(np.sum, changed(change), 1, columns=1, who="predict")
    np.testing.assert_allclose(found.compute(), X.sum(axis=1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "change", "text"),
    [
        (ValueError, lambda part: part.drop(columns="x1"), "got x0, x2, x3, x4, x5 in the partiti"),
        (ValueError, lambda part: part.assign(z=1.0), "x5, z in the partition that starts at ind"),
        (ValueError, lambda part: part.rename(columns={"x0": "z"}), "got z, x1, x2"),
        (ValueError, lambda part: pd.concat([part[["x0"]], part], axis=1), "got x0, x0, x1"),
        (TypeError, lambda part: part.assign(x2="a"), "in column 'x2' of a partition"),
        (TypeError, lambda part: part.assign(x2=1j), "the dtype complex128 in column 'x2'"),
    ],
)
def test_partitions_with_other_columns_are_refused(kind, change, text):
    table = frame()
    assert text in refusal(kind, changed(change), table["label"])
    with pytest.raises(kind, match=r"^predict: `X` must"):
        map_rows(np.sum, changed(change), 1, columns=1, who="predict").compute()
