"""Column names of Dask data frames, kept and checked as scikit-learn does for other frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...validation import complaint


def remember_names(estimator: Any, X: Any) -> None:
    """Set ``feature_names_in_`` if X has columns, and delete it otherwise."""
    if hasattr(X, "columns"):
        estimator.feature_names_in_ = np.asarray(X.columns, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def check_names(estimator: Any, X: Any) -> None:
    """Raise a ValueError unless X has the columns on which the estimator was fitted."""
    who, expected = type(estimator).__name__, estimator.n_features_in_
    if X.shape[1] != expected:
        must = f"have the {expected} columns that it had in fit"
        raise ValueError(complaint(who, "X", must, X.shape[1]))
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None and hasattr(X, "columns") and list(X.columns) != list(names):
        must = "have the columns that it had in fit, in the same order"
        raise ValueError(complaint(who, "X", must, ", ".join(map(str, X.columns))))
