"""The scores of models on the rows that a split of a cross-validation holds out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp
from sklearn import config_context
from sklearn.metrics import get_scorer, get_scorer_names

from ..validation import complaint, type_of, unknown
from .logistic import LogisticRegression

# Metrics that need to know all classes where the held-out rows lack one.
_NEED_LABELS = ("f1", "precision", "recall", "jaccard", "neg_log_loss", "d2_log_loss", "roc_auc_ov")


def find_scorer(scoring: Any, who: str) -> Callable[..., Any]:
    """Return the scorer that a user chose: a name, a callable, or None for accuracy.

    Raises
    ------
    TypeError, ValueError
        If it is none of these.
    """
    if scoring is None:
        scoring = "accuracy"
    if isinstance(scoring, str):
        if scoring not in get_scorer_names():
            raise ValueError(unknown(scoring, get_scorer_names(), who, "scoring"))
        return get_scorer(scoring)
    if not callable(scoring):
        must = "be the name of a score, a callable or None"
        raise TypeError(complaint(who, "scoring", must, type_of(scoring)))
    return scoring


class KnownScores(LogisticRegression):
    """A fitted classifier that already knows its scores on one matrix of rows.

    Scorers ask a model for its predictions on the held-out rows. These follow from the margins,
    which one product yields for all models of a split.
    """

    def know(self, rows: Any, scores: np.ndarray) -> None:
        """Remember the values of the decision function on a matrix of rows."""
        self._rows, self._scores = rows, scores

    def decision_function(self, X: Any) -> Any:
        return self._scores if X is self._rows else super().decision_function(X)


class FittedModels(NamedTuple):
    """B models of one split, and the values of their decision functions on the held-out rows."""

    Cs: np.ndarray  # shape (B,)
    coefs: np.ndarray  # shape (B, k, d), where k = 1 for two classes
    intercepts: np.ndarray  # shape (B, k)
    margins: np.ndarray  # shape (B, k, t)


@dataclass(frozen=True)
class ScoredRows:
    """Rows on which models are scored.

    Attributes
    ----------
    X : ndarray or CSR matrix, shape (t, d)
    y : ndarray, shape (t,)
        The class labels.
    codes : ndarray of int, shape (t,)
        The index of each row's class.
    classes : ndarray, shape (K,)
        All class labels in order.
    arguments : dict
        Further arguments of the scorer, such as ``sample_weight``. A sequence of t values has one
        value for each row.
    """

    X: Any
    y: np.ndarray
    codes: np.ndarray
    classes: np.ndarray
    arguments: Mapping[str, Any]

    def score(self, rows: np.ndarray, models: FittedModels, scoring: Any, who: str) -> np.ndarray:
        """Return the score of each model on some of the rows, shape (B,).

        Parameters
        ----------
        rows : ndarray of int, shape (t,)
            The indices of the rows.
        models : FittedModels
        scoring : str, callable or None
            The score; None is the accuracy.
        who : str
            The name of the caller, for error messages.
        """
        codes, arguments = self.codes[rows], self._arguments(rows)
        has_name = scoring is None or isinstance(scoring, str)
        if has_name and scoring in _OF_ROWS and arguments.keys() <= {"sample_weight"}:
            of_rows = _OF_ROWS[scoring](models.margins, codes)
            return _means(of_rows, arguments.get("sample_weight"), who)
        X, y, classes, routing = self.X[rows], self.y[rows], self.classes, None
        if isinstance(scoring, str):
            # Scores that have names take 1 for the positive label, and call no class by its name.
            classes, y = np.arange(len(classes)), codes
            if scoring.startswith(_NEED_LABELS) and len(np.unique(codes)) < len(classes):
                # A scorer takes such an argument only if metadata routing is enabled.
                arguments["labels"], routing = classes, True
        scorer, values = find_scorer(scoring, who), []
        with config_context(enable_metadata_routing=routing):
            for C, coef, intercept, margins in zip(*models, strict=True):
                model = KnownScores(C=C)
                model.classes_, model.coef_, model.intercept_ = classes, coef, intercept
                model.n_features_in_ = X.shape[1]
                model.know(X, margins.T if len(margins) > 1 else margins[0])
                values.append(_one_number(scorer(model, X, y, **arguments), who))
        return np.array(values)

    def _arguments(self, rows: np.ndarray) -> dict[str, Any]:
        """Return the arguments of the scorer for some of the rows."""
        chosen, n = {}, len(self.codes)
        for name, value in self.arguments.items():
            of_rows = hasattr(value, "__len__") and not isinstance(value, (str, bytes, dict))
            chosen[name] = np.asarray(value)[rows] if of_rows and len(value) == n else value
        return chosen


def _correct(margins: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return whether each model predicts each row, from its margins (B, k, t)."""
    several = margins.shape[1] > 1
    chosen: np.ndarray = margins.argmax(axis=1) if several else margins[:, 0] > 0
    return chosen == codes


def _log_likelihoods(margins: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the log probability of each row's class, clipped as `sklearn.metrics.log_loss` does.

    The margins have the shape (B, k, t), and the result (B, t).
    """
    if margins.shape[1] > 1:
        own = margins[:, codes, np.arange(len(codes))]
        logs = own - logsumexp(margins, axis=1)
    else:
        logs = -np.logaddexp(0.0, np.where(codes == 1, -1.0, 1.0) * margins[:, 0])
    eps = np.finfo(float).eps
    return np.clip(logs, np.log(eps), np.log1p(-eps))


_OF_ROWS: dict[Any, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    None: _correct,
    "accuracy": _correct,
    "neg_log_loss": _log_likelihoods,
}
"""Scores that are means over rows, which follow from the margins of all models at once."""


def _means(values: np.ndarray, weight: np.ndarray | None, who: str) -> np.ndarray:
    """Return the weighted mean of each model's values (B, t) over the rows."""
    if weight is None:
        return values.mean(axis=1)
    if not weight.any():
        must = "hold out rows of positive weight in each split"
        raise ValueError(complaint(who, "cv", must, "a split that holds out none"))
    means: np.ndarray = values @ (weight / weight.sum())
    return means


def _one_number(value: Any, who: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        must = "return one number"
        raise ValueError(complaint(who, "scoring", must, type_of(value))) from None


# --------------------------------------------------------------------------- the best models


def best_of_all(scores: np.ndarray, who: str) -> int:
    """Return the index of the highest mean score over the splits, and of the first of several.

    A split in which no score is a number, because its held-out rows determine none, does not
    count.

    Parameters
    ----------
    scores : ndarray, shape (F, B)
    who : str
        The name of the caller, for error messages.
    """
    counted = scores[~np.isnan(scores).all(axis=1)]
    if not len(counted):
        got = "NaN for every model and split"
        raise ValueError(complaint(who, "scoring", "return numbers", got))
    return int(
        np.argmax(np.nan_to_num(counted.sum(axis=0), nan=-np.inf, posinf=np.inf, neginf=-np.inf))
    )


def best_of_each(scores: np.ndarray, who: str) -> np.ndarray:
    """Return the index of the highest score of each split, shape (F,), and of the first of several.

    Raises
    ------
    ValueError
        If the scores of a split are all NaN.
    """
    return np.array([best_of_all(row[None], who) for row in scores])
