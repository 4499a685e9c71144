"""The data of a cross-validation on Dask: rows that stay on the workers, and their scores."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from ..losses import margin_loss
from ..validation import complaint
from .folds import Folds
from .grid import GridFit
from .held_out import FittedModels, ScoredRows
from .labels import class_factors, solver_labels
from .logistic_arguments import check_classes
from .metadata import route
from .on_dask.collections import as_column, as_matrix, is_dask, known_lengths
from .on_dask.feature_names import remember_names
from .on_dask.fold_rows import DaskFoldRows, Patterns, gather_labels
from .on_dask.graphs import import_dask
from .on_dask.reading import read_samples
from .on_dask.scoring import accuracy
from .splits import read_splits, require_class_weights


class FoldsOnDask(Folds):
    """The rows of a cross-validation on Dask workers.

    Labels come to the client, where the splitter sees them, and the splits go back: one byte for
    each row if there are up to 255 kinds of rows. Accuracies are computed on the workers. For other
    scores the values of the decision functions on one split's held-out rows come to the client.

    Parameters
    ----------
    estimator : LogisticRegressionCV
        Its parameters say how rows are split, weighed and scored. The attributes that describe the
        data are set.
    X, y, sample_weight
        The arguments of its fit, of which X is a Dask collection.
    params : mapping
        Metadata for the splitter and the scorer.
    n_threads : int
        The number of threads for subsamples that come to the client.
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
        self.data = _persisted(X, y, sample_weight, who)
        classes, samples, total = read_samples(
            *self.data,
            loss=margin_loss("softplus"), intercept=intercept, n_threads=n_threads, keep_all=True,
            who=who,
        )  # fmt: skip
        estimator.classes_, estimator.n_features_in_ = classes, samples.d
        remember_names(estimator, X)
        check_classes("auto", estimator.solver, len(classes), who)
        labels = solver_labels(np.arange(len(classes)), len(classes))
        found, lengths = gather_labels(samples.rows)
        self._codes = np.searchsorted(labels, found)
        y = classes[self._codes]
        given = None
        if isinstance(sample_weight, Real):
            given = np.full(len(y), float(sample_weight))
        elif sample_weight is not None:
            given = np.asarray(_in_memory(sample_weight)).ravel()
        of_splitter, of_scorer = route(
            estimator, "fit", given, {name: _in_memory(value) for name, value in params.items()}
        )
        # Splitters of scikit-learn use the number of rows of X, and nothing else of it.
        nothing = np.broadcast_to(0.0, (len(y), 1))
        self.splits = read_splits(estimator.cv, nothing, y, who, of_splitter)
        weights = np.zeros(len(classes))
        weights[np.searchsorted(labels, samples.census.labels)] = samples.census.weights.sum(axis=0)
        factors = class_factors(estimator.class_weight, classes, weights, who)
        patterns = Patterns.of_splits(self.splits, lengths)
        self.rows = self._rows = DaskFoldRows(samples, labels, factors, patterns)
        self.totals, self.centre = total * self._rows.shares, samples.centre
        if intercept:
            require_class_weights(self._rows.totals, classes, who)
        self._scored = ScoredRows(UnreadRows(len(y), samples.d), y, self._codes, classes, of_scorer)
        self._intercept, self._scoring, self._who = intercept, estimator.scoring, who

    def scores(self, fit: GridFit) -> np.ndarray:
        arguments = self._scored.arguments.keys()
        if self._scoring in (None, "accuracy") and arguments <= {"sample_weight"}:
            weighted = "sample_weight" in arguments
            scores = self._rows.accuracies(fit.theta, self._intercept, weighted)
            if np.isnan(scores).any():
                must = "hold out rows of positive weight in each split"
                raise ValueError(complaint(self._who, "cv", must, "a split that holds out none"))
            return scores
        scores = np.empty((len(self.splits), len(fit.Cs)))
        for f, (_, at) in enumerate(self.splits):
            margins = self._rows.held_out_scores(f, at, fit.theta[f], self._intercept)
            models = FittedModels(fit.Cs, fit.coefs[f], fit.intercepts[f], margins)
            scores[f] = self._scored.score(at, models, self._scoring, self._who)
        return scores


class UnreadRows:
    """Stands for rows on workers where a scorer passes X on to the estimator.

    Parameters
    ----------
    n, d : int
        The numbers of rows and columns.
    """

    def __init__(self, n: int, d: int) -> None:
        self.shape = n, d

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> UnreadRows:
        return UnreadRows(len(rows), self.shape[1])

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        must = "use X on Dask only by passing it to methods of the estimator"
        raise TypeError(complaint("LogisticRegressionCV", "scoring", must, "one that reads X"))


def score_on_dask(
    estimator: Any, X: Any, y: Any, scoring: Any, arguments: Mapping[str, Any]
) -> float:
    """Return the score of a fitted classifier on rows in a Dask collection.

    Parameters
    ----------
    estimator : LogisticRegression
    X : dask array or DataFrame
    y : dask array or Series, or array-like
    scoring : str, callable or None
        The score; None is the accuracy, which is computed on the workers. For others the values of
        the decision function come to the client.
    arguments : mapping
        Further arguments of the scorer.
    """
    who, classes = type(estimator).__name__, estimator.classes_
    if scoring in (None, "accuracy") and arguments.keys() <= {"sample_weight"}:
        return accuracy(estimator.predict(X), y, arguments.get("sample_weight"), who)
    scores = np.asarray(estimator.decision_function(X).compute())
    y = np.asarray(_in_memory(y)).ravel()
    codes = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    if (classes[codes] != y).any():
        unknown = y[classes[codes] != y][0]
        raise ValueError(complaint(who, "y", "hold classes that it had in fit", repr(unknown)))
    rows = ScoredRows(
        UnreadRows(len(y), estimator.n_features_in_), y, codes, classes,
        {name: _in_memory(value) for name, value in arguments.items()},
    )  # fmt: skip
    margins = scores[None] if scores.ndim == 1 else scores.T
    model = FittedModels(
        np.ones(1), estimator.coef_[None], estimator.intercept_[None], margins[None]
    )
    return float(rows.score(np.arange(len(y)), model, scoring, who)[0])


def _persisted(X: Any, y: Any, sample_weight: Any, who: str) -> tuple[Any, Any, Any]:
    """Return X as a Dask array, and y and the weights, all of them persisted.

    A fit to them afterwards then reads them where they lie.
    """
    matrix, _ = as_matrix(X, who)
    lengths, n_blocks = known_lengths(matrix), matrix.numblocks[0]
    columns = [as_column(y, "y", lengths, n_blocks, who)]
    if not (sample_weight is None or isinstance(sample_weight, Real)):
        columns.append(as_column(sample_weight, "sample_weight", lengths, n_blocks, who))
    persist = import_dask().persist
    kept = [persist(collection)[0] for collection in (matrix, *columns)]
    return kept[0], kept[1], kept[2] if len(kept) > 2 else sample_weight


def _in_memory(value: Any) -> Any:
    """Return the value of a Dask collection, and any other value as it is."""
    return value.compute() if is_dask(value) else value
