"""The accuracy of predictions for Dask collections, computed block by block on the workers."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from ...validation import complaint, first_true
from .blocks import label_array, weight_array
from .collections import REPARTITION_ADVICE, as_column, is_frame, known_lengths
from .graphs import BlockValues, OnePerBlock, compute_combined, map_blocks
from .inspection import is_missing_label


def accuracy(predicted: Any, y: Any, sample_weight: Any, who: str) -> float:
    """Return the weighted share of the rows whose label was predicted, in one computation.

    Parameters
    ----------
    predicted : dask array, shape (n,)
        The predicted labels.
    y : dask array, Series, DataFrame of one column, or array-like
        The true labels. They may be in memory if the lengths of the blocks are known.
    sample_weight : as y, or number, or None
        The weights of the rows.
    who : str
        The name of the caller, for error messages.
    """
    lengths, n_blocks = known_lengths(predicted), predicted.numblocks[0]
    columns = [predicted, as_column(y, "y", lengths, n_blocks, who)]
    if not (sample_weight is None or isinstance(sample_weight, Real)):
        columns.append(as_column(sample_weight, "sample_weight", lengths, n_blocks, who))
    # One computation for all of them runs only once what they have in common.
    blocks = [BlockValues.of(_as_array(column)) for column in columns]
    weight = blocks[2] if len(blocks) > 2 else sample_weight
    numbers = OnePerBlock([*range(n_blocks)])
    correct, total = compute_combined(
        map_blocks("score", _score_block, numbers, *blocks[:2], weight, who)
    )
    if not total > 0:
        must = "give at least one row a positive weight"
        raise ValueError(complaint(who, "sample_weight", must, "zeros only"))
    return float(correct / total)


def _as_array(column: Any) -> Any:
    """Return a Series or a data frame of one column as a Dask array."""
    if not is_frame(column):
        return column
    return column.map_partitions(label_array, meta=np.empty(0, object), enforce_metadata=False)


def _score_block(block: int, predicted: np.ndarray, y: Any, weight: Any, who: str) -> np.ndarray:
    """Return the weight of the rows of a block that are predicted correctly, and of all rows."""
    n, labels, s = len(predicted), label_array(y), weight_array(weight, len(predicted), who)
    for argument, length in (("y", len(labels)), ("sample_weight", len(s))):
        if length != n:
            must = f"have as many rows as `X` in every block, {n} in block {block}"
            raise ValueError(complaint(who, argument, must, length, REPARTITION_ADVICE))
    at = first_true(is_missing_label(labels))
    if at is not None:
        got = f"none at row {at} of block {block}"
        raise ValueError(complaint(who, "y", "hold a label for every row", got))
    return np.array([s[np.asarray(labels == predicted, bool)].sum(), s.sum()])
