"""HalfspaceClassifier: linear classification for scikit-learn, on one machine or on Dask."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model._base import LinearClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from ..design import Design, canonical_matrix
from ..losses import MarginLoss, margin_loss
from ..methods.objectives import Halfspace
from ..methods.table import METHODS
from ..minimization import minimize
from ..result import Progress, Result, Status
from ..validation import complaint, flag, look_up, number, plus_minus_one, whole_number
from .centring import approximate_centre, shift_far_columns
from .labels import (
    check_sample_weight,
    class_factors,
    encode_labels,
    require_two_classes,
    solver_labels,
)
from .on_dask.collections import is_dask
from .on_dask.predicting import map_rows
from .on_dask.reading import read_samples
from .solver import whitened
from .solver.problem import NotFinite, Problem
from .solver.samples import Samples

_WHO = "HalfspaceClassifier"


def _gives_probabilities(self: HalfspaceClassifier) -> bool:
    loss = margin_loss(self.loss, "HalfspaceClassifier")
    if loss.name == "softplus":
        return True
    raise AttributeError(
        f"HalfspaceClassifier has no predict_proba with loss={loss.name!r}: only softplus is a "
        "likelihood. Use decision_function, loss='softplus', or wrap it in "
        "sklearn.calibration.CalibratedClassifierCV."
    )


class HalfspaceClassifier(LinearClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A linear classifier that needs no feature scaling.

    Minimises C sum_i s_i phi(-y_i (x_i^T w + b)) + ||w||_2^2 / 2 over w and the intercept b, which
    is not penalised; with loss="softplus" that is scikit-learn's LogisticRegression. Several
    classes are taken one against the rest.

    Parameters
    ----------
    loss : str or MarginLoss
        "softplus" (logistic regression), "smooth_hinge", "squared"; "sigmoid" and "normal_cdf" are
        bounded, so that a wrong label costs no more than an error: robust where the lowest of
        their local minima is found (see n_restarts), for they are not convex.
    C : float
        Inverse strength of the penalty, > 0; infinity for none.
    fit_intercept : bool
    method : str
        "whitened", or one of the paper's: "gdnp", "gd", "agd", "wn", "bn" (see `minimize`).
    tol : float
        The relative suboptimality asked for: fit stops when (F - F*)/F* is estimated to be below.
        With the paper's methods: the norm of the gradient.
    max_iter : int
        Iterations on all rows, at most; each reads the data once, or three times where a step is
        not accepted.
    class_weight : dict or "balanced", optional
    warm_start : bool
        Whether fit starts from the present coef_ and intercept_.
    n_restarts : int
        Further starts for a loss that is not convex; the best end is kept. The first of them is
        the optimum of softplus, the others are random directions.
    n_jobs : int, optional
        Threads; -1 for all cores. (A product of matrices has those of NumPy's BLAS.)
    verbose : int
        1 prints a line an iteration.
    random_state : int or RandomState, optional
        For the subsample. By default the same one in every fit.

    Attributes
    ----------
    classes_ : ndarray
    coef_ : ndarray, shape (1, d) or (n_classes, d)
    intercept_ : ndarray, shape (1,) or (n_classes,)
    n_iter_ : ndarray, shape (1,) or (n_classes,)
    result_ : Result, or a list of one a class
        Status, advice, trace, passes over the data, the estimated suboptimality. Its x is (w, b)
        for features centred near their means.
    n_features_in_, feature_names_in_

    Notes
    -----
    fit also takes Dask arrays and data frames (`pip install 'polarstep[dask]'`).
    The method, and where its speed comes from, stands in `polarstep.linear_model.solver.whitened`.

    Source: Kohler et al., AISTATS 2019 (arXiv 1805.10694); Erdogdu, Bayati and Dicker 2016.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from polarstep import HalfspaceClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)        # columns from 1e-3 to 4e3, as they are
    >>> model = HalfspaceClassifier().fit(X, y)
    >>> round(model.score(X, y), 2), model.result_.status.name
    (0.96, 'converged')
    """

    classes_: np.ndarray
    coef_: np.ndarray
    intercept_: np.ndarray

    def __init__(
        self,
        loss: str | MarginLoss = "softplus",
        *,
        C: float = 1.0,
        fit_intercept: bool = True,
        method: str = "whitened",
        tol: float = 1e-6,
        max_iter: int = 100,
        class_weight: Any = None,
        warm_start: bool = False,
        n_restarts: int = 0,
        n_jobs: int | None = None,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.loss = loss
        self.C = C
        self.fit_intercept = fit_intercept
        self.method = method
        self.tol = tol
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.n_restarts = n_restarts
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # ------------------------------------------------------------------ fit

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> HalfspaceClassifier:
        """Fit to X (n, d), dense or sparse, and the labels y (n,), with weights s (n,) if given.

        An interrupted fit keeps its last iterate, from which warm_start goes on.
        """
        loss = self._check_parameters()
        if is_dask(X, y):
            self._check_method_on_dask()
            self.classes_, rows, total = read_samples(
                X, y, sample_weight,
                loss=loss, intercept=self.fit_intercept, class_weight=self.class_weight,
                n_threads=effective_n_jobs(self.n_jobs),
            )  # fmt: skip
            self.n_features_in_ = rows.d
            _remember_names(self, X)
            return self._fit_samples(rows, rows.centre, total)
        X, codes, weight = self._data(X, y, sample_weight)
        total = float(len(codes) if weight is None else weight.sum())
        if self.method != "whitened":
            return self._fit_by_paper(X, codes, weight, total, loss)
        labels = solver_labels(codes, len(self.classes_))
        share = np.full(len(codes), 1.0 / total) if weight is None else weight / total
        centre = approximate_centre(X) if self.fit_intercept else np.zeros(X.shape[1])
        near, rest = shift_far_columns(X, centre) if self.fit_intercept else (X, centre)
        samples = Samples(near, labels, share, rest, loss, effective_n_jobs(self.n_jobs))
        return self._fit_samples(samples, centre, total)

    def _check_parameters(self) -> MarginLoss:
        number(self.C, _WHO, "C", above=0, finite=False)
        number(self.tol, _WHO, "tol", above=0)
        whole_number(self.max_iter, _WHO, "max_iter", at_least=1)
        whole_number(self.n_restarts, _WHO, "n_restarts")
        flag(self.fit_intercept, _WHO, "fit_intercept")
        if self.n_jobs is not None:
            whole_number(self.n_jobs, _WHO, "n_jobs", at_least=-64)
        look_up(self.method, METHODS, _WHO, "method")
        return margin_loss(self.loss, _WHO)

    def _rng(self) -> np.random.Generator:
        """The same in every fit, unless random_state says otherwise."""
        if self.random_state is None:
            return np.random.default_rng(0)
        return np.random.default_rng(check_random_state(self.random_state).randint(2**31))

    def _data(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, np.ndarray, Any]:
        """X, the index of each label in classes_, and weights, where they are not all 1.

        NaN and infinity in X are left to the first pass. Rows of weight zero are left out.
        """
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=[np.float64, np.float32],
            ensure_all_finite=self.method != "whitened",
        )  # fmt: skip
        X = canonical_matrix(X)
        self.classes_, codes = encode_labels(y)
        weight, present = None, len(self.classes_)
        if sample_weight is not None:
            weight = check_sample_weight(sample_weight, len(codes), _WHO)
        if self.class_weight is not None:
            sums = np.bincount(codes, weight, minlength=len(self.classes_))
            factors = class_factors(self.class_weight, self.classes_, sums, _WHO)[codes]
            weight = factors if weight is None else weight * factors
        if weight is not None:
            if not weight.all():
                kept = np.flatnonzero(weight)
                X, codes, weight = X[kept], codes[kept], weight[kept]
            present = len(np.unique(codes))
        require_two_classes(present, _WHO)
        return X, codes, weight

    def _check_method_on_dask(self) -> None:
        if self.method != "whitened":
            got, advice = repr(self.method), "The others need the data in memory."
            raise ValueError(complaint(_WHO, "method", "be 'whitened' on Dask", got, advice))

    def _fit_samples(self, samples: Any, centre: np.ndarray, total: float) -> HalfspaceClassifier:
        """Run whitened: once for two classes, else once a class, from the same subsamples."""
        penalty = np.full(samples.d, 1.0 / (self.C * total))
        rng = self._rng()
        problem = Problem(samples, penalty, self.fit_intercept, samples.loss.is_convex)
        stages, n_classes = whitened.stages_of(problem, rng), len(self.classes_)
        results: list[Result] = []
        for k in range(1 if n_classes == 2 else n_classes):
            each = stages if n_classes == 2 else [now.one_against_rest(k) for now in stages]
            start = self._warm_start(k, centre)
            callback = _printer(k) if self.verbose else None
            try:
                result = whitened.run(each, start, self.tol, self.max_iter, rng, callback)
                if self.n_restarts and not problem.convex:
                    result = whitened.restart(
                        each, result, self.n_restarts, self.tol, self.max_iter, rng, callback
                    )
            except NotFinite:
                samples.refuse_what_is_not_finite(_WHO)
                raise
            results.append(result)
            if result.status is Status.interrupted:
                break
        return self._take(results, centre)

    def _fit_by_paper(
        self, X: Any, codes: np.ndarray, weight: Any, total: float, loss: MarginLoss
    ) -> HalfspaceClassifier:
        """One of the paper's five methods, on centred data."""
        if not self.fit_intercept:
            advice = "Use method='whitened', or fit the intercept."
            got = f"False with method={self.method!r}, which works on centred data"
            raise ValueError(complaint(_WHO, "fit_intercept", "be True", got, advice))
        results: list[Result] = []
        binary = len(self.classes_) == 2
        alpha = 1.0 / (self.C * total)
        design = Design(X, sample_weight=weight, who=_WHO)
        for k in [1] if binary else range(len(self.classes_)):
            y = plus_minus_one(codes == k)
            objective = Halfspace(
                design, y, loss, l2_penalty=alpha, intercept=True, sample_weight=weight
            )
            callback = _printer(len(results)) if self.verbose else None
            start = self._warm_start(k if len(self.classes_) > 2 else 0, design.mean)
            results.append(
                minimize(
                    objective, self.method, start,
                    max_iter=self.max_iter, tol=self.tol, callback=callback,
                )
            )  # fmt: skip
        self._take(results, design.mean)
        return self

    def _warm_start(self, k: int, centre: np.ndarray) -> np.ndarray | None:
        """The present coefficients of class k as (w, b) for centred features."""
        if not (self.warm_start and hasattr(self, "coef_")):
            return None
        if k >= len(self.coef_) or self.coef_.shape[1] != len(centre):
            return None
        w = np.array(self.coef_[k], float)
        return np.append(w, self.intercept_[k] + centre @ w) if self.fit_intercept else w

    def _take(self, results: list[Result], centre: np.ndarray) -> HalfspaceClassifier:
        """Set the attributes; warn where a run did not converge; pass an interruption on."""
        thetas = np.array([result.x for result in results])
        self.coef_ = thetas[:, : len(centre)]
        self.intercept_ = np.zeros(len(thetas))
        if self.fit_intercept:
            self.intercept_ = thetas[:, -1] - self.coef_ @ centre
        self.n_iter_ = np.array([result.n_iter for result in results])
        self.result_ = results[0] if len(self.classes_) == 2 else results
        if results[-1].status is Status.interrupted:
            raise KeyboardInterrupt
        failed = [k for k, result in enumerate(results) if not result.success]
        if failed:
            which = "" if len(results) == 1 else f" (classes {failed})"
            worst = results[failed[0]]
            left = "" if np.isnan(worst.gap) else f" Relative suboptimality: about {worst.gap:.1e}."
            text = f"{_WHO}{which}: {worst.status.value}{left}"
            warnings.warn(text, ConvergenceWarning, stacklevel=4)
        return self

    # ------------------------------------------------------------------ predict

    def decision_function(self, X: Any) -> Any:
        """x^T w + b, shape (n,) for two classes, else (n, n_classes); a Dask array of Dask data."""
        if not is_dask(X):
            return super().decision_function(X)
        check_is_fitted(self)
        _check_names(self, X)
        columns = 1 if len(self.classes_) == 2 else len(self.classes_)
        return map_rows(_scores, X, self.coef_, self.intercept_, columns=columns)

    def predict(self, X: Any) -> Any:
        """The class of each row, shape (n,); a Dask array of Dask data."""
        if not is_dask(X):
            return super().predict(X)
        scores = self.decision_function(X)
        chosen = scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(int)
        return chosen.map_blocks(self.classes_.__getitem__, dtype=self.classes_.dtype)

    @available_if(_gives_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """P(class | x), shape (n, n_classes): 1/(1 + exp(-(x^T w + b))), summing to 1."""
        scores = self.decision_function(X)
        if is_dask(scores):
            return map_rows(_probabilities, scores, columns=len(self.classes_))
        return _probabilities(scores)

    @available_if(_gives_probabilities)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Any:
        """The logarithm of `predict_proba`."""
        check_is_fitted(self)
        if len(self.classes_) > 2 or is_dask(X):
            return np.log(self.predict_proba(X))
        scores = self.decision_function(X)
        return -np.logaddexp(0.0, np.column_stack([scores, -scores]))


def _scores(X: Any, coef: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    scores = np.asarray(X @ coef.T) + intercept
    return scores if len(coef) > 1 else scores.ravel()


def _probabilities(scores: np.ndarray) -> np.ndarray:
    """Of each class, from the scores of all, or of the second of two."""
    if scores.ndim == 1:
        return np.column_stack([expit(-scores), expit(scores)])
    each = expit(scores)
    sums = each.sum(axis=1, keepdims=True)
    return np.where(sums > 0, each / np.where(sums > 0, sums, 1.0), 1.0 / each.shape[1])


# --------------------------------------------------------------------------- parts of fit


def _remember_names(model: HalfspaceClassifier, X: Any) -> None:
    """The column names of a Dask data frame, as scikit-learn keeps those of others."""
    if hasattr(X, "columns"):
        model.feature_names_in_ = np.asarray(X.columns, dtype=object)
    elif hasattr(model, "feature_names_in_"):
        del model.feature_names_in_


def _check_names(model: HalfspaceClassifier, X: Any) -> None:
    if X.shape[1] != model.n_features_in_:
        must = f"have the {model.n_features_in_} columns that fit saw"
        raise ValueError(complaint(_WHO, "X", must, X.shape[1]))
    names = getattr(model, "feature_names_in_", None)
    if names is not None and hasattr(X, "columns") and list(X.columns) != list(names):
        must = "have the columns that fit saw, in their order"
        raise ValueError(complaint(_WHO, "X", must, ", ".join(map(str, X.columns))))


def _printer(k: int) -> Callable[[Progress], None]:
    def show(row: Progress) -> None:
        print(
            f"[HalfspaceClassifier] class {k}, iteration {row.iteration}: "
            f"f = {row.fun:.12g}, gradient {row.grad_norm:.2e}, passes {row.passes}, "
            f"{row.seconds:.2f} s"
        )

    return show
