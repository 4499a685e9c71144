"""The work on one block of X, y and weights while Dask collections are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ...data_matrix import canonical_matrix, is_usable_matrix
from ...validation import complaint, first_not_finite, first_true
from ..labels import solver_labels
from .graphs import join_lists

_MOST_CLASSES = 1_000


class BlockFacts(NamedTuple):
    """The properties of a block that are checked before it is used."""

    n_rows: int
    n_columns: int
    is_sparse: bool
    is_usable: bool  # whether the solver can use X without converting it
    n_labels: int
    n_weights: int
    missing_label: int | None  # the first position without a label
    bad_weight: tuple[int, float] | None  # the first position of an invalid weight, and its value


class ClassTotals(NamedTuple):
    """The classes that occur and the total weight of each, in multiples of a unit.

    The unit is the largest weight, so that sums of very large weights do not overflow.
    """

    classes: np.ndarray
    weights: np.ndarray
    unit: float


class Selection(NamedTuple):
    """The rows of a block that have a positive weight."""

    y: np.ndarray  # labels in the form that the solver takes
    weight: np.ndarray
    rows: np.ndarray | None  # the positions of the rows; None if all are selected


# --------------------------------------------------------------------------- inspecting


def inspect_block(X: Any, y: Any, weight: Any, who: str) -> tuple[list[BlockFacts], ClassTotals]:
    """Return the facts and class totals of one block."""
    y, s = _label_array(y), _weight_array(weight, X.shape[0], who)
    missing_label = first_true(_is_missing(y))
    at = first_true(~((s >= 0) & (s < np.inf)))
    bad_weight = None if at is None else (at, float(s[at]))
    sizes = X.shape[0], X.shape[1], sp.issparse(X), is_usable_matrix(X), len(y), len(s)
    facts = BlockFacts(*sizes, missing_label, bad_weight)
    if len(y) != len(s) or missing_label is not None or bad_weight is not None:
        y, s = y[:0], s[:0]  # the facts lead to an error, and totals are not needed
    unit = float(s.max(initial=0.0))
    return [facts], _class_totals(y, s / unit if unit > 0 else s, unit, who)


def join_inspections(
    who: str, parts: Sequence[tuple[list[BlockFacts], ClassTotals]]
) -> tuple[list[BlockFacts], ClassTotals]:
    """Join the facts and class totals of several blocks."""
    facts, totals = zip(*parts, strict=True)
    totals = [part for part in totals if len(part.classes)] or list(totals)
    unit = max(part.unit for part in totals)
    scale = [part.unit / unit if unit > 0 else 0.0 for part in totals]
    weights = [part.weights * factor for part, factor in zip(totals, scale, strict=True)]
    classes = np.concatenate([part.classes for part in totals])
    return join_lists(facts), _class_totals(classes, np.concatenate(weights), unit, who)


def _class_totals(labels: np.ndarray, weights: np.ndarray, unit: float, who: str) -> ClassTotals:
    try:
        classes, at = np.unique(labels, return_inverse=True)
    except TypeError:
        got = " and ".join(sorted({type(label).__name__ for label in labels}))
        raise TypeError(complaint(who, "y", "hold labels that can be sorted", got)) from None
    if len(classes) > _MOST_CLASSES:
        must, got = f"hold at most {_MOST_CLASSES} classes", "more"
        advice = "Real-valued targets are not classes."
        raise ValueError(complaint(who, "y", must, got, advice))
    return ClassTotals(classes, np.bincount(at, weights, minlength=len(classes)), unit)


def _label_array(y: Any) -> np.ndarray:
    if hasattr(y, "to_numpy"):
        y = y.to_numpy()
    return np.asarray(y).ravel()


def _weight_array(weight: Any, n: int, who: str) -> np.ndarray:
    if weight is None:
        return np.ones(n)
    values = np.asarray(weight).ravel()
    try:
        if values.dtype.kind not in "fiubO":
            raise TypeError
        return values.astype(np.float64)
    except (TypeError, ValueError):
        got = f"the dtype {values.dtype}"
        raise TypeError(complaint(who, "sample_weight", "hold numbers", got)) from None


def _is_missing(labels: np.ndarray) -> np.ndarray:
    """Return which labels are None, NaN, pandas.NA or, if they are floats, not finite."""
    if labels.dtype.kind == "f":
        return ~np.isfinite(labels)
    if labels.dtype.kind != "O":
        return np.zeros(len(labels), bool)

    def is_missing(label: Any) -> bool:
        try:
            return label is None or bool(label != label)
        except TypeError:  # pandas.NA has no truth value
            return True

    return np.fromiter(map(is_missing, labels), bool, len(labels))


# --------------------------------------------------------------------------- selecting rows


def select_rows(
    y: Any, weight: Any, classes: np.ndarray, factors: np.ndarray, unit: float
) -> Selection:
    """Select the rows of positive weight; weights are divided by ``unit`` and then multiplied by
    the factor of each row's class.
    """
    codes = np.searchsorted(classes, _label_array(y))
    s = factors[codes]
    if weight is not None:
        s *= _weight_array(weight, len(codes), "") / unit
    labels = solver_labels(codes, len(classes))
    if s.all():
        return Selection(labels, s, None)
    rows = np.flatnonzero(s)
    return Selection(labels[rows], s[rows], rows)


def selection_length(selection: Selection) -> list[int]:
    """Return the number of selected rows in a list of one entry."""
    return [len(selection.y)]


def selected_labels(selection: Selection) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels and weights of the selected rows."""
    return selection.y, selection.weight


def prepare_block(X: Any, selection: Selection | None, who: str) -> Any:
    """Return the selected rows of a block of X, or all of them, in the form the solver takes."""
    if hasattr(X, "to_numpy"):
        single = all(dtype == np.float32 for dtype in X.dtypes)
        X = X.to_numpy(np.float32 if single else np.float64, na_value=np.nan)
    if not sp.issparse(X):
        X = np.asarray(X)
    if X.dtype.kind not in "fiub":
        raise TypeError(complaint(who, "X", "hold numbers", f"the dtype {X.dtype}"))
    if selection is not None and selection.rows is not None:
        X = (X.tocsr() if sp.issparse(X) else X)[selection.rows]
    return canonical_matrix(X)


# --------------------------------------------------------------------------- NaN and infinity


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
