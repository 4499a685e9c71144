"""Random subsamples of rows in blocks on workers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..solver.sampling import class_shares
from .census import Census
from .graphs import BlockValues, OnePerBlock, map_blocks


def draw_rows(
    X: BlockValues, rows: BlockValues, census: Census, m: int, rng: np.random.Generator
) -> tuple[BlockValues, int]:
    """Draw about m rows without replacement, with a minimum share for each label.

    The number of rows from each block is drawn here, and the rows are drawn on the worker of their
    block, with its own seed. Returns the tuples (X, y, weight) of the blocks that contribute rows,
    and the number of rows.
    """
    sizes = class_shares(m, census.counts.sum(axis=0).tolist())
    wanted = np.column_stack(
        [_split(size, of_label, rng) for size, of_label in zip(sizes, census.counts.T, strict=True)]
    )
    seed = int(rng.integers(1 << 62))
    blocks = np.flatnonzero(wanted.sum(axis=1)).tolist()
    drawn = map_blocks(
        "draw",
        _draw_from_block,
        X.take(blocks),
        rows.take(blocks),
        census.labels,
        OnePerBlock([wanted[i] for i in blocks]),
        OnePerBlock([[seed, i] for i in blocks]),
    )
    return drawn, int(wanted.sum())


def restoring_factors(total: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return, for each label, the factor that raises the drawn weight to the total weight."""
    return np.divide(total, drawn, out=np.zeros_like(total), where=drawn > 0)


def scale_weights(
    rows: tuple[np.ndarray, np.ndarray], labels: np.ndarray, factors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Multiply the weights of a block's rows by the factors of their labels."""
    y, weight = rows
    return y, weight * factors[np.searchsorted(labels, y)]


def _split(count: int, sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw how many of ``count`` rows, taken without replacement, come from each block."""
    if sizes.sum() < 1_000_000_000:  # the limit of NumPy's sampler
        return rng.multivariate_hypergeometric(sizes, count, method="marginals")
    return np.minimum(rng.multinomial(count, sizes / sizes.sum()), sizes)


def _draw_from_block(
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
