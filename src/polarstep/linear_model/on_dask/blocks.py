"""Blocks of X, y and weights, converted to the form that the solver uses."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ...data_matrix import canonical_matrix, with_native_types
from ...validation import complaint, first_not_finite
from ..labels import solver_labels

ENCODING_ADVICE = "Encode such columns as numbers, or leave them out."


class Selection(NamedTuple):
    """The rows of a block that have a positive weight."""

    y: np.ndarray  # labels as `solver_labels` returns them
    weight: np.ndarray
    rows: np.ndarray | None  # the positions of the rows in the block; None if all are selected


def label_array(y: Any) -> np.ndarray:
    """Return the labels of a block as a vector."""
    if hasattr(y, "to_numpy"):
        y = y.to_numpy()
    return np.asarray(y).ravel()


def weight_array(weight: Any, n: int, who: str) -> np.ndarray:
    """Return the weights of a block as a float64 vector; a number is the weight of every row."""
    if weight is None:
        return np.ones(n)
    values = np.full(n, weight) if isinstance(weight, Real) else np.asarray(weight).ravel()
    try:
        if values.dtype.kind not in "fiubO":
            raise TypeError
        return values.astype(np.float64)
    except (TypeError, ValueError):
        got = f"the dtype {values.dtype}"
        raise TypeError(complaint(who, "sample_weight", "hold numbers", got)) from None


def select_rows(
    y: Any,
    weight: Any,
    classes: np.ndarray,
    factors: np.ndarray,
    unit: float,
    keep_all: bool = False,
) -> Selection:
    """Select the rows of positive weight, or all of them.

    The weights are divided by ``unit`` and multiplied by the factors of their classes.
    """
    codes = np.searchsorted(classes, label_array(y))
    s = factors[codes]
    if weight is not None:
        s *= weight_array(weight, len(codes), "") / unit
    labels = solver_labels(codes, len(classes))
    if keep_all or s.all():
        return Selection(labels, s, None)
    rows = np.flatnonzero(s)
    return Selection(labels[rows], s[rows], rows)


def selection_length(selection: Selection) -> list[int]:
    """Return the number of selected rows as a list of one entry."""
    return [len(selection.y)]


def selected_labels(selection: Selection) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels and weights of the selected rows."""
    return selection.y, selection.weight


def read_partition(frame: Any, names: Sequence[Any], who: str) -> np.ndarray:
    """Return a partition of a data frame in the form that the solver uses, its columns by name.

    Partitions that a user made one by one may differ in the order of their columns.

    Raises
    ------
    TypeError, ValueError
        If the partition has other columns, or a column that does not hold numbers.
    """
    if not hasattr(frame, "columns"):  # an array, whose number of columns is checked later
        return prepare_block(frame, None, who)
    columns = list(frame.columns)
    if columns != list(names):
        where = f" in the partition that starts at index {frame.index[0]!r}" if len(frame) else ""
        got = f"{', '.join(map(str, columns))}{where}"
        if sorted(map(str, columns)) != sorted(map(str, names)) or len(set(columns)) < len(columns):
            must = f"have the columns {', '.join(map(str, names))} in every partition"
            raise ValueError(complaint(who, "X", must, got))
        frame = frame[list(names)]
    for name, dtype in frame.dtypes.items():
        if not is_real(dtype):
            got = f"the dtype {dtype} in column {name!r} of a partition"
            raise TypeError(complaint(who, "X", "hold numbers", got, ENCODING_ADVICE))
    return prepare_block(frame, None, who)


def is_real(dtype: Any) -> bool:
    """Return whether the dtype of a column is that of real numbers or booleans."""
    from pandas.api.types import is_complex_dtype, is_numeric_dtype

    return is_numeric_dtype(dtype) and not is_complex_dtype(dtype)


def prepare_block(X: Any, selection: Selection | None, who: str) -> Any:
    """Return the selected rows of a block of X, or all of them, in the form the solver uses."""
    if hasattr(X, "to_numpy"):
        single = all(dtype == np.float32 for dtype in X.dtypes)
        X = X.to_numpy(np.float32 if single else np.float64, na_value=np.nan)
    X = with_native_types(X) if sp.issparse(X) else np.asarray(X)
    if X.dtype.kind not in "fiub":
        raise TypeError(complaint(who, "X", "hold numbers", f"the dtype {X.dtype}"))
    if selection is not None and selection.rows is not None:
        X = (X.tocsr() if sp.issparse(X) else X)[selection.rows]
    return canonical_matrix(X)


def find_not_finite(
    block: int, X: Any, selection: Selection, who: str
) -> tuple[int, int, int, float] | None:
    """Return the block, row, column and value of the first number that is not finite, if any."""
    X = prepare_block(X, selection, who)
    where = first_not_finite(X)
    if where is None:
        return None
    row, column = where
    value = float(X[row, column])
    return block, row if selection.rows is None else int(selection.rows[row]), column, value


def first_found(parts: Sequence[Any]) -> Any:
    """Return the first value that is not None; for use as the ``combine`` of a tree."""
    return next((part for part in parts if part is not None), None)
