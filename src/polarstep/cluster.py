"""`samples.Samples` for data in Dask collections: the same questions, answered on workers.

A pass is one task a block of rows, in which the block is a `Samples`, and a tree that adds up what
the blocks return. Sums come to the client, and the rows of a small subsample; values by row
(margins, weights, curvatures) stay where their blocks are, as `RowValues`. Whatever lies on a
worker is the outcome of a task that can be run again, so that a worker may die at any time; sums
are taken in one order, so that this changes no digit.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
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
    csr_gram_cost,
    dense_gram_cost,
    shares,
)
from .validation import complaint

_FAN_IN = 8  # of the trees
_MOST_CLASSES = 1_000
_CLIENT_VALUES = 1 << 25  # of X in a subsample that comes to the client: 256 MiB
_WHO = "HalfspaceClassifier"
_ALIGN = "Repartition one of them; of arrays, compute_chunk_sizes() finds the lengths."


def is_dask(*values: Any) -> bool:
    """Whether one of these is a Dask collection. Does not import Dask."""
    if "dask" not in sys.modules:
        return False
    from dask.base import is_dask_collection

    return any(is_dask_collection(value) for value in values)


@dataclass(frozen=True)
class RowValues:
    """A number for each row, on the workers: one task a block, computed or yet to be.

    A task may return a tuple that ends with the values.
    """

    parts: list[Any]


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

    Made by `from_dask`. All values by row that its methods take and give are `RowValues`.

    Parameters
    ----------
    X : list of Delayed
        The blocks, each an array or a CSR matrix as `Samples` takes it, none empty.
    rows : list of Delayed
        The labels and weights of each block as a tuple of two arrays.
    census : Census
    centre : ndarray, shape (d,)
    loss : MarginLoss
    n_threads : int
        Of subsamples on the client. A block has one thread: its worker runs several blocks.
    """

    def __init__(
        self,
        X: list[Any],
        rows: list[Any],
        census: Census,
        centre: np.ndarray,
        loss: MarginLoss,
        n_threads: int = 1,
    ) -> None:
        self.census, self.centre, self.loss, self.n_threads = census, centre, loss, n_threads
        self.d, self.is_sparse = census.d, census.is_sparse
        self.n = int(census.counts.sum())
        self._X, self._rows = X, rows
        (self._context,) = _persist(_constant((centre, loss)))

    @property
    def size(self) -> int:
        """How many values of X a pass reads."""
        return int(self.census.nnz) if self.is_sparse else self.n * self.d

    @property
    def weight(self) -> RowValues:
        """The weight of each row."""
        return RowValues(self._rows)

    def centred_at(self, centre: np.ndarray) -> DaskSamples:
        """The same rows about another centre."""
        return DaskSamples(self._X, self._rows, self.census, centre, self.loss, self.n_threads)

    def with_loss(self, loss: MarginLoss) -> DaskSamples:
        """The same rows for another loss."""
        return DaskSamples(self._X, self._rows, self.census, self.centre, loss, self.n_threads)

    def one_against_rest(self, label: float) -> DaskSamples:
        """The same rows with +1 for one of the labels and -1 for the others."""
        relabel = _delayed(_relabelled)
        rows = _persist(*(relabel(part, label) for part in self._rows))
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
        return self._sum(self._map(_column_sums)) / self.census.weights.sum()

    def effective_rows(self) -> np.ndarray:
        """How many rows each column's variance rests on, shape (d,)."""
        if self.is_sparse:
            return self._sum(self._map(Samples.effective_rows))
        step = max(1, self.n // 1_000)
        starts = np.cumsum(self.census.counts.sum(axis=1))
        first = RowValues([0, *(int(-start % step) for start in starts[:-1])])
        rows, second, fourth = self._sum(self._map(_fourth_moments, first, step))
        few = np.divide(second**2, fourth, out=np.zeros(self.d), where=fourth > 0)
        return few * (self.n / rows[0])

    def categories(self) -> np.ndarray:
        """Where the columns of each category of a sparse X begin; [0] unless it is categorical."""
        return category_starts(_fetch(_tree(self._map(_category_ranges), _joint_ranges)))

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
        draw = _delayed(_drawn)
        drawn = [
            draw(self._X[i], self._rows[i], labels, wanted[i], [seed, i])
            for i in np.flatnonzero(wanted.sum(axis=1)).tolist()
        ]
        total = self.census.weights.sum(axis=0)
        if wanted.sum() * (self.size / self.n) > _CLIENT_VALUES:
            return self._sample_on_workers(_persist(*drawn), total)
        parts = _fetch(*drawn)
        X = [part[0] for part in parts]
        y = np.concatenate([part[1] for part in parts])
        weight = np.concatenate([part[2] for part in parts])
        weight *= _factors(total, _by_label(y, weight, labels)[1])[np.searchsorted(labels, y)]
        joined = sp.vstack(X, format="csr") if self.is_sparse else np.concatenate(X)
        return Samples(joined, y, weight, self.centre, self.loss, self.n_threads)

    def _sample_on_workers(self, drawn: list[Any], total: np.ndarray) -> DaskSamples:
        X = [part[0] for part in drawn]
        rows = [part[1:] for part in drawn]
        labels = self.census.labels
        before = census_of(X, rows, labels)
        factors = _factors(total[np.isin(labels, before.labels)], before.weights.sum(axis=0))
        scale = _delayed(_scaled)
        rows = [scale(part, before.labels, factors) for part in rows]
        X, rows = _persist(*X), _persist(*rows)
        census = replace(before, weights=before.weights * factors)
        return DaskSamples(X, rows, census, self.centre, self.loss, self.n_threads)

    # ------------------------------------------------------------------ passes over the rows

    def evaluate(self, w: np.ndarray, b: float) -> tuple[Sums, RowValues]:
        """The sums at (w, b), and the margins. One read of X."""
        parts = self._map(Samples.evaluate, w, b)
        first = _delayed(operator.itemgetter(0))
        total, *parts = _persist(_tree([first(part) for part in parts]), *parts)
        return _fetch(total), RowValues(parts)

    def project(self, v: np.ndarray, h: float) -> RowValues:
        """How the margins change with (w, b) along (v, h). One read of X."""
        return RowValues(_persist(*self._map(Samples.project, v, h)))

    def plane(self, margins: RowValues, p: RowValues, t: float, h: float) -> np.ndarray:
        """The loss at margins + t p - h y: value, by t, h, tt, th, hh, shape (6,). Reads no X."""
        return self._sum(self._map(Samples.plane, margins, p, t, h))

    def move(self, margins: RowValues, p: RowValues, t: float, h: float) -> RowValues:
        """margins + t p - h y; computed where it is asked for."""
        return RowValues(self._map(Samples.move, margins, p, t, h))

    def total(self, values: RowValues) -> float:
        """The sum of n values."""
        return self._sum(self._map(Samples.total, values))

    def root_mean_square(self, values: RowValues) -> float:
        """The weighted root mean square of n values."""
        total = self._sum(self._map(_weighted_square, values))
        return float(np.sqrt(total / self.census.weights.sum()))

    def curvatures(self, margins: RowValues) -> RowValues:
        """s |phi''(a)|; computed where it is asked for."""
        return RowValues(self._map(Samples.curvatures, margins))

    def gram(self, h: RowValues, place: np.ndarray, k: int) -> np.ndarray:
        """Z^T diag(h) Z for Z = ((X - 1 centre^T) A, 1), shape (k+1, k+1). One read of X."""
        return self._sum(self._map(_gram, h, place, k))

    def squares(self, h: RowValues) -> np.ndarray:
        """Sum of h (x - centre)^2 by element, shape (d,). One read of X."""
        return self._sum(self._map(Samples.squares, h))

    # ------------------------------------------------------------------ how

    def _map(self, work: Callable[..., Any], *arguments: Any) -> list[Any]:
        """One task a block: work(samples, *arguments), each of `RowValues` getting its part."""
        run = _delayed(_on_block)
        # An array that all blocks get is a task of its own, so that the graph holds it once.
        shared = [_constant(a) if isinstance(a, np.ndarray) else a for a in arguments]
        return [
            run(
                work, self._context, X, rows,
                *(a.parts[i] if isinstance(a, RowValues) else a for a in shared),
            )
            for i, (X, rows) in enumerate(zip(self._X, self._rows, strict=True))
        ]  # fmt: skip

    def _sum(self, parts: list[Any]) -> Any:
        return _fetch(_tree(parts))


# --------------------------------------------------------------------------- graphs


def _dask() -> Any:
    return import_module("dask")


def _delayed(function: Callable[..., Any]) -> Any:
    return _dask().delayed(function, pure=False, traverse=False)


def _constant(value: Any) -> Any:
    return _dask().delayed(value, traverse=False)


def _persist(*values: Any) -> list[Any]:
    return list(_dask().persist(*values))


def _fetch(*values: Any) -> Any:
    """The only way to the client; of one value itself, of several a tuple."""
    results = _dask().compute(*values)
    return results[0] if len(values) == 1 else results


def _tree(parts: list[Any], combine: Callable[[Sequence[Any]], Any] | None = None) -> Any:
    """All parts combined, neighbours first; their sum by default."""
    together = _delayed(_combined)
    while True:
        groups = [parts[i : i + _FAN_IN] for i in range(0, len(parts), _FAN_IN)]
        parts = [together(combine or _added, *group) for group in groups]
        if len(parts) == 1:
            return parts[0]


def _combined(combine: Callable[[Sequence[Any]], Any], *parts: Any) -> Any:
    return combine(parts)


def _added(parts: Sequence[Any]) -> Any:
    return reduce(operator.add, parts)


def _chained(parts: Sequence[list[Any]]) -> list[Any]:
    return [item for part in parts for item in part]


# --------------------------------------------------------------------------- work on a block


def _on_block(
    work: Callable[..., Any],
    context: tuple[np.ndarray, MarginLoss],
    X: Any,
    rows: tuple[np.ndarray, np.ndarray],
    *arguments: Any,
) -> Any:
    centre, loss = context
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


def census_of(X: list[Any], rows: list[Any], labels: np.ndarray) -> Census:
    """Count what blocks hold."""
    count = _delayed(_counted)
    tasks = [count(*block, labels) for block in zip(X, rows, strict=True)]
    blocks: list[_Count] = _fetch(_tree(tasks, _chained))
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
    blocks, d, chunks, names = _matrix_blocks(X, who)
    y_blocks = _column_blocks(y, "y", chunks, len(blocks), who)
    weights: list[Any] = [None] * len(blocks)
    if sample_weight is not None:
        weights = _column_blocks(sample_weight, "sample_weight", chunks, len(blocks), who)
    together = _persist(*blocks, *y_blocks, *weights)
    n = len(blocks)
    blocks, y_blocks, weights = together[:n], together[n : 2 * n], together[2 * n :]

    inspect = _delayed(_inspected)
    pieces = zip(blocks, y_blocks, weights, strict=True)
    facts, tally = _fetch(_tree([inspect(*piece, who) for piece in pieces], _Joint(who)))
    _check(facts, d, who)
    check_classification_targets(tally.classes)
    factors = _class_factors(tally, class_weight)
    total = float(tally.weights @ factors)
    if np.count_nonzero(tally.weights * factors) < 2:
        got = f"{np.count_nonzero(tally.weights * factors)} class of positive weight"
        advice = "A classifier can't be trained on one class."
        raise ValueError(complaint(who, "y", "hold two classes or more", got, advice))

    select = _delayed(_selected)
    pieces = zip(blocks, y_blocks, weights, strict=True)
    scale = factors / total
    selected = _persist(*(select(*piece, tally.classes, scale, tally.unit) for piece in pieces))
    length = _delayed(_selected_length)
    lengths = _fetch(_tree([length(part) for part in selected], _chained))
    kept = [i for i in range(n) if lengths[i]]
    prepare, rows_of = _delayed(_prepared), _delayed(_rows_of)
    ready = [
        blocks[i]
        if facts[i].is_ready and lengths[i] == facts[i].length
        else prepare(blocks[i], selected[i], who)
        for i in kept
    ]
    both = _persist(*ready, *(rows_of(selected[i]) for i in kept))
    ready, rows = both[: len(kept)], both[len(kept) :]
    binary = len(tally.classes) == 2
    labels = np.array([-1.0, 1.0]) if binary else np.arange(len(tally.classes), dtype=float)
    census = census_of(ready, rows, labels)
    samples = DaskSamples(ready, rows, census, np.zeros(d), loss, n_threads)
    means = samples.means()
    if not np.isfinite(means).all():
        find = _delayed(_first_bad)
        found = _fetch(_tree([find(i, blocks[i], selected[i], who) for i in kept], _first))
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
    count = _delayed(_tallied)
    blocks = _column_blocks(y, "y", None, None, who)
    return _fetch(_tree([count(block, who) for block in blocks], _Joint(who).tallies)).classes


def _matrix_blocks(X: Any, who: str) -> tuple[list[Any], int, tuple[int, ...] | None, Any]:
    """The row blocks of X, their number of columns, their lengths if known, and column names."""
    convert = _delayed(_prepared)
    if _is_frame(X):
        for name, kind in X.dtypes.items():
            if not _is_number(kind):
                got = f"the dtype {kind} in column {name!r}"
                advice = "Encode such columns, or leave them out."
                raise TypeError(complaint(who, "X", "hold numbers", got, advice))
        blocks = [convert(part, None, who) for part in X.to_delayed()]
        return blocks, len(X.columns), None, list(X.columns)
    if not _is_array(X):
        must = "be a Dask array or DataFrame"
        raise TypeError(complaint(who, "X", must, f"a {type(X).__name__}"))
    if X.ndim != 2 or not X.shape[1] >= 1:
        raise ValueError(complaint(who, "X", "have rows and columns", f"shape {X.shape}"))
    if X.dtype.kind not in "fiub":
        raise TypeError(complaint(who, "X", "hold numbers", f"the dtype {X.dtype}"))
    if X.numblocks[1] > 1:
        X = X.rechunk({1: -1})
    blocks = _array_blocks(X)
    if X.dtype not in (np.float32, np.float64):
        blocks = [convert(block, None, who) for block in blocks]
    return blocks, X.shape[1], _known_lengths(X), None


def _column_blocks(
    value: Any, argument: str, chunks: tuple[int, ...] | None, count: int | None, who: str
) -> list[Any]:
    """The blocks of y or of weights, in step with those of X."""
    if not is_dask(value) and chunks is not None and np.ndim(value):
        value = import_module("dask.array").from_array(np.asarray(value), chunks=-1)
    if _is_frame(value):
        blocks = value.to_delayed()
    elif _is_array(value) and value.ndim in (1, 2):
        if value.ndim == 2 and value.shape[1] != 1:
            raise ValueError(complaint(who, argument, "be one column", f"shape {value.shape}"))
        value = value if value.ndim == 1 else value[:, 0]
        lengths = _known_lengths(value)
        if chunks is not None and lengths is not None and lengths != chunks:
            if sum(lengths) != sum(chunks):
                must = f"have as many rows as `X`, {sum(chunks)}"
                raise ValueError(complaint(who, argument, must, sum(lengths)))
            value = value.rechunk((chunks,))
        blocks = _array_blocks(value)
    else:
        must = "be a Dask array or Series"
        raise TypeError(complaint(who, argument, must, f"a {type(value).__name__}"))
    if count is not None and len(blocks) != count:
        must = f"have as many blocks as `X`, {count}, where their lengths are not known"
        raise ValueError(complaint(who, argument, must, len(blocks), _ALIGN))
    return list(blocks)


def _is_array(value: Any) -> bool:
    return is_dask(value) and hasattr(value, "chunks") and hasattr(value, "rechunk")


def _is_frame(value: Any) -> bool:
    """Whether this is a Dask DataFrame or Series."""
    return is_dask(value) and hasattr(value, "divisions") and hasattr(value, "to_delayed")


def _array_blocks(array: Any) -> list[Any]:
    # Left to optimise, Dask drops the references that keep a persisted array alive.
    persisted = len(array.__dask_graph__()) == array.npartitions
    return array.to_delayed(optimize_graph=not persisted).ravel().tolist()


def _known_lengths(array: Any) -> tuple[int, ...] | None:
    lengths = array.chunks[0]
    return None if np.isnan(lengths).any() else tuple(int(length) for length in lengths)


def _is_number(kind: Any) -> bool:
    from pandas.api.types import is_complex_dtype, is_numeric_dtype

    return is_numeric_dtype(kind) and not is_complex_dtype(kind)  # bool is among them


def _class_factors(tally: _Tally, class_weight: Any) -> np.ndarray:
    """What the weights of each class are multiplied by."""
    from sklearn.utils.class_weight import compute_class_weight

    if isinstance(class_weight, str) and class_weight == "balanced":
        share = tally.weights * (len(tally.classes) / tally.weights.sum())
        return np.divide(1.0, share, out=np.zeros_like(share), where=share > 0)
    return compute_class_weight(class_weight, classes=tally.classes, y=tally.classes)


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
    """The classes, how many rows each has, and their weight in some unit."""

    classes: np.ndarray
    counts: np.ndarray
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
            np.concatenate([part.counts for part in parts]),
            np.concatenate(weights),
            unit,
            self.who,
        )


def _tally(labels: np.ndarray, counts: Any, weights: np.ndarray, unit: float, who: str) -> _Tally:
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
    k = len(classes)
    return _Tally(
        classes, np.bincount(at, counts, minlength=k), np.bincount(at, weights, minlength=k), unit
    )


def _tallied(y: Any, who: str) -> _Tally:
    y = _labels(y)
    return _tally(y, None, np.ones(len(y)), 1.0, who)


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
    return [fact], _tally(y, None, s / unit if unit > 0 else s, unit, who)


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
    X: Any, y: Any, weight: Any, classes: np.ndarray, factors: np.ndarray, unit: float
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
