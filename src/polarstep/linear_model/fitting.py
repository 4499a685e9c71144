"""What the classifiers share in `fit`: checks of parameters, starts and fitted attributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.random import Generator
from sklearn.utils import check_random_state

from ..losses import MarginLoss
from ..result import Result, Status
from ..validation import complaint, flag, number, whole_number
from .on_dask.feature_names import remember_names
from .on_dask.reading import read_samples
from .on_dask.samples import DaskSamples
from .one_against_rest import ClassRun, join_results, solve_whitened
from .predictions import LinearClassifier, dense
from .reporting import progress_printer, warn_unless_converged
from .solver.weighted_rows import WeightedRows

LARGEST_RIDGE = 1e300  # Weights shrink to about its inverse, and its products do not overflow.


class IterativeClassifier(LinearClassifier):
    """Base class of classifiers whose fit minimises a penalised loss step by step.

    A subclass has the parameters that are declared here and the ones that `fit` needs besides.
    """

    C: float
    fit_intercept: bool
    tol: float
    max_iter: int
    class_weight: Any
    warm_start: bool
    n_jobs: int | None
    verbose: int
    random_state: Any
    n_iter_: np.ndarray

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @property
    def result_(self) -> Result:
        """How fit ended: status and advice, trace, passes over the data, estimated ``gap``."""
        if "_outcome" not in vars(self):
            who = type(self).__name__
            raise AttributeError(f"{who} has no attribute 'result_' before fit has ended.")
        # The outcome is stored without its solution, which coef_ and intercept_ hold already.
        x = dense(self.coef_)
        if self._centred_intercept is not None:
            x = np.column_stack([x, self._centred_intercept])
        return replace(self._outcome, x=x[0] if len(x) == 1 else x)

    # ------------------------------------------------------------------ before the iteration

    def _check_shared_parameters(self) -> tuple[int, Generator]:
        """Check the parameters declared here; return the number of threads and the generator."""
        who = type(self).__name__
        number(self.tol, who, "tol", above=0)
        whole_number(self.max_iter, who, "max_iter", at_least=1)
        flag(self.fit_intercept, who, "fit_intercept")
        if self.n_jobs is not None and not whole_number(self.n_jobs, who, "n_jobs", at_least=-64):
            advice = "Use -1 for all cores, or None for one thread."
            raise ValueError(complaint(who, "n_jobs", "not be zero", 0, advice))
        seed = 0  # by default all fits use the same subsamples
        if self.random_state is not None:
            seed = check_random_state(self.random_state).randint(2**31)
        return effective_n_jobs(self.n_jobs), np.random.default_rng(seed)

    def _ridge(self, total: float) -> float:
        """Return alpha = 1/(C sum_i s_i) of the mean loss, given the sum of the weights."""
        if not np.isfinite(total) and np.isfinite(self.C):
            must = "have a finite sum, because C is multiplied by it"
            advice = "Divide all weights by a number, and multiply C by it."
            raise ValueError(complaint(type(self).__name__, "sample_weight", must, total, advice))
        with np.errstate(over="ignore"):
            return float(min(np.float64(1.0) / self.C / total, LARGEST_RIDGE))

    def _read_on_dask(
        self, X: Any, y: Any, sample_weight: Any, loss: MarginLoss, n_threads: int
    ) -> tuple[DaskSamples, float]:
        """Set the attributes that describe the data; return the rows and the total weight."""
        self.classes_, samples, total = read_samples(
            X, y, sample_weight,
            loss=loss, intercept=self.fit_intercept, class_weight=self.class_weight,
            n_threads=n_threads, who=type(self).__name__,
        )  # fmt: skip
        self.n_features_in_ = samples.d
        remember_names(self, X)
        return samples, total

    def _start(self, centre: np.ndarray, n_rows: int) -> np.ndarray | None:
        """Return the current coefficients for centred features, if warm_start and shape allow.

        The result has shape (n_rows, d), or (n_rows, d + 1) with an intercept.
        """
        if not (self.warm_start and hasattr(self, "coef_")):
            return None
        if self.coef_.shape != (n_rows, len(centre)):
            return None
        coef = np.array(dense(self.coef_), float)
        if not self.fit_intercept:
            return coef
        return np.column_stack([coef, self.intercept_ + coef @ centre])

    # ------------------------------------------------------------------ the iteration

    def _solve_margins(
        self,
        samples: WeightedRows[Any],
        centre: np.ndarray,
        total: float,
        rng: Generator,
        n_restarts: int = 0,
    ) -> list[Result]:
        """Solve the problem of two classes, or one problem for each class against the rest."""
        return solve_whitened(
            samples, self._ridge(total), self._class_runs(centre),
            centre=centre, intercept=self.fit_intercept, tol=self.tol, max_iter=self.max_iter,
            n_restarts=n_restarts, rng=rng, who=type(self).__name__,
        )  # fmt: skip

    def _class_runs(self, centre: np.ndarray) -> list[ClassRun]:
        """Return the start and the callback of each run: one for two classes, or one per class."""
        who, several, runs = type(self).__name__, len(self.classes_) > 2, []
        labels = self.classes_ if several else self.classes_[1:]
        starts = self._start(centre, len(labels))
        for k, label in enumerate(labels):
            printer = progress_printer(f"{who}, class {label}" if several else who)
            start = None if starts is None else starts[k]
            runs.append(ClassRun(start, printer if self.verbose else None))
        return runs

    # ------------------------------------------------------------------ after the iteration

    def _keep_runs(self, results: Sequence[Result], centre: np.ndarray) -> None:
        """Set the fitted attributes from one run for two classes, or from one for each class."""
        if len(results) < (len(self.classes_) if len(self.classes_) > 2 else 1):
            raise KeyboardInterrupt  # before every class had its coefficients
        self._keep(np.array([result.x for result in results]), join_results(results), centre)
        self.n_iter_ = np.array([result.n_iter for result in results])

    def _keep(self, theta: np.ndarray, outcome: Result, centre: np.ndarray) -> None:
        """Set the fitted attributes from (w, b) of centred features, one row for each score."""
        self.coef_ = np.ascontiguousarray(theta[:, : len(centre)])
        self.intercept_ = np.zeros(len(theta))
        self._centred_intercept = None
        if self.fit_intercept:
            self._centred_intercept = theta[:, -1].copy()
            self.intercept_ = self._centred_intercept - self.coef_ @ centre
        self.n_iter_ = np.array([outcome.n_iter])
        self._outcome = replace(outcome, x=np.empty(0))

    def _report(self, results: Sequence[Result]) -> None:
        """Raise an interruption again, or warn about the runs that did not converge."""
        if results[-1].status is Status.interrupted:
            raise KeyboardInterrupt
        names = getattr(self, "feature_names_in_", None)
        warn_unless_converged(
            results, self.classes_.tolist(), type(self).__name__, stacklevel=3, names=names
        )


@contextmanager
def unchanged_on_error(estimator: Any) -> Iterator[None]:
    """Give an estimator its former attributes back if the block raises or is interrupted.

    A fit sets attributes one after another. Without this, a fit that fails halfway would leave the
    classes of the new data beside the coefficients of the old ones.
    """
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
