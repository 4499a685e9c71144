"""Predictions of linear classifiers: scores and classes, in memory and on Dask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted, validate_data

from ..data_matrix import with_native_types
from .on_dask.collections import is_dask
from .on_dask.feature_names import check_names
from .on_dask.predicting import map_rows
from .on_dask.scoring import accuracy
from .probabilities import chosen_codes


class LinearClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Base class of classifiers whose fit sets ``classes_``, ``coef_`` and ``intercept_``."""

    classes_: np.ndarray
    coef_: Any  # an ndarray, or a CSR matrix after `sparsify`
    intercept_: np.ndarray
    n_features_in_: int

    def decision_function(self, X: Any) -> Any:
        """Compute the scores x^T w + b of rows.

        Parameters
        ----------
        X : array-like, sparse matrix, data frame or Dask collection, shape (n, n_features)
            The rows.

        Returns
        -------
        ndarray or dask array, shape (n,) or (n, n_classes)
            The score of the second class if there are two classes; otherwise the score of each
            class.
        """
        check_is_fitted(self)
        if is_dask(X):
            check_names(self, X)
            columns = 1 if len(self.classes_) == 2 else len(self.classes_)
            return map_rows(
                linear_scores, X, self.coef_, self.intercept_,
                columns=columns, who=type(self).__name__,
            )  # fmt: skip
        X = validate_data(self, with_native_types(X), accept_sparse="csr", reset=False)
        return linear_scores(X, self.coef_, self.intercept_)

    def predict(self, X: Any) -> Any:
        """Predict the class of each row.

        Parameters
        ----------
        X : array-like, sparse matrix, data frame or Dask collection, shape (n, n_features)
            The rows.

        Returns
        -------
        ndarray or dask array, shape (n,)
            The class of the highest score. Of two classes, the second one if the score is
            positive, and otherwise the first one.
        """
        scores = self.decision_function(X)
        if is_dask(scores):
            dtype, drop = self.classes_.dtype, [1] if scores.ndim == 2 else None
            return scores.map_blocks(chosen_classes, self.classes_, dtype=dtype, drop_axis=drop)
        return chosen_classes(scores, self.classes_)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy of the predictions: the share of rows whose class is predicted.

        Parameters
        ----------
        X : array-like, sparse matrix, data frame or Dask collection, shape (n, n_features)
            The rows.
        y : array-like, Dask array or Series, shape (n,)
            Their class labels.
        sample_weight : array-like, Dask array or Series, shape (n,), default=None
            The weights of the rows.

        Returns
        -------
        float
            The accuracy. For a Dask collection it is computed block by block on the workers.
        """
        if is_dask(X):
            return accuracy(self.predict(X), y, sample_weight, type(self).__name__)
        return super().score(X, y, sample_weight)

    def sparsify(self) -> Self:
        """Convert ``coef_`` to a sparse matrix, which is smaller if most weights are zero.

        Returns
        -------
        LinearClassifier
            The estimator.
        """
        check_is_fitted(self)
        self.coef_ = sp.csr_matrix(self.coef_)
        return self

    def densify(self) -> Self:
        """Convert ``coef_`` back to an array.

        Returns
        -------
        LinearClassifier
            The estimator.
        """
        check_is_fitted(self)
        self.coef_ = dense(self.coef_)
        return self

    def _map_scores(self, function: Callable[[np.ndarray], np.ndarray], X: Any) -> Any:
        """Apply a function to the scores of each row and return one column for each class."""
        scores = self.decision_function(X)
        if is_dask(scores):
            who = type(self).__name__
            return map_rows(function, scores, columns=len(self.classes_), who=who)
        return function(scores)


def dense(coef: Any) -> np.ndarray:
    """Return coefficients as an array, without a copy if they are one."""
    return coef.toarray() if sp.issparse(coef) else coef


def linear_scores(X: Any, coef: Any, intercept: np.ndarray) -> np.ndarray:
    """Return x^T w + b for each row and class: shape (n, K), or (n,) if `coef` has one row."""
    scores = np.asarray(safe_sparse_dot(X, coef.T, dense_output=True)) + intercept
    return scores if coef.shape[0] > 1 else scores.ravel()


def chosen_classes(scores: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the class of the highest score; of two classes, the second if the score is > 0."""
    return classes[chosen_codes(scores)]
