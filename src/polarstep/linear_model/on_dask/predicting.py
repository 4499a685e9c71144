"""Predictions for Dask collections, as Dask arrays that are computed block by block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .collections import frame_as_array, is_frame


def map_rows(function: Callable[..., Any], X: Any, *arguments: Any, columns: int, who: str) -> Any:
    """Apply ``function(block, *arguments)`` to each block of rows of a Dask array or data frame.

    Returns a Dask array of shape (n,) if ``columns`` is 1, and (n, columns) otherwise. Errors about
    the partitions of a data frame name the caller, ``who``.
    """
    array = frame_as_array(X, who) if is_frame(X) else X
    if array.ndim == 2:
        array = array.rechunk({1: -1})
    if columns == 1:
        shape: dict[str, Any] = {"drop_axis": 1} if array.ndim == 2 else {}
    else:
        shape = {"chunks": (array.chunks[0], (columns,))}
        if array.ndim == 1:
            shape["new_axis"] = 1
    like = np.empty((0,) if columns == 1 else (0, columns))
    return array.map_blocks(function, *arguments, dtype=np.float64, meta=like, **shape)
