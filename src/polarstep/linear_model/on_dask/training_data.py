"""Training data in Dask collections, with the interface of those in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...losses import MarginLoss, margin_loss
from ..labels import solver_labels
from .block_rows import DaskBlockRows
from .reading import read_samples
from .samples import DaskSamples


@dataclass(frozen=True)
class DaskTrainingData:
    """The training data on Dask workers, without the rows of weight zero; see `TrainingData`.

    Attributes
    ----------
    rows : DaskSamples
        The rows, centred at their means.
    classes : ndarray, shape (K,)
        The class labels in order.
    total_weight : float
        The sum of the weights.
    """

    rows: DaskSamples
    classes: np.ndarray
    total_weight: float

    @classmethod
    def read(
        cls, X: Any, y: Any, sample_weight: Any, *, class_weight: Any, n_threads: int, who: str
    ) -> DaskTrainingData:
        """Check the collections; the arguments are those of `read_samples`."""
        classes, rows, total = read_samples(
            X, y, sample_weight,
            loss=margin_loss("softplus"), intercept=True, class_weight=class_weight,
            n_threads=n_threads, who=who,
        )  # fmt: skip
        return cls(rows, classes, total)

    @property
    def n_features(self) -> int:
        """The number of columns of X."""
        return self.rows.d

    def samples(
        self, loss: MarginLoss, *, intercept: bool, n_threads: int
    ) -> tuple[DaskSamples, np.ndarray]:
        """Return the rows for one loss, and their centre, which is zero without an intercept.

        The number of threads is that of `read`.
        """
        rows = self._centred(intercept)
        return rows.with_loss(loss), rows.centre

    def block_rows(self, *, intercept: bool, n_threads: int) -> tuple[DaskBlockRows, np.ndarray]:
        """Return the rows for a block of models, and their centre, as `samples` does."""
        rows, n_classes = self._centred(intercept), len(self.classes)
        labels = solver_labels(np.arange(n_classes), n_classes)
        return DaskBlockRows.of_samples(rows, labels), rows.centre

    def _centred(self, intercept: bool) -> DaskSamples:
        return self.rows if intercept else self.rows.centred_at(np.zeros(self.rows.d))
