"""The rows that a model was fitted to, in memory or on Dask: checks, and sums over them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from ...data_matrix import canonical_matrix
from ...losses import LOSSES
from ...validation import complaint
from ..centring import approximate_centre, shift_far_columns
from ..labels import row_weights
from ..on_dask.collections import is_dask
from ..on_dask.feature_names import check_names
from ..on_dask.reading import read_samples
from .fitted_model import FittedModel
from .standard_rows import Standard, largest_entries, standard_of


class FittedRows(ABC):
    """Rows of positive weight.

    Attributes
    ----------
    n, d : int
        The numbers of rows and of columns.
    class_totals : ndarray, shape (K,)
        The total weight of each class.
    groups : ndarray of int, shape (n,), or None
        The number of each row's group, from 0.
    standard : Standard
        The coordinates in which sums are computed.
    """

    n: int
    d: int
    class_totals: np.ndarray
    groups: np.ndarray | None
    standard: Standard

    @property
    def total_weight(self) -> float:
        """The sum of the weights."""
        return float(self.class_totals.sum())

    @abstractmethod
    def sum(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Return ``work(X, codes, weight, standard, *arguments)``, summed over sets of rows."""

    @abstractmethod
    def coded_for(self, model: FittedModel) -> FittedRows:
        """Return the same rows with the numbers of the equations of a model of another base."""


class RowsInMemory(FittedRows):
    """Rows in memory.

    Attributes
    ----------
    raw : ndarray or CSR matrix, shape (n, d)
        The rows as they were passed.
    X : ndarray or CSR matrix, shape (n, d)
        The rows; full sparse columns that are far from zero are centred.
    remaining : ndarray, shape (d,)
        The centre that remains to be subtracted from ``X``.
    positions : ndarray of int, shape (n,)
        The position of each row's class among the classes.
    codes : ndarray of int, shape (n,)
        The number of each row's equation, -1 for the base class.
    weight : ndarray, shape (n,)
    """

    def __init__(
        self,
        X: Any,
        positions: np.ndarray,
        weight: np.ndarray,
        groups: np.ndarray | None,
        model: FittedModel,
    ) -> None:
        self.n, self.d = X.shape
        self.raw, self.positions, self.weight, self.groups = X, positions, weight, groups
        self.codes = model.codes(positions)
        self.class_totals = np.bincount(positions, weight, minlength=len(model.classes))
        centre = remaining = np.zeros(self.d)
        if model.has_intercept:
            centre = approximate_centre(X)
            X, remaining = shift_far_columns(X, centre)
        self.X, self.remaining = X, remaining
        largest = largest_entries(X, remaining)
        self.standard = standard_of(largest, centre, model.has_intercept)

    def sum(self, work: Callable[..., Any], *arguments: Any) -> Any:
        here = Standard(self.remaining, self.standard.unit, self.standard.intercept)
        return work(self.X, self.codes, self.weight, here, *arguments)

    def coded_for(self, model: FittedModel) -> RowsInMemory:
        rows = copy(self)
        rows.codes = model.codes(self.positions)
        return rows


class RowsOnDask(FittedRows):
    """Rows on Dask workers."""

    groups = None

    def __init__(self, samples: Any, total: float, model: FittedModel) -> None:
        self.n, self.d, self._samples = samples.n, samples.d, samples
        self.class_totals = total * samples.census.weights.sum(axis=0)
        self._on_block = total, model.codes(np.arange(len(model.classes)))
        largest = samples.combined(_largest_of_block, combine=partial(np.max, axis=0))
        self.standard = standard_of(largest, samples.centre, model.has_intercept)

    def sum(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return self._samples.combined(
            _work_on_block, work, *self._on_block, self.standard, *arguments
        )

    def coded_for(self, model: FittedModel) -> RowsOnDask:
        rows = copy(self)
        rows._on_block = self._on_block[0], model.codes(np.arange(len(model.classes)))
        return rows


def _largest_of_block(samples: Any) -> np.ndarray:
    return largest_entries(samples.X, samples.centre)


def _work_on_block(
    samples: Any, work: Callable[..., Any], total: float, table: np.ndarray, *arguments: Any
) -> Any:
    positions = np.maximum(samples.y, 0.0).astype(np.intp)  # labels are -1, +1, or 0, 1, ...
    return work(samples.X, table[positions], samples.weight * total, *arguments)


def read_rows(
    estimator: Any, model: FittedModel, X: Any, y: Any, sample_weight: Any, groups: Any, who: str
) -> FittedRows:
    """Check the data and leave out the rows of weight zero.

    Raises
    ------
    TypeError, ValueError
        If the data do not fit the estimator or each other, or are not valid.
    """
    if is_dask(X, y):
        return _rows_on_dask(estimator, model, X, y, sample_weight, groups, who)
    X, y = validate_data(
        estimator, X, y, reset=False, accept_sparse="csr", dtype=[np.float64, np.float32]
    )
    X = canonical_matrix(X)
    positions = _positions(y, model.classes, who)
    weight = row_weights(positions, model.classes, sample_weight, model.class_weight, who)
    group_numbers = None if groups is None else _group_numbers(groups, len(y), who)
    if weight is None:
        weight = np.ones(len(y))
    elif not weight.all():
        kept = np.flatnonzero(weight)
        X, positions, weight = X[kept], positions[kept], weight[kept]
        group_numbers = None if group_numbers is None else group_numbers[kept]
    if group_numbers is not None:  # without the groups that have no rows any more
        group_numbers = np.unique(group_numbers, return_inverse=True)[1]
    return RowsInMemory(X, positions, weight, group_numbers, model)


def _group_numbers(groups: Any, n: int, who: str) -> np.ndarray:
    """Return the number of each row's group."""
    labels = np.asarray(groups)
    if labels.shape != (n,):
        must = f"have one entry for each of the {n} rows"
        raise ValueError(complaint(who, "groups", must, f"shape {labels.shape}"))
    missing = [label is None or label != label for label in labels.tolist()]
    if any(missing):
        got = f"none at position {missing.index(True)}"
        raise ValueError(complaint(who, "groups", "name the group of every row", got))
    try:
        return np.unique(labels, return_inverse=True)[1]
    except TypeError:
        got = "values of several types"
        raise TypeError(complaint(who, "groups", "hold values that can be sorted", got)) from None


def _rows_on_dask(
    estimator: Any, model: FittedModel, X: Any, y: Any, sample_weight: Any, groups: Any, who: str
) -> RowsOnDask:
    if groups is not None:
        advice = "Pass data in memory for clustered errors, or use covariance='HC0' to 'HC3'."
        must = "be None for Dask collections"
        raise ValueError(complaint(who, "groups", must, "groups", advice))
    check_names(estimator, X)
    classes, samples, total = read_samples(
        X, y, sample_weight,
        loss=LOSSES["softplus"], intercept=model.has_intercept, class_weight=model.class_weight,
        who=who,
    )  # fmt: skip
    if len(classes) != len(model.classes) or (classes != model.classes).any():
        _refuse_classes(classes, model.classes, who)
    return RowsOnDask(samples, total, model)


def _positions(y: np.ndarray, classes: np.ndarray, who: str) -> np.ndarray:
    """Return the position of each label among the classes."""
    present, inverse = np.unique(y, return_inverse=True)
    table = {label: k for k, label in enumerate(classes.tolist())}
    found = [table.get(label, -1) for label in present.tolist()]
    if -1 in found:
        _refuse_classes(present, classes, who)
    return np.array(found)[inverse.ravel()]


def _refuse_classes(present: np.ndarray, classes: np.ndarray, who: str) -> None:
    must = f"hold the classes that the model was fitted to, {classes.tolist()}"
    shown = present.tolist() if len(present) <= 20 else f"{len(present)} different values"
    raise ValueError(complaint(who, "y", must, shown, "Pass the data of the fit."))
