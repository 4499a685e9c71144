"""Dask arrays and data frames: recognised, checked without reading data, and cut into blocks."""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from ...validation import complaint, type_of
from .blocks import ENCODING_ADVICE, is_real, prepare_block, read_partition
from .graphs import BlockValues, import_dask

REPARTITION_ADVICE = (
    "Repartition one of the collections. For arrays of unknown lengths, call compute_chunk_sizes()."
)
LENGTHS_ADVICE = (
    "Or convert a data frame `X` by to_dask_array(lengths=True), and call compute_chunk_sizes() "
    "of an array."
)


def is_dask(*values: Any) -> bool:
    """Return whether one of the values is a Dask collection, without importing Dask."""
    if "dask" not in sys.modules:
        return False
    from dask.base import is_dask_collection

    return any(is_dask_collection(value) for value in values)


def is_frame(value: Any) -> bool:
    """Return whether the value is a Dask DataFrame or Series."""
    return is_dask(value) and hasattr(value, "divisions") and hasattr(value, "to_delayed")


def as_matrix(X: Any, who: str) -> tuple[Any, list[Any] | None]:
    """Return X as a Dask array with one block of columns, and the column names of a data frame."""
    if is_frame(X) and hasattr(X, "columns"):
        for name, dtype in X.dtypes.items():
            if not is_real(dtype):
                got = f"the dtype {dtype} in column {name!r}"
                raise TypeError(complaint(who, "X", "hold numbers", got, ENCODING_ADVICE))
        return frame_as_array(X, who), list(X.columns)
    if not _is_array(X):
        must, advice = "be a Dask array or DataFrame", ""
        if not is_dask(X):
            must += ", because another argument is a Dask collection"
            advice = "Call compute() on the others to work in memory."
        raise TypeError(complaint(who, "X", must, _type_and_place(X), advice))
    if X.ndim != 2 or not X.shape[1] >= 1:
        raise ValueError(complaint(who, "X", "have rows and columns", f"shape {X.shape}"))
    if X.dtype.kind not in "fiub":
        raise TypeError(complaint(who, "X", "hold numbers", f"the dtype {X.dtype}"))
    if X.numblocks[1] > 1:
        X = X.rechunk({1: -1})
    if X.dtype not in (np.float32, np.float64):
        convert = partial(prepare_block, selection=None, who=who)
        X = X.map_blocks(convert, dtype=np.float64, meta=X._meta.astype(np.float64))
    return X, None


def frame_as_array(X: Any, who: str) -> Any:
    """Return a data frame as a Dask array, with the columns of each partition in the same order."""
    names = list(X.columns)
    # Dask must not compare the partitions with the names and dtypes that it expects.
    return X.map_partitions(
        partial(read_partition, names=names, who=who),
        meta=np.empty((0, len(names))), enforce_metadata=False,
    )  # fmt: skip


def as_column(
    value: Any, argument: str, lengths: tuple[int, ...] | None, n_blocks: int, who: str
) -> Any:
    """Return labels or weights as a collection whose blocks match those of X.

    Parameters
    ----------
    value : dask array, Series or DataFrame of one column, or array-like
        Values in memory are accepted if the lengths of the blocks of X are known.
    argument : str
        The name of the argument in error messages.
    lengths : tuple of int or None
        The number of rows in each block of X, if it is known.
    n_blocks : int
        The number of blocks of X.
    who : str
        The name of the caller, for error messages.
    """
    if not is_dask(value) and lengths is not None and np.ndim(value):
        value = import_module("dask.array").from_array(np.asarray(value), chunks=-1)
    if not (is_frame(value) or (_is_array(value) and value.ndim in (1, 2))):
        must, advice = "be a Dask array or Series", ""
        if not is_dask(value) and np.ndim(value):
            must += " with the partitions of `X`, because their lengths are not known"
            advice = f"{LENGTHS_ADVICE} Then values in memory will do."
        raise TypeError(complaint(who, argument, must, _type_and_place(value), advice))
    if value.ndim == 2 and value.shape[1] != 1:
        got = f"{value.shape[1]} columns"
        raise ValueError(complaint(who, argument, "be one column", got))
    if _is_array(value):
        value = value if value.ndim == 1 else value[:, 0]
        own_lengths = known_lengths(value)
        if lengths is not None and own_lengths is not None and own_lengths != lengths:
            if sum(own_lengths) != sum(lengths):
                must = f"have as many rows as `X`, {sum(lengths)}"
                raise ValueError(complaint(who, argument, must, sum(own_lengths)))
            value = value.rechunk((lengths,))
    if value.npartitions != n_blocks:
        must = f"have as many blocks as `X`, {n_blocks}, because their lengths are not known"
        raise ValueError(complaint(who, argument, must, value.npartitions, REPARTITION_ADVICE))
    return value


def blocks_of(collection: Any) -> BlockValues:
    """Persist a collection and return its blocks."""
    (collection,) = import_dask().persist(collection)
    return BlockValues.of(collection).persist()


def known_lengths(array: Any) -> tuple[int, ...] | None:
    """Return the number of rows in each block of a Dask array; None if Dask does not know it."""
    lengths = array.chunks[0]
    return None if np.isnan(lengths).any() else tuple(int(length) for length in lengths)


def _is_array(value: Any) -> bool:
    return is_dask(value) and hasattr(value, "chunks") and hasattr(value, "rechunk")


def _type_and_place(value: Any) -> str:
    return type_of(value) if is_dask(value) or value is None else f"{type_of(value)} in memory"
