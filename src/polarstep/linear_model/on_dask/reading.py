"""Reading training data from Dask collections into `DaskSamples`."""

from __future__ import annotations

from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

from ...extras import require_dask
from ...losses import MarginLoss
from ...validation import not_finite
from ..labels import class_factors, require_two_classes
from .blocks import (
    find_not_finite,
    first_found,
    prepare_block,
    select_rows,
    selected_labels,
    selection_length,
)
from .census import take_census
from .collections import as_column, as_matrix, blocks_of, known_lengths
from .graphs import BlockValues, OnePerBlock, compute_combined, join_lists, map_blocks
from .inspection import BlockFacts, check_facts, inspect_block, join_inspections, place_of
from .samples import DaskSamples


def read_samples(
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    loss: MarginLoss,
    intercept: bool,
    class_weight: Any = None,
    n_threads: int = 1,
    keep_all: bool = False,
    who: str = "HalfspaceClassifier",
) -> tuple[np.ndarray, DaskSamples, float]:
    """Check training data in Dask collections, and convert them to `DaskSamples`.

    X is persisted, because every pass reads it. If it is persisted already as float32 or float64
    (dense or CSR) in one block of columns, it is used without a copy; otherwise a converted copy is
    kept on the workers. Rows of weight zero are left out.

    Parameters
    ----------
    X : dask array or dask DataFrame
        Real numbers. Blocks of an array may be SciPy's sparse matrices.
    y : dask array, Series, DataFrame of one column, or array-like
        The labels. Their blocks must match those of X if the lengths of the blocks are unknown.
        Otherwise they are rechunked, and they may also be in memory.
    sample_weight : as y, or number, optional
        Finite weights >= 0.
    loss : MarginLoss
    intercept : bool
        Whether the columns are centred at their weighted means.
    class_weight : dict or "balanced", optional
    n_threads : int
        The number of threads for subsamples that come to the client.
    keep_all : bool
        Whether rows of weight zero are kept.
    who : str
        The name of the caller, for error messages.

    Returns
    -------
    classes : ndarray, shape (K,)
        The class labels in order.
    samples : DaskSamples
        The rows. Their labels are -1 and +1 for two classes, and 0, 1, ..., K-1 otherwise; their
        weights sum to 1.
    total : float
        The sum of the weights before they were scaled.

    Raises
    ------
    TypeError, ValueError
        If the types, shapes, blocks or values of the collections are not valid. The message names
        the row, block and column of a value that is not finite.
    """
    require_dask(who)
    X, names = as_matrix(X, who)
    n_blocks, d, lengths = X.numblocks[0], X.shape[1], known_lengths(X)
    y = blocks_of(as_column(y, "y", lengths, n_blocks, who))
    weight = sample_weight
    if not (weight is None or isinstance(weight, Real)):
        weight = blocks_of(as_column(weight, "sample_weight", lengths, n_blocks, who))
    blocks = blocks_of(X)
    facts, totals = compute_combined(
        map_blocks("inspect", inspect_block, blocks, y, weight, who), partial(join_inspections, who)
    )
    check_facts(facts, d, who)
    if len(totals.classes):
        check_classification_targets(totals.classes)
    factors = class_factors(class_weight, totals.classes, totals.weights, who)
    total = float(totals.weights @ factors)
    require_two_classes(int(np.count_nonzero(totals.weights * factors)), who)

    scaling = totals.classes, factors / total, totals.unit
    selected = map_blocks("select", select_rows, y, weight, *scaling, keep_all).persist()
    selected_rows = compute_combined(map_blocks("length", selection_length, selected), join_lists)
    kept = [i for i in range(n_blocks) if selected_rows[i]]
    blocks, selected = blocks.take(kept), selected.take(kept)
    prepared = map_blocks("prepare", prepare_block, blocks, selected, who)
    used = [
        raw if facts[i].is_usable and selected_rows[i] == facts[i].n_rows else copy
        for i, raw, copy in zip(kept, blocks.keys, prepared.keys, strict=True)
    ]
    ready = BlockValues(prepared.graph, used).persist()
    rows = map_blocks("rows", selected_labels, selected).persist()
    binary = len(totals.classes) == 2
    labels = np.array([-1.0, 1.0]) if binary else np.arange(len(totals.classes), dtype=float)
    census = take_census(ready, rows, labels)
    samples = DaskSamples(ready, rows, census, np.zeros(d), loss, n_threads)
    means = samples.means()
    if not np.isfinite(means).all():
        search = map_blocks("search", find_not_finite, OnePerBlock(kept), blocks, selected, who)
        found = compute_combined(search, first_found)
        raise ValueError(_not_finite_text(found, facts, names, who))
    total *= totals.unit
    return totals.classes, samples.centred_at(means) if intercept else samples, total


def _not_finite_text(
    found: tuple[int, int, int, float], facts: list[BlockFacts], names: Any, who: str
) -> str:
    block, row, column, value = found
    place = place_of(sum(fact.n_rows for fact in facts[:block]), row, block)
    named = f"column {column}" if names is None else f"column {names[column]!r}"
    return not_finite(value, f"{place}, {named}", who, "X")
