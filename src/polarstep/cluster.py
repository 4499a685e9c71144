"""`samples.Samples` for data in Dask collections: the same questions, answered on workers.

A pass is one task a block of rows, in which the block is a `Samples`, and a tree that adds up what
the blocks return. Sums come to the client, and the rows of a small subsample; values by row
(margins, weights, curvatures) stay where their blocks are, as `Parts`. Whatever lies on a
worker is the outcome of a task that can be run again, so that a worker may die at any time; sums
are taken in one order, so that this changes no digit.
"""

from __future__ import annotations

import operator
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from . import kernels
from .extras import require_dask
from .losses import MarginLoss
from .samples import (
    Samples,
    Sums,
    category_ranges,
    category_starts,
    class_factors,
    csr_gram_cost,
    dense_gram_cost,
    shares,
)
from .validation import complaint

_FAN_IN = 8  # of the trees
_MOST_CLASSES = 1_000
_CLIENT_VALUES = 1 << 22  # of X in a subsample that comes to the client: 32 MiB
_WHO = "HalfspaceClassifier"
_ALIGN = "Repartition one of them; of arrays, compute_chunk_sizes() finds the lengths."


def is_dask(*values: Any) -> bool:
    """Whether one of these is a Dask collection. Does not import Dask."""
    if "dask" not in sys.modules:
        return False
    from dask.base import is_dask_collection

    return any(is_dask_collection(value) for value in values)


class Parts:
    """A value for each block of rows, on the workers: a Dask collection of tasks, done or to do.

    Where it stands for values by row, a task may return a tuple that ends with them.
    """

    def __init__(self, graph: dict[Any, Any], keys: list[Any]) -> None:
        self.graph, self.keys = graph, keys

    def take(self, which: list[int]) -> Parts:
        """Some of them, all of which are done."""
        keys = [self.keys[i] for i in which]
        return Parts({key: self.graph[key] for key in keys}, keys)

    def persist(self) -> Parts:
        """The same, with the tasks being done."""
        (parts,) = _dask().persist(self)
        return parts

    def compute(self) -> list[Any]:
        """The values, here."""
        (values,) = _dask().compute(self)
        return values

    def __dask_graph__(self) -> dict[Any, Any]:
        return self.graph

    def __dask_keys__(self) -> list[Any]:
        return self.keys

    def __dask_tokenize__(self) -> Any:
        return "polarstep.Parts", self.keys  # or Dask would read all the values

    def __dask_postcompute__(self) -> tuple[Callable[..., list[Any]], tuple[()]]:
        return list, ()

    def __dask_postpersist__(self) -> tuple[Callable[..., Parts], tuple[list[Any]]]:
        return Parts, (self.keys,)

    @staticmethod
    def __dask_optimize__(graph: Any, keys: list[Any], **_: Any) -> Any:
        return graph.cull(set(keys))

    @staticmethod
    def __dask_scheduler__(*arguments: Any, **options: Any) -> Any:
        return import_module("dask.threaded").get(*arguments, **options)


@dataclass(frozen=True)
class Census:
    """What the client knows of the blocks.

    Attributes
    ----------
    labels : ndarray, shape (K,)
    counts, weights : ndarray, shape (blocks, K)
        How many rows of each label, and their weight.
    d : int
    is_sparse : bool
    nnz, nnz_squares : float
        Of a sparse X: the sum over rows of their numbers of entries, and of the squares of those.
    """

    labels: np.ndarray
    counts: np.ndarray
    weights: np.ndarray
    d: int
    is_sparse: bool
    nnz: float
    nnz_squares: float


class DaskSamples:
    """Rows in blocks on Dask workers, with labels and weights, for one loss; see `Samples`.

    Made by `from_dask`. All values by row that its methods take and give are `Parts`.

    Parameters
    ----------
    X : Parts
        The blocks, each an array or a CSR matrix as `Samples` takes it, none empty.
    rows : Parts
        The labels and weights of each block as a tuple of two arrays.
    census : Census
    centre : ndarray, shape (d,)
    loss : MarginLoss
    n_threads : int
        Of subsamples on the client. A block has one thread: its worker runs several blocks.
    """

    def __init__(
        self,
        X: Parts,
        rows: Parts,
        census: Census,
        centre: np.ndarray,
        loss: MarginLoss,
        n_threads: int = 1,
    ) -> None:
        self.census, self.centre, self.loss, self.n_threads = census, centre, loss, n_threads
        self.d, self.is_sparse = census.d, census.is_sparse
        self.n = int(census.counts.sum())
        self._X, self._rows = X, rows

    @property
    def size(self) -> int:
        """How many values of X a pass reads."""
        return int(self.census.nnz) if self.is_sparse else self.n * self.d

    @property
    def weight(self) -> Parts:
        """The weight of each row."""
        return self._rows

    def centred_at(self, centre: np.ndarray) -> DaskSamples:
        """The same rows about another centre."""
        return DaskSamples(self._X, self._rows, self.census, centre, self.loss, self.n_threads)

    def with_loss(self, loss: MarginLoss) -> DaskSamples:
        """The same rows for another loss."""
        return DaskSamples(self._X, self._rows, self.census, self.centre, loss, self.n_threads)

    def one_against_rest(self, label: float) -> DaskSamples:
        """The same rows with +1 for one of the labels and -1 for the others."""
        rows = _tasks("relabelled", _relabelled, self._rows, label).persist()
        which = self.census.labels == label
        counts, weights = (
            np.column_stack([table[:, ~which].sum(axis=1), table[:, which].sum(axis=1)])
            for table in (self.census.counts, self.census.weights)
        )
        census = replace(self.census, labels=np.array([-1.0, 1.0]), counts=counts, weights=weights)
        return DaskSamples(self._X, rows, census, self.centre, self.loss, self.n_threads)

    def refuse_what_is_not_finite(self, who: str) -> None:
        """Say what is wrong with X; NaN and infinity were looked for when it was read.

        Raises
        ------
        ValueError
            Always.
        """
        got, advice = "numbers whose products overflow", "Rescale the largest columns."
        raise ValueError(complaint(who, "X", "hold numbers of a reasonable size", got, advice))

    # ------------------------------------------------------------------ what the data are like

    def means(self) -> np.ndarray:
        """The weighted means of the columns, shape (d,). One read of X."""
        return self._sum(_column_sums) / self.census.weights.sum()

    def effective_rows(self) -> np.ndarray:
        """How many rows each column's variance rests on, shape (d,)."""
        if self.is_sparse:
            return self._sum(Samples.effective_rows)
        step = max(1, self.n // 1_000)
        starts = np.cumsum(self.census.counts.sum(axis=1))
        first = _Each([0, *(int(-start % step) for start in starts[:-1])])
        rows, second, fourth = self._sum(_fourth_moments, first, step)
        few = np.divide(second**2, fourth, out=np.zeros(self.d), where=fourth > 0)
        return few * (self.n / rows[0])

    def categories(self) -> np.ndarray:
        """Where the columns of each category of a sparse X begin; [0] unless it is categorical."""
        return category_starts(_combined(self._map(_category_ranges), _joint_ranges))

    def gram_cost(self, k: int) -> float:
        """About how long `gram` takes, in passes."""
        if self.is_sparse:
            return csr_gram_cost(k, self.census.nnz, self.census.nnz_squares)
        return dense_gram_cost(k)

    def sample(self, m: int, rng: np.random.Generator) -> Samples | DaskSamples:
        """About m of the rows, as `Samples.sample` draws them.

        How many of each block is drawn here, which ones there, by a seed for each block. A
        subsample too large for the client stays on the workers.
        """
        labels, counts = self.census.labels, self.census.counts
        wanted = np.column_stack(
            [
                _spread(count, of_label, rng)
                for count, of_label in zip(
                    shares(m, counts.sum(axis=0).tolist()), counts.T, strict=True
                )
            ]
        )
        seed = int(rng.integers(1 << 62))
        blocks = np.flatnonzero(wanted.sum(axis=1)).tolist()
        drawn = _tasks(
            "drawn",
            _drawn,
            self._X.take(blocks),
            self._rows.take(blocks),
            labels,
            _Each([wanted[i] for i in blocks]),
            _Each([[seed, i] for i in blocks]),
        )
        total = self.census.weights.sum(axis=0)
        if wanted.sum() * (self.size / self.n) > _CLIENT_VALUES:
            return self._sample_on_workers(drawn.persist(), total)
        X, *columns = zip(*drawn.compute(), strict=True)
        y, weight = map(np.concatenate, columns)
        weight *= _factors(total, _by_label(y, weight, labels)[1])[np.searchsorted(labels, y)]
        joined = sp.vstack(X, format="csr") if self.is_sparse else np.concatenate(X)
        return Samples(joined, y, weight, self.centre, self.loss, self.n_threads)

    def _sample_on_workers(self, drawn: Parts, total: np.ndarray) -> DaskSamples:
        X = _tasks("block", operator.itemgetter(0), drawn).persist()
        rows = _tasks("rows", operator.itemgetter(slice(1, None)), drawn)
        before = census_of(X, rows, self.census.labels)
        present = np.isin(self.census.labels, before.labels)
        factors = _factors(total[present], before.weights.sum(axis=0))
        rows = _tasks("scaled", _scaled, rows, before.labels, factors).persist()
        census = replace(before, weights=before.weights * factors)
        return DaskSamples(X, rows, census, self.centre, self.loss, self.n_threads)

    # ------------------------------------------------------------------ passes over the rows

    def evaluate(self, w: np.ndarray, b: float) -> tuple[Sums, Parts]:
        """The sums at (w, b), and the margins. One read of X."""
        parts = self._map(Samples.evaluate, w, b)
        total = _tree(_tasks("sums", operator.itemgetter(0), parts))
        both = Parts(total.graph, [*total.keys, *parts.keys]).persist()
        first, *rest = range(len(both.keys))
        return both.take([first]).compute()[0], both.take(rest)

    def project(self, v: np.ndarray, h: float) -> Parts:
        """How the margins change with (w, b) along (v, h). One read of X."""
        return self._map(Samples.project, v, h).persist()

    def plane(self, margins: Parts, p: Parts, t: float, h: float) -> np.ndarray:
        """The loss at margins + t p - h y: value, by t, h, tt, th, hh, shape (6,). Reads no X."""
        return self._sum(Samples.plane, margins, p, t, h)

    def move(self, margins: Parts, p: Parts, t: float, h: float) -> Parts:
        """margins + t p - h y; computed where it is asked for."""
        return self._map(Samples.move, margins, p, t, h)

    def total(self, values: Parts) -> float:
        """The sum of n values."""
        return self._sum(Samples.total, values)

    def root_mean_square(self, values: Parts) -> float:
        """The weighted root mean square of n values."""
        total = self._sum(_weighted_square, values)
        return float(np.sqrt(total / self.census.weights.sum()))

    def curvatures(self, margins: Parts) -> Parts:
        """s |phi''(a)|; computed where it is asked for."""
        return self._map(Samples.curvatures, margins)

    def gram(self, h: Parts, place: np.ndarray, k: int) -> np.ndarray:
        """Z^T diag(h) Z for Z = ((X - 1 centre^T) A, 1), shape (k+1, k+1). One read of X."""
        return self._sum(_gram, h, place, k)

    def squares(self, h: Parts) -> np.ndarray:
        """Sum of h (x - centre)^2 by element, shape (d,). One read of X."""
        return self._sum(Samples.squares, h)

    # ------------------------------------------------------------------ how

    def _map(self, work: Callable[..., Any], *arguments: Any) -> Parts:
        """work(samples, *arguments) of each block."""
        name = work.__name__.strip("_")
        these = self._X, self._rows, self.centre, self.loss
        return _tasks(name, _on_block, work, *these, *arguments)

    def _sum(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return _combined(self._map(work, *arguments))


# --------------------------------------------------------------------------- graphs


def _dask() -> Any:
    return import_module("dask")


class _Each(NamedTuple):
    """An argument that differs from block to block."""

    values: list[Any]


def _tasks(name: str, work: Callable[..., Any], *arguments: Any) -> Parts:
    """One task a block: work(*arguments), each of `Parts` giving its part."""
    n = next(len(a.keys) for a in arguments if isinstance(a, Parts))
    name = f"{name}-{uuid.uuid4().hex}"
    graph: dict[Any, Any] = {}
    columns = []
    for j, a in enumerate(arguments):
        if isinstance(a, Parts):
            graph |= a.graph
            columns.append(a.keys)
        elif isinstance(a, _Each):
            columns.append(a.values)
        elif isinstance(a, np.ndarray):  # once in the graph, not once a task
            graph[name, "argument", j] = a
            columns.append([(name, "argument", j)] * n)
        else:
            columns.append([a] * n)
    keys = [(name, i) for i in range(n)]
    tasks = ((work, *values) for values in zip(*columns, strict=True))
    graph.update(zip(keys, tasks, strict=True))
    return Parts(graph, keys)


def _tree(parts: Parts, combine: Callable[[Sequence[Any]], Any] | None = None) -> Parts:
    """All parts combined, neighbours first, into one; added up by default."""
    name = f"tree-{uuid.uuid4().hex}"
    graph, keys, level = dict(parts.graph), parts.keys, 0
    while level == 0 or len(keys) > 1:
        groups = [keys[i : i + _FAN_IN] for i in range(0, len(keys), _FAN_IN)]
        keys = [(name, level, i) for i in range(len(groups))]
        tasks = ((_apply, combine or _added, *group) for group in groups)
        graph.update(zip(keys, tasks, strict=True))
        level += 1
    return Parts(graph, keys)


def _combined(parts: Parts, combine: Callable[[Sequence[Any]], Any] | None = None) -> Any:
    """All parts combined, here."""
    return _tree(parts, combine).compute()[0]


def _apply(combine: Callable[[Sequence[Any]], Any], *parts: Any) -> Any:
    return combine(parts)


def _added(parts: Sequence[Any]) -> Any:
    return reduce(operator.add, parts)


def _chained(parts: Sequence[list[Any]]) -> list[Any]:
    return [item for part in parts for item in part]


# --------------------------------------------------------------------------- work on a block


def _on_block(
    work: Callable[..., Any],
    X: Any,
    rows: tuple[np.ndarray, np.ndarray],
    centre: np.ndarray,
    loss: MarginLoss,
    *arguments: Any,
) -> Any:
    samples = Samples(X, *rows, centre, loss)
    return work(samples, *(a[-1] if isinstance(a, tuple) else a for a in arguments))


def _column_sums(samples: Samples) -> np.ndarray:
    """Sum of s x, without the centre."""
    sums, zero = np.zeros(samples.d), np.zeros(samples.d)
    for at, X in samples._blocks:
        kernels.combine(X, zero, samples.weight[at], sums, samples._tile)
    return sums


def _fourth_moments(samples: Samples, first: int, step: int) -> np.ndarray:
    """Over every step-th row: how many there are, sum z^2 and sum z^4, z = x - centre."""
    Z = np.square(samples.X[first::step] - samples.centre)
    return np.array([np.full(samples.d, len(Z)), Z.sum(axis=0), np.square(Z).sum(axis=0)])


def _category_ranges(samples: Samples) -> Any:
    return category_ranges(samples.X)


def _joint_ranges(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """The ranges of categories in several blocks; None if their rows differ in length."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or len({part.shape for part in known}) > 1:
        return None
    first, last = np.array(known).transpose(1, 0, 2)
    return np.array([first.min(axis=0), last.max(axis=0)])


def _weighted_square(samples: Samples, values: np.ndarray) -> float:
    return float(samples.weight @ np.square(values))


def _gram(samples: Samples, h: np.ndarray, place: np.ndarray, k: int) -> np.ndarray:
    return samples.gram(h, place, k) if h.any() else np.zeros((k + 1, k + 1))


def _relabelled(rows: tuple[np.ndarray, np.ndarray], label: float) -> tuple[np.ndarray, np.ndarray]:
    y, weight = rows
    return np.where(y == label, 1.0, -1.0), weight


# --------------------------------------------------------------------------- subsamples


def _spread(count: int, sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How many of `count` rows, drawn without replacement, come from each of the blocks."""
    if sizes.sum() < 1_000_000_000:  # numpy's limit
        return rng.multivariate_hypergeometric(sizes, count, method="marginals")
    return np.minimum(rng.multinomial(count, sizes / sizes.sum()), sizes)


def _drawn(
    X: Any,
    rows: tuple[np.ndarray, np.ndarray],
    labels: np.ndarray,
    wanted: np.ndarray,
    seed: list[int],
) -> tuple[Any, np.ndarray, np.ndarray]:
    y, weight = rows
    rng = np.random.default_rng(seed)
    chosen = [
        rng.choice(np.flatnonzero(y == label), count, replace=False, shuffle=False)
        for label, count in zip(labels, wanted, strict=True)
    ]
    at = np.sort(np.concatenate(chosen))
    return X[at], y[at], weight[at]


def _factors(total: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """What makes up for rows that were not drawn, by label."""
    return np.divide(total, drawn, out=np.zeros_like(total), where=drawn > 0)


def _scaled(
    rows: tuple[np.ndarray, np.ndarray], labels: np.ndarray, factors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    y, weight = rows
    return y, weight * factors[np.searchsorted(labels, y)]


# --------------------------------------------------------------------------- census


class _Count(NamedTuple):
    counts: np.ndarray
    weights: np.ndarray
    d: int
    is_sparse: bool
    nnz: int
    nnz_squares: float


def census_of(X: Parts, rows: Parts, labels: np.ndarray) -> Census:
    """Count what blocks hold."""
    blocks: list[_Count] = _combined(_tasks("counted", _counted, X, rows, labels), _chained)
    counts = np.array([block.counts for block in blocks])
    weights = np.array([block.weights for block in blocks])
    present = counts.any(axis=0)
    return Census(
        labels[present],
        counts[:, present],
        weights[:, present],
        blocks[0].d,
        blocks[0].is_sparse,
        sum(block.nnz for block in blocks),
        sum(block.nnz_squares for block in blocks),
    )


def _counted(X: Any, rows: tuple[np.ndarray, np.ndarray], labels: np.ndarray) -> list[_Count]:
    counts, weights = _by_label(*rows, labels)
    lengths = np.diff(X.indptr).astype(float) if sp.issparse(X) else np.zeros(0)
    entries = int(lengths.sum()), float(lengths @ lengths)
    return [_Count(counts, weights, X.shape[1], sp.issparse(X), *entries)]


def _by_label(
    y: np.ndarray, weight: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How many rows of each label, and their weight."""
    at, k = np.searchsorted(labels, y), len(labels)
    return np.bincount(at, minlength=k), np.bincount(at, weight, minlength=k)


# --------------------------------------------------------------------------- reading collections


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
    facts, tally = _combined(_tasks("inspected", _inspected, blocks, y, weight, who), _Joint(who))
    _check(facts, d, who)
    if len(tally.classes):
        check_classification_targets(tally.classes)
    factors = class_factors(class_weight, tally.classes, tally.weights, who)
    total = float(tally.weights @ factors)
    if np.count_nonzero(tally.weights * factors) < 2:
        got = f"{np.count_nonzero(tally.weights * factors)} class of positive weight"
        advice = "A classifier can't be trained on one class."
        raise ValueError(complaint(who, "y", "hold two classes or more", got, advice))

    chosen = tally.classes, factors / total, tally.unit
    selected = _tasks("selected", _selected, y, weight, *chosen).persist()
    lengths = _combined(_tasks("length", _selected_length, selected), _chained)
    kept = [i for i in range(n) if lengths[i]]
    blocks, selected = blocks.take(kept), selected.take(kept)
    prepared = _tasks("prepared", _prepared, blocks, selected, who)
    used = [
        raw if facts[i].is_ready and lengths[i] == facts[i].length else copy
        for i, raw, copy in zip(kept, blocks.keys, prepared.keys, strict=True)
    ]
    ready = Parts(prepared.graph, used).persist()
    rows = _tasks("rows", _rows_of, selected).persist()
    binary = len(tally.classes) == 2
    labels = np.array([-1.0, 1.0]) if binary else np.arange(len(tally.classes), dtype=float)
    census = census_of(ready, rows, labels)
    samples = DaskSamples(ready, rows, census, np.zeros(d), loss, n_threads)
    means = samples.means()
    if not np.isfinite(means).all():
        found = _combined(_tasks("bad", _first_bad, _Each(kept), blocks, selected, who), _first)
        raise ValueError(_not_finite(found, facts, names, who))
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


def classes_of(y: Any, who: str = _WHO) -> np.ndarray:
    """The labels that occur in a Dask array or Series, in order."""
    require_dask(who)
    blocks = _parts_of(_column(y, "y", None, None, who))
    return _combined(_tasks("tallied", _tallied, blocks, who), _Joint(who).tallies).classes


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
    (collection,) = _dask().persist(collection)
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


def _not_finite(
    found: tuple[int, int, int, float], facts: list[_Fact], names: Any, who: str
) -> str:
    i, row, column, value = found
    place = _place(sum(fact.length for fact in facts[:i]), row, i)
    named = f"column {column}" if names is None else f"column {names[column]!r}"
    advice = "Remove or impute such values first."
    got = f"{value} at {place}, {named}"
    return complaint(who, "X", "hold finite numbers only", got, advice)


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
        return _chained(facts), self.tallies(tallies)

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


def _tallied(y: Any, who: str) -> _Tally:
    y = _labels(y)
    return _tally(y, np.ones(len(y)), 1.0, who)


def _inspected(X: Any, y: Any, weight: Any, who: str) -> tuple[list[_Fact], _Tally]:
    y, s = _labels(y), _weights(weight, X.shape[0], who)
    bad_label = _first_true(_missing(y))
    at = _first_true(~((s >= 0) & (s < np.inf)))
    bad_weight = None if at is None else (at, float(s[at]))
    sizes = X.shape[0], X.shape[1], sp.issparse(X), _is_ready(X), len(y), len(s)
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


def _first_true(mask: np.ndarray) -> int | None:
    return int(mask.argmax()) if mask.any() else None


def _is_ready(X: Any) -> bool:
    """Whether a block is as `Samples` takes it."""
    if X.dtype not in (np.float32, np.float64):
        return False
    if sp.issparse(X):
        return X.format == "csr" and bool(X.has_canonical_format)
    return type(X) is np.ndarray and (X.flags.c_contiguous or X.flags.f_contiguous)


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
    values = np.where(codes == 1, 1.0, -1.0) if len(classes) == 2 else codes.astype(float)
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
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    if not sp.issparse(X):
        return X if X.flags.c_contiguous or X.flags.f_contiguous else np.ascontiguousarray(X)
    X = X.tocsr()
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def _first_bad(
    i: int, X: Any, selection: _Selection, who: str
) -> tuple[int, int, int, float] | None:
    """Block, row, column and value of the first number that is not finite."""
    X = _prepared(X, selection, who)
    if sp.issparse(X):
        at = _first_true(~np.isfinite(X.data))
        if at is None:
            return None
        row, column = int(np.searchsorted(X.indptr, at, side="right")) - 1, int(X.indices[at])
    else:
        at = _first_true(~np.isfinite(X).all(axis=1))
        if at is None:
            return None
        row, column = at, int((~np.isfinite(X[at])).argmax())
    value = float(X[row, column])
    return i, row if selection.rows is None else int(selection.rows[row]), column, value


def _first(parts: Sequence[Any]) -> Any:
    return next((part for part in parts if part is not None), None)
