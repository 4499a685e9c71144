"""Dask collections are recognised and checked before any data are read."""

import subprocess
import sys

import numpy as np
import scipy.sparse as sp

from dask_cases import CHUNKS, D, N, X, Y, da, refusal
from polarstep.linear_model.on_dask import collections


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
