"""`DaskBlockRows`: the rows of a block of models, in blocks of rows on Dask workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ..block.data import BlockData
from ..block.families import Family
from ..block.models import Models
from ..block.rows import BlockRows, Segment
from ..solver.columns import GramColumns, choose_gram_columns
from .graphs import BlockValues, compute_combined, join_lists, map_blocks
from .samples import DaskSamples
from .subsamples import CLIENT_VALUES, draw_positions, plan_draw, restoring_factors


class Part(NamedTuple):
    """What a worker knows about the rows of a block besides X."""

    codes: np.ndarray  # the index of the class of each row, shape (t,)
    weights: np.ndarray  # the row weights of each split, shape (F, t)
    segments: list[Segment] | None  # as `BlockRows.segments`


class WorkerState(NamedTuple):
    """One value for each model, score and row, which stays on the workers."""

    values: BlockValues
    models: np.ndarray  # the indices of the models that are meant

    def __getitem__(self, at: Any) -> WorkerState:  # type: ignore[override]
        return WorkerState(self.values, self.models[at])


class DaskBlockRows(BlockData):
    """Rows in blocks on Dask workers, with classes, and with weights in each of F splits.

    A pass over the rows runs one task for each block of rows, which wraps it in `BlockRows`, and a
    tree of tasks that adds up the results. Sums and subsamples come to the client. If all of X is
    as small as a subsample, it comes to the client once, for the metrics.

    Parameters
    ----------
    samples : DaskSamples
        The same rows for one model, which know the matrix X and its centre.
    parts : BlockValues
        A `Part` for each block. The weights of each split sum to 1.
    n_classes : int
        The number of classes K.
    """

    def __init__(self, samples: DaskSamples, parts: BlockValues, n_classes: int) -> None:
        self._samples, self.parts, self.n_classes = samples, parts, n_classes
        self.n, self.d, self.size = samples.n, samples.d, samples.size
        self.is_sparse, self.centre = samples.is_sparse, samples.centre
        counts = compute_combined(map_blocks("count", _count, parts, n_classes), join_lists)
        self.counts = np.array([rows for rows, _ in counts])  # used rows, shape (blocks, K)
        self._totals = np.sum([totals for _, totals in counts], axis=0)

    @classmethod
    def of_samples(cls, samples: DaskSamples, labels: np.ndarray) -> DaskBlockRows:
        """Return the rows with their weights as one split.

        Parameters
        ----------
        samples : DaskSamples
        labels : ndarray, shape (K,)
            The label of each class in the samples.
        """
        parts = map_blocks("part", _one_split, samples.rows, labels).persist()
        return cls(samples, parts, len(labels))

    # ------------------------------------------------------------------ properties of the rows

    @property
    def samples(self) -> DaskSamples:
        return self._samples

    @property
    def totals(self) -> np.ndarray:
        return self._totals

    @property
    def largest_subsample(self) -> int:
        return min(self.n, max(1, CLIENT_VALUES * self.n // max(self.size, 1)))

    def gram_columns(self) -> GramColumns:
        return choose_gram_columns(self.samples)

    def gram_cost(self, k: int) -> float:
        return self.samples.gram_cost(k)

    def raise_not_finite(self, who: str) -> None:
        self.samples.raise_not_finite(who)

    def in_memory(self) -> BlockRows | None:
        return self._everything if self.size <= CLIENT_VALUES else None

    @cached_property
    def _everything(self) -> BlockRows:
        parts: list[Part] = self.parts.compute()
        return self._joined(
            self.samples.X.compute(), [p.codes for p in parts], [p.weights for p in parts]
        )

    def subsample(self, m: int, rng: np.random.Generator) -> BlockRows:
        everything = self.in_memory()
        if everything is not None:
            return everything.subsample(m, rng)
        draw = plan_draw(self.counts, min(m, self.largest_subsample), rng)
        blocks, X = draw.blocks, self.samples.X
        drawn = map_blocks("draw", _draw, X.take(blocks), self.parts.take(blocks), *draw.by_block)
        rows = self._joined(*zip(*drawn.compute(), strict=True))
        factors = restoring_factors(self.totals, _totals(rows.codes, rows.weights, self.n_classes))
        rows.weights *= factors[:, rows.codes]
        return rows

    def _joined(self, X: Any, codes: Any, weights: Any) -> BlockRows:
        """Return rows in memory from several blocks."""
        joined = sp.vstack(X, format="csr") if self.is_sparse else np.concatenate(X)
        return BlockRows.from_arrays(
            joined, np.concatenate(codes), np.concatenate(weights, axis=1), self.centre,
            self.samples.n_threads,
        )  # fmt: skip

    # ------------------------------------------------------------------ passes over the rows

    def evaluate(
        self, family: Family, models: Models, theta: np.ndarray, intercept: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        values = self.map(BlockRows.evaluate, family, models, theta, intercept)
        return compute_combined(values, _add_pairs)

    def curvature_squares(
        self, family: Family, models: Models, theta: np.ndarray, intercept: bool
    ) -> np.ndarray:
        return compute_combined(
            self.map(BlockRows.curvature_squares, family, models, theta, intercept)
        )

    def curvature_state(
        self, family: Family, models: Models, theta: np.ndarray, intercept: bool
    ) -> WorkerState:
        values = self.map(BlockRows.curvature_state, family, models, theta, intercept)
        return WorkerState(values.persist(), np.arange(len(models)))

    def hessian_products(
        self,
        family: Family,
        models: Models,
        state: WorkerState,
        directions: np.ndarray,
        intercept: bool,
    ) -> np.ndarray:
        return compute_combined(
            self.map(_hessian_products, family, models, *state, directions, intercept)
        )

    def map(self, work: Callable[..., Any], *arguments: Any) -> BlockValues:
        """Build the tasks ``work(rows, *arguments)``, where rows are those of one block."""
        name = work.__name__.strip("_")
        block = self.samples.X, self.parts, self.centre
        return map_blocks(name, _work_on_block, work, *block, *arguments)


# --------------------------------------------------------------------------- work on one block


def make_part(codes: np.ndarray, weights: np.ndarray) -> Part:
    """Return a `Part` of rows, with the segments that every pass over them needs."""
    nothing = np.empty((len(codes), 1))
    rows = BlockRows.from_arrays(nothing, codes, weights, np.zeros(1))
    return Part(rows.codes, rows.weights, rows.segments)


def _one_split(rows: tuple[np.ndarray, np.ndarray], labels: np.ndarray) -> Part:
    y, weight = rows
    return make_part(np.searchsorted(labels, y), weight[None])


def _count(part: Part, n_classes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the number of rows of positive weight in each class, and the weight (F, K)."""
    used = part.weights.any(axis=0)
    counts = np.bincount(part.codes[used], minlength=n_classes)
    return [(counts, _totals(part.codes, part.weights, n_classes))]


def _totals(codes: np.ndarray, weights: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the total weight of each class in each split, shape (F, K)."""
    return np.array([np.bincount(codes, s, n_classes) for s in weights])


def _draw(
    X: Any, part: Part, wanted: np.ndarray, seed: list[int]
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Draw rows of positive weight: the wanted number of each class."""
    used = part.weights.any(axis=0)
    members = [np.flatnonzero((part.codes == c) & used) for c in range(len(wanted))]
    at = draw_positions(members, wanted, seed)
    return X[at], part.codes[at], part.weights[:, at]


def _work_on_block(
    work: Callable[..., Any], X: Any, part: Part, centre: np.ndarray, *arguments: Any
) -> Any:
    rows = BlockRows.from_arrays(X, part.codes, part.weights, centre)
    if part.segments is not None:
        rows.segments = part.segments
    return work(rows, *arguments)


def _hessian_products(
    rows: BlockRows,
    family: Family,
    models: Models,
    state: np.ndarray,
    which: np.ndarray,
    directions: np.ndarray,
    intercept: bool,
) -> np.ndarray:
    return rows.hessian_products(family, models, state[which], directions, intercept)


def _add_pairs(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Add up pairs of arrays in order; for use as the ``combine`` of a tree."""
    first, second = parts[0]
    for more_first, more_second in parts[1:]:
        first, second = first + more_first, second + more_second
    return first, second
