"""`samples.Samples` for data in Dask collections: the same questions, answered on workers.

A pass is one task a block of rows, in which the block is a `Samples`, and a tree that adds up what
the blocks return. Sums come to the client, and the rows of a small subsample; values by row
(margins, weights, curvatures) stay where their blocks are, as `Parts`. Whatever lies on a
worker is the outcome of a task that can be run again, so that a worker may die at any time; sums
are taken in one order, so that this changes no digit.
"""

from __future__ import annotations

import operator
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ...losses import MarginLoss
from ...validation import complaint, plus_minus_one
from ..solver import kernels
from ..solver.samples import (
    Samples,
    Sums,
    category_ranges,
    category_starts,
    csr_gram_cost,
    dense_gram_cost,
    shares,
)

_FAN_IN = 8  # of the trees
_CLIENT_VALUES = 1 << 22  # of X in a subsample that comes to the client: 32 MiB


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
        (parts,) = dask().persist(self)
        return parts

    def compute(self) -> list[Any]:
        """The values, here."""
        (values,) = dask().compute(self)
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
        rows = tasks("relabelled", _relabelled, self._rows, label).persist()
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
        first = Each([0, *(int(-start % step) for start in starts[:-1])])
        rows, second, fourth = self._sum(_fourth_moments, first, step)
        few = np.divide(second**2, fourth, out=np.zeros(self.d), where=fourth > 0)
        return few * (self.n / rows[0])

    def categories(self) -> np.ndarray:
        """Where the columns of each category of a sparse X begin; [0] unless it is categorical."""
        return category_starts(combined(self._map(_category_ranges), _joint_ranges))

    def gram_cost(self, k: int) -> float:
        """About how long `gram` takes, in passes."""
        if self.is_sparse:
            return csr_gram_cost(k, self.d, self.census.nnz, self.census.nnz_squares)
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
        drawn = tasks(
            "drawn",
            _drawn,
            self._X.take(blocks),
            self._rows.take(blocks),
            labels,
            Each([wanted[i] for i in blocks]),
            Each([[seed, i] for i in blocks]),
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
        X = tasks("block", operator.itemgetter(0), drawn).persist()
        rows = tasks("rows", operator.itemgetter(slice(1, None)), drawn)
        before = census_of(X, rows, self.census.labels)
        present = np.isin(self.census.labels, before.labels)
        factors = _factors(total[present], before.weights.sum(axis=0))
        rows = tasks("scaled", _scaled, rows, before.labels, factors).persist()
        census = replace(before, weights=before.weights * factors)
        return DaskSamples(X, rows, census, self.centre, self.loss, self.n_threads)

    # ------------------------------------------------------------------ passes over the rows

    def evaluate(self, w: np.ndarray, b: float) -> tuple[Sums, Parts]:
        """The sums at (w, b), and the margins. One read of X."""
        parts = self._map(Samples.evaluate, w, b)
        total = _tree(tasks("sums", operator.itemgetter(0), parts))
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
        return tasks(name, _on_block, work, *these, *arguments)

    def _sum(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return combined(self._map(work, *arguments))


# --------------------------------------------------------------------------- graphs


def dask() -> Any:
    """The module, imported when it is needed."""
    return import_module("dask")


class Each(NamedTuple):
    """An argument that differs from block to block."""

    values: list[Any]


def tasks(name: str, work: Callable[..., Any], *arguments: Any) -> Parts:
    """One task a block: work(*arguments), each of `Parts` giving its part."""
    n = next(len(a.keys) for a in arguments if isinstance(a, Parts))
    name = f"{name}-{uuid.uuid4().hex}"
    graph: dict[Any, Any] = {}
    columns = []
    for j, a in enumerate(arguments):
        if isinstance(a, Parts):
            graph |= a.graph
            columns.append(a.keys)
        elif isinstance(a, Each):
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


def combined(parts: Parts, combine: Callable[[Sequence[Any]], Any] | None = None) -> Any:
    """All parts combined, here."""
    return _tree(parts, combine).compute()[0]


def _apply(combine: Callable[[Sequence[Any]], Any], *parts: Any) -> Any:
    return combine(parts)


def _added(parts: Sequence[Any]) -> Any:
    return reduce(operator.add, parts)


def chained(parts: Sequence[list[Any]]) -> list[Any]:
    """One list of all, in order."""
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
    return plus_minus_one(y == label), weight


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
    blocks: list[_Count] = combined(tasks("counted", _counted, X, rows, labels), chained)
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
