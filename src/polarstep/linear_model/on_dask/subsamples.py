"""Random subsamples of rows in blocks on workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..solver.sampling import class_shares
from .census import Census
from .graphs import BlockValues, OnePerBlock, map_blocks

CLIENT_VALUES = 1 << 22  # values of X in the largest subsample that moves to the client: 32 MiB


def draw_rows(
    X: BlockValues, rows: BlockValues, census: Census, m: int, rng: np.random.Generator
) -> tuple[BlockValues, int]:
    """Draw about m rows without replacement, with a minimum share for each label.

    Returns the tuples (X, y, weight) of the blocks that contribute rows, and the number of rows.
    """
    draw = plan_draw(census.counts, m, rng)
    blocks = draw.blocks
    drawn = map_blocks(
        "draw", _draw_from_block, X.take(blocks), rows.take(blocks), census.labels, *draw.by_block
    )
    return drawn, draw.n_rows


class Draw(NamedTuple):
    """How many rows of each label are drawn from which blocks.

    The rows are drawn on the worker of their block, which has its own seed.
    """

    blocks: list[int]
    by_block: tuple[OnePerBlock, OnePerBlock]  # the numbers of rows by label, and the seed
    n_rows: int


def plan_draw(counts: np.ndarray, m: int, rng: np.random.Generator) -> Draw:
    """Draw how many rows come from each block.

    Parameters
    ----------
    counts : ndarray of int, shape (blocks, K)
        The number of rows with each label.
    m : int
        About how many rows are to be drawn in all, with a minimum share for each label.
    rng : numpy.random.Generator
    """
    sizes = class_shares(m, counts.sum(axis=0).tolist())
    wanted = np.column_stack(
        [_split(size, of_label, rng) for size, of_label in zip(sizes, counts.T, strict=True)]
    )
    seed = int(rng.integers(1 << 62))
    blocks = np.flatnonzero(wanted.sum(axis=1)).tolist()
    numbers = OnePerBlock([wanted[i] for i in blocks])
    return Draw(blocks, (numbers, OnePerBlock([[seed, i] for i in blocks])), int(wanted.sum()))


def draw_positions(
    members: Sequence[np.ndarray], wanted: np.ndarray, seed: list[int]
) -> np.ndarray:
    """Draw positions without replacement from those of each label, and return them in order."""
    rng = np.random.default_rng(seed)
    chosen = [
        rng.choice(at, count, replace=False, shuffle=False)
        for at, count in zip(members, wanted, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


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
    at = draw_positions([np.flatnonzero(y == label) for label in labels], wanted, seed)
    return X[at], y[at], weight[at]
