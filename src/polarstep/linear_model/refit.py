"""The fit to all rows after a cross-validation, with the best C."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..result import Result, Status
from .logistic import LogisticRegression
from .reporting import warn_unless_converged

_WHO = "LogisticRegressionCV"


class Refit(LogisticRegression):
    """A `LogisticRegression` that leaves it to another estimator to report how its fit ended."""

    def _report(self, results: Sequence[Result]) -> None:
        self.results = results


Refit.__name__ = _WHO  # the name that appears in messages


def refit(estimator: Any, X: Any, y: Any, sample_weight: Any, C: float) -> None:
    """Fit an estimator to all rows, and set its fitted attributes.

    The fit does not start from the models of the folds: it is that of `LogisticRegression` with
    this C, to the last digit.

    Parameters
    ----------
    estimator : LogisticRegressionCV
        Its parameters are those of the fit.
    X : ndarray or CSR matrix, shape (n, d)
    y : ndarray, shape (n,)
        The class labels.
    sample_weight : ndarray, shape (n,), or None
    C : float
    """
    shared = LogisticRegression().get_params().keys() & estimator.get_params().keys()
    model = Refit(**{name: getattr(estimator, name) for name in shared})
    model.set_params(C=C)
    model.fit(X, y, sample_weight)
    if model.results[-1].status is Status.interrupted:
        raise KeyboardInterrupt
    names = getattr(estimator, "feature_names_in_", None)
    warn_unless_converged(model.results, model.classes_.tolist(), _WHO, stacklevel=4, names=names)
    others = {"results", *model.get_params()}
    vars(estimator).update({k: v for k, v in vars(model).items() if k not in others})
