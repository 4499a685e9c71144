"""`DaskSamples`: the interface of `solver.weighted_rows` for rows in blocks on Dask workers."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from ...losses import MarginLoss
from ...validation import plus_minus_one
from ..solver.dense_matrix import dense_gram_cost, even_moments
from ..solver.samples import Samples
from ..solver.sparse_matrix import category_starts, csr_gram_cost
from ..solver.weighted_rows import Sums, WeightedRows
from .census import Census, count_labels, take_census
from .graphs import BlockValues, Combine, OnePerBlock, combine_blocks, compute_combined, map_blocks
from .subsamples import CLIENT_VALUES, draw_rows, restoring_factors, scale_weights


class DaskSamples(WeightedRows[BlockValues]):
    """Rows in blocks on Dask workers, with labels and weights, for one loss.

    A pass over the rows runs one task for each block, which wraps the block in `Samples`, and a
    tree of tasks that adds up the results. Sums and small subsamples come to the client. Arrays
    with one value for each row (margins, weights, curvatures) stay with their blocks: all methods
    accept and return them as `BlockValues`. `WeightedRows` documents the methods.

    Parameters
    ----------
    X : BlockValues
        The blocks: non-empty arrays or CSR matrices in the form that `Samples` accepts.
    rows : BlockValues
        For each block a tuple (labels, weights).
    census : Census
        The counts of the rows and entries in the blocks.
    centre : ndarray, shape (d,)
        The vector that is subtracted from every row, implicitly.
    loss : MarginLoss
    n_threads : int
        The number of threads for subsamples on the client. Each block is processed by one thread,
        because a worker runs several blocks at once.
    """

    def __init__(
        self,
        X: BlockValues,
        rows: BlockValues,
        census: Census,
        centre: np.ndarray,
        loss: MarginLoss,
        n_threads: int = 1,
    ) -> None:
        self.census, self.centre, self.loss, self.n_threads = census, centre, loss, n_threads
        self.d, self.is_sparse = census.d, census.is_sparse
        self.n = int(census.counts.sum())
        self.size = census.nnz if self.is_sparse else self.n * self.d
        self.X, self.rows, self.weight = X, rows, rows

    def centred_at(self, centre: np.ndarray) -> DaskSamples:
        """Return the same rows with another centre."""
        return DaskSamples(self.X, self.rows, self.census, centre, self.loss, self.n_threads)

    def with_loss(self, loss: MarginLoss) -> DaskSamples:
        return DaskSamples(self.X, self.rows, self.census, self.centre, loss, self.n_threads)

    def one_against_rest(self, label: float) -> DaskSamples:
        rows = map_blocks("relabel", _relabel, self.rows, label).persist()
        which = self.census.labels == label
        counts, weights = (
            np.column_stack([table[:, ~which].sum(axis=1), table[:, which].sum(axis=1)])
            for table in (self.census.counts, self.census.weights)
        )
        census = replace(self.census, labels=np.array([-1.0, 1.0]), counts=counts, weights=weights)
        return DaskSamples(self.X, rows, census, self.centre, self.loss, self.n_threads)

    # ------------------------------------------------------------------ properties of the data

    def means(self) -> np.ndarray:
        """Return the weighted means of the columns, shape (d,), in one read of X."""
        return self._sum(Samples.column_sums) / self.census.weights.sum()

    def effective_rows(self) -> np.ndarray:
        return self._effective_rows

    @cached_property
    def _effective_rows(self) -> np.ndarray:
        if self.is_sparse:
            return self._sum(Samples.effective_rows)
        step = max(1, self.n // 1_000)
        starts = np.cumsum(self.census.counts.sum(axis=1))
        first = OnePerBlock([0, *(int(-start % step) for start in starts[:-1])])
        rows, second, fourth = self._sum(_even_moments, first, step)
        effective = np.divide(second**2, fourth, out=np.zeros(self.d), where=fourth > 0)
        return effective * (self.n / rows[0])

    def category_starts(self) -> np.ndarray:
        return category_starts(compute_combined(self._map(Samples.category_ranges), _join_ranges))

    def gram_cost(self, k: int) -> float:
        if self.is_sparse:
            return csr_gram_cost(k, self.d, self.census.nnz, self.census.nnz_squares)
        return dense_gram_cost(k)

    def subsample(self, m: int, rng: np.random.Generator) -> Samples | DaskSamples:
        """Draw about m of the rows, with the class shares of `Samples.subsample`.

        A subsample that is too large for the client stays on the workers.
        """
        labels = self.census.labels
        drawn, n_drawn = draw_rows(self.X, self.rows, self.census, m, rng)
        total = self.census.weights.sum(axis=0)
        if n_drawn * (self.size / self.n) > CLIENT_VALUES:
            return self._sample_on_workers(drawn.persist(), total)
        X, *columns = zip(*drawn.compute(), strict=True)
        y, weight = map(np.concatenate, columns)
        factors = restoring_factors(total, count_labels(y, weight, labels)[1])
        weight *= factors[np.searchsorted(labels, y)]
        joined = sp.vstack(X, format="csr") if self.is_sparse else np.concatenate(X)
        return Samples.from_arrays(joined, y, weight, self.centre, self.loss, self.n_threads)

    def _sample_on_workers(self, drawn: BlockValues, total: np.ndarray) -> DaskSamples:
        X = map_blocks("block", operator.itemgetter(0), drawn).persist()
        rows = map_blocks("rows", operator.itemgetter(slice(1, None)), drawn)
        before = take_census(X, rows, self.census.labels)
        present = np.isin(self.census.labels, before.labels)
        factors = restoring_factors(total[present], before.weights.sum(axis=0))
        rows = map_blocks("scale", scale_weights, rows, before.labels, factors).persist()
        census = replace(before, weights=before.weights * factors)
        return DaskSamples(X, rows, census, self.centre, self.loss, self.n_threads)

    def in_memory(self) -> None:
        """Return None, because the rows are not in memory."""

    def in_row_space(self) -> None:
        """Return None, because the rows are not in memory."""

    # ------------------------------------------------------------------ passes over the rows

    def fit_rare_columns(self, w: np.ndarray, b: float, alpha: np.ndarray) -> None:
        """Return None, because rare columns are not fitted one at a time on workers."""

    def evaluate(self, w: np.ndarray, b: float) -> tuple[Sums, BlockValues]:
        values = self._map(Samples.evaluate, w, b)
        total = combine_blocks(map_blocks("sums", operator.itemgetter(0), values))
        both = BlockValues(total.graph, [*total.keys, *values.keys]).persist()
        first, *rest = range(len(both.keys))
        return both.take([first]).compute()[0], both.take(rest)

    def project(self, v: np.ndarray, h: float) -> BlockValues:
        return self._map(Samples.project, v, h).persist()

    def plane(self, margins: BlockValues, p: BlockValues, t: float, h: float) -> np.ndarray:
        return self._sum(Samples.plane, margins, p, t, h)

    def move(self, margins: BlockValues, p: BlockValues, t: float, h: float) -> BlockValues:
        """Return margins + t p - h y, which the tasks that need it compute."""
        return self._map(Samples.move, margins, p, t, h)

    def total(self, values: BlockValues) -> float:
        return self._sum(Samples.total, values)

    def largest(self, values: BlockValues) -> float:
        return float(compute_combined(self._map(Samples.largest, values), max))

    def root_mean_square(self, values: BlockValues) -> float:
        total = self._sum(Samples.weighted_square, values)
        return float(np.sqrt(total / self.census.weights.sum()))

    def curvatures(self, margins: BlockValues) -> BlockValues:
        """Return s |phi''(a)|, which the tasks that need it compute."""
        return self._map(Samples.curvatures, margins)

    def gram(self, h: BlockValues, place: np.ndarray, k: int) -> np.ndarray:
        return self._sum(_gram, h, place, k)

    def squares(self, h: BlockValues) -> np.ndarray:
        return self._sum(Samples.squares, h)

    def gram_times_vector(
        self, h: BlockValues, v: np.ndarray, b: float
    ) -> tuple[np.ndarray, float]:
        product = self._sum(_gram_times_vector, h, v, b)
        return product[:-1], float(product[-1])

    # ------------------------------------------------------------------ tasks

    def combined(
        self, work: Callable[..., Any], *arguments: Any, combine: Combine | None = None
    ) -> Any:
        """Return ``work(samples, *arguments)`` combined over all blocks, by default their sum.

        ``samples`` holds the rows of one block as `Samples`. ``combine`` maps a list of results to
        one result.
        """
        return compute_combined(self._map(work, *arguments), combine)

    def _map(self, work: Callable[..., Any], *arguments: Any) -> BlockValues:
        """Build the tasks ``work(samples, *arguments)``, where samples holds one block."""
        name = work.__name__.strip("_")
        block = self.X, self.rows, self.centre, self.loss
        return map_blocks(name, _work_on_block, work, *block, *arguments)

    def _sum(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return compute_combined(self._map(work, *arguments))


# --------------------------------------------------------------------------- work on one block


def _work_on_block(
    work: Callable[..., Any],
    X: Any,
    rows: tuple[np.ndarray, np.ndarray],
    centre: np.ndarray,
    loss: MarginLoss,
    *arguments: Any,
) -> Any:
    samples = Samples.from_arrays(X, *rows, centre, loss)
    # An array with one value for each row may be the last entry of a tuple: see `BlockValues`.
    return work(samples, *(a[-1] if isinstance(a, tuple) else a for a in arguments))


def _even_moments(samples: Samples, first: int, step: int) -> np.ndarray:
    """Return `even_moments` of x - centre over every step-th row."""
    return even_moments(samples.X[first::step] - samples.centre)


def _join_ranges(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Join the ranges of categories of several blocks; None if their rows differ in length."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or len({part.shape for part in known}) > 1:
        return None
    first, last = np.array(known).transpose(1, 0, 2)
    return np.array([first.min(axis=0), last.max(axis=0)])


def _gram(samples: Samples, h: np.ndarray, place: np.ndarray, k: int) -> np.ndarray:
    return samples.gram(h, place, k) if h.any() else np.zeros((k + 1, k + 1))


def _gram_times_vector(samples: Samples, h: np.ndarray, v: np.ndarray, b: float) -> np.ndarray:
    return np.append(*samples.gram_times_vector(h, v, b))


def _relabel(rows: tuple[np.ndarray, np.ndarray], label: float) -> tuple[np.ndarray, np.ndarray]:
    y, weight = rows
    return plus_minus_one(y == label), weight
