"""Sweeps over learning rates: the score of each rate, the best rate and the good rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class RateSweep:
    """The scores of one kind of network over a range of learning rates.

    Attributes
    ----------
    rates : tuple of float
        The learning rates in ascending order.
    scores : ndarray of shape (n_rates,)
        The mean loss at the end of the training, infinite where a run diverged. Lower is better.
    start : float
        The loss before the training.
    tolerance : float
        A rate is good if its score exceeds the best score by at most this much.
    per_decade : int
        The number of rates per decade of the grid.
    """

    rates: tuple[float, ...]
    scores: np.ndarray
    start: float
    tolerance: float
    per_decade: int

    @property
    def best(self) -> float:
        """The rate with the lowest score; the smaller rate wins a tie."""
        return min(zip(self.scores, self.rates, strict=True))[1]

    @property
    def limit(self) -> float:
        """The highest score of a good rate; minus infinity if every rate diverged."""
        lowest = float(self.scores.min())
        return lowest + self.tolerance if np.isfinite(lowest) else -np.inf

    @property
    def good(self) -> list[float]:
        """The rates whose score is at most `limit`."""
        pairs = zip(self.rates, self.scores, strict=True)
        return [rate for rate, score in pairs if score <= self.limit]

    @property
    def decades(self) -> float:
        """The number of decades that the good rates cover."""
        return len(self.good) / self.per_decade

    def table_row(self) -> dict[str, Any]:
        """Return the entries that the tables of learning rates of all experiments share."""
        good = self.good
        return {
            "best": self.best,
            "score": self.scores.min(),
            "good": f"{min(good):g} to {max(good):g}" if good else "none",
            "diverged": int(np.isinf(self.scores).sum()),
            "scores": [
                f"{rate:g}: {score:.4g}"
                for rate, score in zip(self.rates, self.scores, strict=True)
            ],
        }


def loss_at_end(losses: Sequence[float], share: float) -> float:
    """Return the mean loss over the last share of the steps; infinite unless all are finite."""
    tail = np.array(losses[-max(1, round(share * len(losses))) :], float)
    return float(tail.mean()) if np.isfinite(tail).all() else np.inf
