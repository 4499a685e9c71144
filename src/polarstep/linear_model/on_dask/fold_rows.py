"""The splits of a cross-validation on Dask: weights and scores of rows that stay on the workers.

Which splits a row belongs to, and how often, is its pattern. K folds have K patterns, so that one
byte for each row tells the workers all about them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..block.rows import BlockRows
from .block_rows import DaskBlockRows, Part, make_part
from .graphs import BlockValues, OnePerBlock, compute_combined, map_blocks
from .samples import DaskSamples


@dataclass(frozen=True)
class Patterns:
    """Which rows each of F splits trains on and holds out.

    Attributes
    ----------
    of_rows : OnePerBlock
        The index of the pattern of each row, by block.
    train, held_out : ndarray of int, shape (P, F)
        How often a split trains on, or holds out, the rows of a pattern.
    """

    of_rows: OnePerBlock
    train: np.ndarray
    held_out: np.ndarray

    @classmethod
    def of_splits(
        cls, splits: Sequence[tuple[np.ndarray, np.ndarray]], lengths: Sequence[int]
    ) -> Patterns:
        """Describe splits, given as pairs of row indices, of blocks of these lengths."""
        n = int(np.sum(lengths))
        sides = [rows for split in splits for rows in split]
        pattern = np.zeros(n, np.int64)
        for rows in sides:
            counts = np.bincount(rows, minlength=n)
            pattern = _renumbered(pattern * (counts.max() + 1) + counts)
        _, first = np.unique(pattern, return_index=True)
        table = np.array([np.bincount(rows, minlength=n)[first] for rows in sides]).T
        pattern = pattern.astype(np.min_scalar_type(len(first)))
        blocks = np.split(pattern, np.cumsum(lengths)[:-1])
        return cls(OnePerBlock(blocks), table[:, 0::2], table[:, 1::2])


def _renumbered(values: np.ndarray) -> np.ndarray:
    """Replace the values that occur by 0, 1, ..., in order."""
    if values.max() > 4 * len(values):
        return np.unique(values, return_inverse=True)[1]
    present = np.bincount(values) > 0
    return (np.cumsum(present) - 1)[values]


class DaskFoldRows(DaskBlockRows):
    """Rows on Dask workers with weights in each split of a cross-validation.

    Parameters
    ----------
    samples : DaskSamples
        The rows, including those of weight zero.
    labels : ndarray, shape (K,)
        The label of each class in the samples.
    factors : ndarray, shape (K,)
        The factors by which the weights of the classes are multiplied.
    patterns : Patterns

    Attributes
    ----------
    shares : ndarray, shape (F,)
        The total weight of each split, as a share of that of all rows without the factors.
    """

    def __init__(
        self, samples: DaskSamples, labels: np.ndarray, factors: np.ndarray, patterns: Patterns
    ) -> None:
        self.patterns = patterns
        arguments = samples.rows, labels, factors, patterns.of_rows, patterns.train
        self.shares = compute_combined(map_blocks("total", _split_totals, *arguments))
        scale = np.divide(1.0, self.shares, out=np.ones_like(self.shares), where=self.shares > 0)
        parts = map_blocks("part", _split_part, *arguments, scale).persist()
        super().__init__(samples, parts, len(labels))

    def accuracies(self, theta: np.ndarray, intercept: bool, weighted: bool) -> np.ndarray:
        """Return the accuracies on the held-out rows, in one read of X, shape (F, n_models).

        Parameters
        ----------
        theta : ndarray, shape (F, n_models, k, p)
            The models of each split.
        intercept : bool
        weighted : bool
            Whether rows count by their sample weights.

        Notes
        -----
        The accuracy of a split that holds out no row of positive weight is NaN.
        """
        sample_weight = self.samples.rows if weighted else None
        values = self.map(
            _held_out_sums, self.patterns.of_rows, self.patterns.held_out, sample_weight, theta,
            intercept,
        )  # fmt: skip
        sums = compute_combined(values)
        total = sums[:, -1:]
        return np.divide(
            sums[:, :-1], total, out=np.full_like(sums[:, :-1], np.nan), where=total > 0
        )

    def held_out_scores(
        self, split: int, rows: np.ndarray, theta: np.ndarray, intercept: bool
    ) -> np.ndarray:
        """Return the scores of the held-out rows of a split, shape (n_models, k, t).

        Parameters
        ----------
        split : int
        rows : ndarray of int, shape (t,)
            The indices of the rows that the split holds out, in the order that is wanted.
        theta : ndarray, shape (n_models, k, p)
        intercept : bool
        """
        held_out = self.patterns.held_out[:, split]
        values = self.map(_held_out_scores, self.patterns.of_rows, held_out, theta, intercept)
        scores = np.concatenate(values.compute(), axis=2)
        return scores[:, :, np.searchsorted(np.unique(rows), rows)]


# --------------------------------------------------------------------------- work on one block


def _split_weights(
    rows: tuple[np.ndarray, np.ndarray],
    labels: np.ndarray,
    factors: np.ndarray,
    pattern: np.ndarray,
    train: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the classes (t,) and the weights in each split (F, t)."""
    y, weight = rows
    codes = np.searchsorted(labels, y)
    return codes, train.T[:, pattern] * (weight * factors[codes])


def _split_totals(*arguments: Any) -> np.ndarray:
    return _split_weights(*arguments)[1].sum(axis=1)


def _split_part(*arguments: Any) -> Part:
    *arguments_of_weights, scale = arguments
    codes, weights = _split_weights(*arguments_of_weights)
    return make_part(codes, weights * scale[:, None])


def _held_out_sums(
    rows: BlockRows,
    pattern: np.ndarray,
    held_out: np.ndarray,
    labels_and_weights: tuple[np.ndarray, np.ndarray] | None,
    theta: np.ndarray,
    intercept: bool,
) -> np.ndarray:
    """Return the weight of correct predictions of each model and, last, of all held-out rows."""
    F, n_models, k, _ = theta.shape
    sums = np.zeros((F, n_models + 1))
    for f in range(F):
        counts = held_out[pattern, f]
        at = np.flatnonzero(counts)
        if not len(at):
            continue
        scores = rows.scores(theta[f], intercept, at)
        chosen = scores.argmax(axis=1) if k > 1 else scores[:, 0] > 0
        weight = counts[at].astype(float)
        if labels_and_weights is not None:
            weight *= labels_and_weights[1][at]
        sums[f] = [*((chosen == rows.codes[at]) @ weight), weight.sum()]
    return sums


def _held_out_scores(
    rows: BlockRows, pattern: np.ndarray, held_out: np.ndarray, theta: np.ndarray, intercept: bool
) -> np.ndarray:
    return rows.scores(theta, intercept, np.flatnonzero(held_out[pattern]))


def gather_labels(rows: BlockValues) -> tuple[np.ndarray, list[int]]:
    """Bring the labels of all rows to the client; return them and the lengths of the blocks."""
    labels: list[np.ndarray] = map_blocks("label", _labels, rows).compute()
    return np.concatenate(labels), list(map(len, labels))


def _labels(rows: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return rows[0]
