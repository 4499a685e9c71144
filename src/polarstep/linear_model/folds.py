"""The data of a cross-validation in memory: rows with weights in each split, and their scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from .block.data import BlockData
from .block.rows import BlockRows
from .grid import GridFit
from .held_out import FittedModels, ScoredRows
from .labels import check_sample_weight
from .logistic_arguments import check_classes
from .metadata import route
from .splits import read_splits, require_every_class, split_weights
from .training_data import read_training_data


class Folds(Protocol):
    """The rows of a cross-validation, wherever they are.

    Attributes
    ----------
    rows : BlockData
        The rows, with one vector of weights for each of F splits.
    totals : ndarray, shape (F,)
        The total weight of each split.
    centre : ndarray, shape (d,)
        What is subtracted from each row; zero without an intercept.
    data : tuple
        X, y and the sample weights, to which a model can be fitted.
    """

    rows: BlockData
    totals: np.ndarray
    centre: np.ndarray
    data: tuple[Any, Any, Any]

    def scores(self, fit: GridFit) -> np.ndarray:
        """Return the score of each model on the rows that its split holds out, shape (F, n_Cs)."""


class FoldsInMemory(Folds):
    """The rows of a cross-validation in memory.

    Parameters
    ----------
    estimator : LogisticRegressionCV
        Its parameters say how rows are split, weighed and scored. The attributes that describe the
        data are set.
    X, y, sample_weight
        The arguments of its fit.
    params : mapping
        Metadata for the splitter and the scorer.
    n_threads : int
    """

    def __init__(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        sample_weight: Any,
        params: Mapping[str, Any],
        n_threads: int,
    ) -> None:
        who, intercept = type(estimator).__name__, estimator.fit_intercept
        data = read_training_data(estimator, X, y, sample_weight, check_finite=True, keep_all=True)
        estimator.classes_, n = data.classes, len(data.codes)
        check_classes("auto", estimator.solver, len(data.classes), who)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, n, who)
        of_splitter, of_scorer = route(estimator, "fit", sample_weight, params)
        y = data.classes[data.codes]
        self.splits = read_splits(estimator.cv, data.X, y, who, of_splitter)
        weight = np.ones(n) if data.weight is None else data.weight
        weights, self.totals = split_weights(self.splits, weight)
        if intercept:
            require_every_class(weights, data.codes, data.classes, who)
        rows, self.centre = data.block_rows(data.codes, intercept=intercept, n_threads=n_threads)
        self.rows = self._rows = BlockRows(rows.matrix, data.codes, weights)
        self.data = data.X, y, sample_weight
        self._scored = ScoredRows(data.X, y, data.codes, data.classes, of_scorer)
        self._intercept, self._scoring, self._who = intercept, estimator.scoring, who

    def scores(self, fit: GridFit) -> np.ndarray:
        scores = np.empty((len(self.splits), len(fit.Cs)))
        for f, (_, at) in enumerate(self.splits):
            margins = self._rows.scores(fit.theta[f], self._intercept, at)
            models = FittedModels(fit.Cs, fit.coefs[f], fit.intercepts[f], margins)
            scores[f] = self._scored.score(at, models, self._scoring, self._who)
        return scores
