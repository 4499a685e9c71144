"""The inspection of blocks: their shapes, labels and weights are checked before they are used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ...data_matrix import is_usable_matrix
from ...validation import complaint, first_true
from .blocks import label_array, weight_array
from .collections import REPARTITION_ADVICE
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


def inspect_block(X: Any, y: Any, weight: Any, who: str) -> tuple[list[BlockFacts], ClassTotals]:
    """Return the facts and class totals of one block."""
    y, s = label_array(y), weight_array(weight, X.shape[0], who)
    missing_label = first_true(is_missing_label(y))
    at = first_true(~((s >= 0) & (s < np.inf)))
    bad_weight = None if at is None else (at, float(s[at]))
    sizes = X.shape[0], X.shape[1], sp.issparse(X), is_usable_matrix(X), len(y), len(s)
    facts = BlockFacts(*sizes, missing_label, bad_weight)
    if len(y) != len(s) or missing_label is not None or bad_weight is not None:
        y, s = y[:0], s[:0]  # no totals are needed, because `check_facts` will raise an error
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


def check_facts(facts: list[BlockFacts], d: int, who: str) -> None:
    """Raise a ValueError for the first block that is not valid."""
    first_row = 0
    for i, fact in enumerate(facts):
        if fact.n_columns != d:
            got = f"{fact.n_columns} in block {i}"
            raise ValueError(complaint(who, "X", f"have {d} columns in every block", got))
        if fact.is_sparse != facts[0].is_sparse:
            must, got = "have either dense or sparse blocks", "both"
            raise ValueError(complaint(who, "X", must, got))
        for argument, length in (("y", fact.n_labels), ("sample_weight", fact.n_weights)):
            if length != fact.n_rows:
                must = f"have as many rows as `X` in every block, {fact.n_rows} in block {i}"
                raise ValueError(complaint(who, argument, must, length, REPARTITION_ADVICE))
        if fact.missing_label is not None:
            got = f"none at {place_of(first_row, fact.missing_label, i)}"
            raise ValueError(complaint(who, "y", "hold a label for every row", got))
        if fact.bad_weight is not None:
            row, value = fact.bad_weight
            got = f"{value:g} at {place_of(first_row, row, i)}"
            must = "contain only finite numbers >= 0"
            raise ValueError(complaint(who, "sample_weight", must, got))
        first_row += fact.n_rows


def place_of(first_row: int, row: int, block: int) -> str:
    """Describe a row by its positions among all rows and in its block."""
    return f"row {first_row + row} (row {row} of block {block})"


def is_missing_label(labels: np.ndarray) -> np.ndarray:
    """Return a mask of the labels that are None, NaN, pandas.NA or, if floats, not finite."""
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
