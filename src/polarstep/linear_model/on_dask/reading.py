"""Dask arrays and data frames as blocks of rows: read, checked, labelled, predicted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ...design import canonical_matrix, is_usable_matrix
from ...extras import require_dask
from ...losses import MarginLoss
from ...validation import complaint, first_not_finite, first_true, not_finite
from ..labels import class_factors, require_two_classes, solver_labels
from .samples import DaskSamples, Each, Parts, census_of, chained, combined, dask, tasks

_MOST_CLASSES = 1_000
_WHO = "HalfspaceClassifier"
_ALIGN = "Repartition one of them; of arrays, compute_chunk_sizes() finds the lengths."


def is_dask(*values: Any) -> bool:
    """Whether one of these is a Dask collection. Does not import Dask."""
    if "dask" not in sys.modules:
        return False
    from dask.base import is_dask_collection

    return any(is_dask_collection(value) for value in values)


def from_dask(
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    loss: MarginLoss,
    intercept: bool,
    class_weight: Any = None,
    n_threads: int = 1,
    who: str = _WHO,
) -> tuple[np.ndarray, DaskSamples, float]:
    """The classes of y, the samples, and the sum that their weights had before it was made 1.

    X is persisted, for every pass reads it. Where it is persisted already, as float32 or float64
    (dense blocks or CSR) in one block of columns, it is used as it lies; otherwise a converted copy
    is kept. Rows of weight zero are left out.

    Parameters
    ----------
    X : dask array or dask DataFrame
        Numbers. Blocks of an array may be SciPy's sparse matrices.
    y, sample_weight : dask array, Series or DataFrame of one column
        In as many blocks as X, of the same lengths; where lengths are known, any blocks will do,
        and arrays in memory.
    loss : MarginLoss
    intercept : bool
        Whether columns are centred at their weighted means; at zero otherwise.
    class_weight : dict or "balanced", optional
    n_threads : int
        Of subsamples that come to the client.
    who : str
        Who complains.

    Returns
    -------
    classes : ndarray, shape (K,)
        The labels in order.
    samples : DaskSamples
        Labelled -1, +1 where there are two classes, 0, 1, ..., K-1 otherwise.
    total : float
    """
    from sklearn.utils.multiclass import check_classification_targets

    require_dask(who)
    X, names = _matrix(X, who)
    n, d, chunks = X.numblocks[0], X.shape[1], _known_lengths(X)
    columns = [_column(y, "y", chunks, n, who)]
    if sample_weight is not None:
        columns.append(_column(sample_weight, "sample_weight", chunks, n, who))
    blocks, y, *weights = (_parts_of(c) for c in (X, *columns))
    weight = weights[0] if weights else None
    facts, tally = combined(tasks("inspected", _inspected, blocks, y, weight, who), _Joint(who))
    _check(facts, d, who)
    if len(tally.classes):
        check_classification_targets(tally.classes)
    factors = class_factors(class_weight, tally.classes, tally.weights, who)
    total = float(tally.weights @ factors)
    require_two_classes(int(np.count_nonzero(tally.weights * factors)), who)

    chosen = tally.classes, factors / total, tally.unit
    selected = tasks("selected", _selected, y, weight, *chosen).persist()
    lengths = combined(tasks("length", _selected_length, selected), chained)
    kept = [i for i in range(n) if lengths[i]]
    blocks, selected = blocks.take(kept), selected.take(kept)
    prepared = tasks("prepared", _prepared, blocks, selected, who)
    used = [
        raw if facts[i].is_ready and lengths[i] == facts[i].length else copy
        for i, raw, copy in zip(kept, blocks.keys, prepared.keys, strict=True)
    ]
    ready = Parts(prepared.graph, used).persist()
    rows = tasks("rows", _rows_of, selected).persist()
    binary = len(tally.classes) == 2
    labels = np.array([-1.0, 1.0]) if binary else np.arange(len(tally.classes), dtype=float)
    census = census_of(ready, rows, labels)
    samples = DaskSamples(ready, rows, census, np.zeros(d), loss, n_threads)
    means = samples.means()
    if not np.isfinite(means).all():
        found = combined(tasks("bad", _first_bad, Each(kept), blocks, selected, who), _first)
        raise ValueError(_not_finite_anywhere(found, facts, names, who))
    total *= tally.unit
    return tally.classes, samples.centred_at(means) if intercept else samples, total


def map_rows(function: Callable[..., Any], X: Any, *arguments: Any, columns: int) -> Any:
    """function(block, *arguments) of each block of rows: a Dask array (n,), or (n, columns)."""
    array = X.to_dask_array() if _is_frame(X) else X
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


def _matrix(X: Any, who: str) -> tuple[Any, list[Any] | None]:
    """X as a Dask array of one block of columns, and the names of columns that have some."""
    convert = partial(_prepared, selection=None, who=who)
    if _is_frame(X) and hasattr(X, "columns"):
        for name, kind in X.dtypes.items():
            if not _is_number(kind):
                got = f"the dtype {kind} in column {name!r}"
                advice = "Encode such columns, or leave them out."
                raise TypeError(complaint(who, "X", "hold numbers", got, advice))
        names = list(X.columns)
        return X.map_partitions(convert, meta=np.empty((0, len(names)))), names
    if not _is_array(X):
        must = "be a Dask array or DataFrame"
        raise TypeError(complaint(who, "X", must, f"a {type(X).__name__}"))
    if X.ndim != 2 or not X.shape[1] >= 1:
        raise ValueError(complaint(who, "X", "have rows and columns", f"shape {X.shape}"))
    if X.dtype.kind not in "fiub":
        raise TypeError(complaint(who, "X", "hold numbers", f"the dtype {X.dtype}"))
    if X.numblocks[1] > 1:
        X = X.rechunk({1: -1})
    if X.dtype not in (np.float32, np.float64):
        X = X.map_blocks(convert, dtype=np.float64, meta=X._meta.astype(np.float64))
    return X, None


def _column(
    value: Any, argument: str, chunks: tuple[int, ...] | None, count: int | None, who: str
) -> Any:
    """y or the weights, in blocks that are in step with those of X."""
    if not is_dask(value) and chunks is not None and np.ndim(value):
        value = import_module("dask.array").from_array(np.asarray(value), chunks=-1)
    if not (_is_frame(value) or (_is_array(value) and value.ndim in (1, 2))):
        must = "be a Dask array or Series"
        raise TypeError(complaint(who, argument, must, f"a {type(value).__name__}"))
    if value.ndim == 2 and value.shape[1] != 1:
        got = f"{value.shape[1]} columns"
        raise ValueError(complaint(who, argument, "be one column", got))
    if _is_array(value):
        value = value if value.ndim == 1 else value[:, 0]
        lengths = _known_lengths(value)
        if chunks is not None and lengths is not None and lengths != chunks:
            if sum(lengths) != sum(chunks):
                must = f"have as many rows as `X`, {sum(chunks)}"
                raise ValueError(complaint(who, argument, must, sum(lengths)))
            value = value.rechunk((chunks,))
    if count is not None and value.npartitions != count:
        must = f"have as many blocks as `X`, {count}, where their lengths are not known"
        raise ValueError(complaint(who, argument, must, value.npartitions, _ALIGN))
    return value


def _parts_of(collection: Any) -> Parts:
    """The blocks of a collection, persisted."""
    (collection,) = dask().persist(collection)
    keys = import_module("dask.core").flatten(collection.__dask_keys__())
    return Parts(dict(collection.__dask_graph__()), list(keys)).persist()


def _is_array(value: Any) -> bool:
    return is_dask(value) and hasattr(value, "chunks") and hasattr(value, "rechunk")


def _is_frame(value: Any) -> bool:
    """Whether this is a Dask DataFrame or Series."""
    return is_dask(value) and hasattr(value, "divisions") and hasattr(value, "to_delayed")


def _known_lengths(array: Any) -> tuple[int, ...] | None:
    lengths = array.chunks[0]
    return None if np.isnan(lengths).any() else tuple(int(length) for length in lengths)


def _is_number(kind: Any) -> bool:
    from pandas.api.types import is_complex_dtype, is_numeric_dtype

    return is_numeric_dtype(kind) and not is_complex_dtype(kind)  # bool is among them


def _check(facts: list[_Fact], d: int, who: str) -> None:
    """Complain about what does not fit."""
    at = 0
    for i, fact in enumerate(facts):
        if fact.columns != d:
            got = f"{fact.columns} in block {i}"
            raise ValueError(complaint(who, "X", f"have {d} columns in every block", got))
        if fact.is_sparse != facts[0].is_sparse:
            must, got = "have dense blocks only, or sparse ones", "both"
            raise ValueError(complaint(who, "X", must, got))
        for argument, length in (("y", fact.labels), ("sample_weight", fact.weights)):
            if length != fact.length:
                must = f"have as many rows as `X` in every block, {fact.length} in block {i}"
                raise ValueError(complaint(who, argument, must, length, _ALIGN))
        if fact.bad_label is not None:
            got = f"none at {_place(at, fact.bad_label, i)}"
            raise ValueError(complaint(who, "y", "hold a label for every row", got))
        if fact.bad_weight is not None:
            row, value = fact.bad_weight
            got = f"{value:g} at {_place(at, row, i)}"
            must = "hold finite numbers >= 0 only"
            raise ValueError(complaint(who, "sample_weight", must, got))
        at += fact.length


def _not_finite_anywhere(
    found: tuple[int, int, int, float], facts: list[_Fact], names: Any, who: str
) -> str:
    i, row, column, value = found
    place = _place(sum(fact.length for fact in facts[:i]), row, i)
    named = f"column {column}" if names is None else f"column {names[column]!r}"
    return not_finite(value, f"{place}, {named}", who, "X")


def _place(offset: int, row: int, block: int) -> str:
    return f"row {offset + row} (row {row} of block {block})"


# --------------------------------------------------------------------------- reading a block


class _Fact(NamedTuple):
    """What has to be known of a block before it is used."""

    length: int
    columns: int
    is_sparse: bool
    is_ready: bool
    labels: int  # how many y has
    weights: int
    bad_label: int | None  # the first position
    bad_weight: tuple[int, float] | None


class _Tally(NamedTuple):
    """The classes, and the weight of the rows of each in some unit."""

    classes: np.ndarray
    weights: np.ndarray
    unit: float


@dataclass(frozen=True)
class _Joint:
    """Puts together what was found in several blocks."""

    who: str

    def __call__(self, parts: Sequence[Any]) -> tuple[list[_Fact], _Tally]:
        facts, tallies = zip(*parts, strict=True)
        return chained(facts), self.tallies(tallies)

    def tallies(self, parts: Sequence[_Tally]) -> _Tally:
        parts = [part for part in parts if len(part.classes)] or list(parts)
        unit = max(part.unit for part in parts)
        scale = [part.unit / unit if unit > 0 else 0.0 for part in parts]
        weights = [part.weights * factor for part, factor in zip(parts, scale, strict=True)]
        return _tally(
            np.concatenate([part.classes for part in parts]),
            np.concatenate(weights),
            unit,
            self.who,
        )


def _tally(labels: np.ndarray, weights: np.ndarray, unit: float, who: str) -> _Tally:
    try:
        classes, at = np.unique(labels, return_inverse=True)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in labels})
        got = " and ".join(kinds)
        raise TypeError(complaint(who, "y", "hold labels that can be sorted", got)) from None
    if len(classes) > _MOST_CLASSES:
        must, got = f"hold at most {_MOST_CLASSES} classes", "more"
        advice = "Real-valued targets are not classes."
        raise ValueError(complaint(who, "y", must, got, advice))
    return _Tally(classes, np.bincount(at, weights, minlength=len(classes)), unit)


def _inspected(X: Any, y: Any, weight: Any, who: str) -> tuple[list[_Fact], _Tally]:
    y, s = _labels(y), _weights(weight, X.shape[0], who)
    bad_label = first_true(_missing(y))
    at = first_true(~((s >= 0) & (s < np.inf)))
    bad_weight = None if at is None else (at, float(s[at]))
    sizes = X.shape[0], X.shape[1], sp.issparse(X), is_usable_matrix(X), len(y), len(s)
    fact = _Fact(*sizes, bad_label, bad_weight)
    if len(y) != len(s) or bad_label is not None or bad_weight is not None:
        y, s = y[:0], s[:0]  # of no use: `_check` will complain
    unit = float(s.max(initial=0.0))
    return [fact], _tally(y, s / unit if unit > 0 else s, unit, who)


def _labels(y: Any) -> np.ndarray:
    if hasattr(y, "to_numpy"):
        y = y.to_numpy()
    return np.asarray(y).ravel()


def _missing(labels: np.ndarray) -> np.ndarray:
    if labels.dtype.kind == "f":
        return ~np.isfinite(labels)
    if labels.dtype.kind != "O":
        return np.zeros(len(labels), bool)

    def is_missing(label: Any) -> bool:
        try:
            return label is None or bool(label != label)
        except TypeError:  # pandas.NA
            return True

    return np.fromiter(map(is_missing, labels), bool, len(labels))


def _weights(weight: Any, n: int, who: str) -> np.ndarray:
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


class _Selection(NamedTuple):
    """The rows of a block that have weight."""

    y: np.ndarray  # as numbers
    weight: np.ndarray
    rows: np.ndarray | None  # None for all


def _selected(
    y: Any, weight: Any, classes: np.ndarray, factors: np.ndarray, unit: float
) -> _Selection:
    codes = np.searchsorted(classes, _labels(y))
    s = factors[codes]
    if weight is not None:
        s *= _weights(weight, len(codes), "") / unit
    values = solver_labels(codes, len(classes))
    if s.all():
        return _Selection(values, s, None)
    rows = np.flatnonzero(s)
    return _Selection(values[rows], s[rows], rows)


def _selected_length(selection: _Selection) -> list[int]:
    return [len(selection.y)]


def _rows_of(selection: _Selection) -> tuple[np.ndarray, np.ndarray]:
    return selection.y, selection.weight


def _prepared(X: Any, selection: _Selection | None, who: str) -> Any:
    """A block, or the rows of it that have weight, as `Samples` takes it."""
    if hasattr(X, "to_numpy"):
        single = all(kind == np.float32 for kind in X.dtypes)
        X = X.to_numpy(np.float32 if single else np.float64, na_value=np.nan)
    if not sp.issparse(X):
        X = np.asarray(X)
    if X.dtype.kind not in "fiub":
        raise TypeError(complaint(who, "X", "hold numbers", f"the dtype {X.dtype}"))
    if selection is not None and selection.rows is not None:
        X = (X.tocsr() if sp.issparse(X) else X)[selection.rows]
    return canonical_matrix(X)


def _first_bad(
    i: int, X: Any, selection: _Selection, who: str
) -> tuple[int, int, int, float] | None:
    """Block, row, column and value of the first number that is not finite."""
    X = _prepared(X, selection, who)
    where = first_not_finite(X)
    if where is None:
        return None
    row, column = where
    value = float(X[row, column])
    return i, row if selection.rows is None else int(selection.rows[row]), column, value


def _first(parts: Sequence[Any]) -> Any:
    return next((part for part in parts if part is not None), None)
