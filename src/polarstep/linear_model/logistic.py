"""`LogisticRegression`: logistic regression of two classes or more, in memory or on Dask."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator

from ..losses import LOSSES
from ..result import Result
from .block.data import BlockData
from .fitting import LARGEST_RIDGE, IterativeClassifier, unchanged_on_error
from .logistic_arguments import (
    check_classes,
    check_multi_class,
    check_penalty,
    check_solver,
    check_strength,
)
from .on_dask.block_rows import DaskBlockRows
from .on_dask.collections import is_dask
from .probabilities import softmax_logarithms, softmax_probabilities
from .reporting import progress_printer
from .softmax import solve_softmax, with_absent, without_absent
from .solver.weighted_rows import WeightedRows
from .training_data import read_training_data

_SOFTPLUS = LOSSES["softplus"]


class LogisticRegression(IterativeClassifier):
    """Logistic regression with an l2 penalty, which needs no feature scaling.

    It has the name, the arguments, the attributes and the optimum of scikit-learn's class, and
    another solver.

    Parameters
    ----------
    penalty : {"l2", None}, default="l2"
        The norm of the penalty. None means no penalty, like ``C=np.inf``.
    C : float, default=1.0
        Inverse strength of the penalty, > 0. Use ``np.inf`` for no penalty.
    alpha : float, default=None
        Strength of the penalty relative to the mean loss, >= 0: alpha = 1/(C sum_i s_i). Unlike
        `C`, it means the same for any number of rows. Set one of the two, not both.
    l1_ratio : float, default=0.0
        The share of the l1 norm in the penalty, which must be 0.
    dual : bool, default=False
        Without effect, because the dual problem has the same optimum.
    tol : float, default=1e-6
        Estimated relative suboptimality (F - F*)/(F + 1e-14 F(0)) at which fit stops; the second
        term matters only where F tends to zero.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    intercept_scaling : float, default=1.0
        Without effect, because the intercept is not penalised.
    class_weight : dict or "balanced", default=None
        Factors by which the weights of each class are multiplied. "balanced" gives all classes the
        same total weight. A class that a dict does not name has the factor 1.
    random_state : int, RandomState instance or None, default=None
        Source of the random subsamples. By default every fit uses the same ones.
    solver : str, default="auto"
        There is one solver. The names of scikit-learn's solvers are accepted without effect,
        because all of them have the same optimum; but "liblinear", which penalises the intercept,
        only with ``fit_intercept=False`` and two classes.
    max_iter : int, default=100
        Maximum number of iterations on all rows.
    multi_class : {"auto", "multinomial", "ovr"}, default="auto"
        The model of more than two classes, which must be "auto" or "multinomial"; for two classes,
        "auto" or "ovr", which then mean the same.
    verbose : int, default=0
        If positive, fit prints one line for each iteration.
    warm_start : bool, default=False
        Whether fit starts from the current coefficients if their number fits the data.
    n_jobs : int, default=None
        Number of threads; -1 means all cores. It does not change the threads of NumPy's BLAS.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The class labels in order.
    coef_ : ndarray or CSR matrix, shape (1, n_features) or (n_classes, n_features)
        The weights w: one row for two classes, otherwise one row for each class. It is sparse
        after `sparsify`.
    intercept_ : ndarray, shape (1,) or (n_classes,)
        The intercepts b; zero if `fit_intercept` is false.
    n_iter_ : ndarray of int, shape (1,)
        The number of iterations on all rows.
    result_ : Result
        How fit ended: the status with advice, the trace, the number of passes over the data and
        ``gap``, the estimate that is compared to `tol`. Its ``fun`` is F/(C sum_i s_i), and its
        ``x`` is (w, b) for features that are centred near their means, with one row for each class
        if there are more than two.
    n_features_in_ : int
        The number of features.
    feature_names_in_ : ndarray, shape (n_features,)
        The names of the features. It exists only if X in fit had names that are all strings.

    See Also
    --------
    HalfspaceClassifier : Other losses; several classes one against the rest.
    sklearn.linear_model.LogisticRegression : The same objective with other solvers.

    Notes
    -----
    For two classes, fit minimises over the weights w and the intercept b

        F(w, b) = C sum_i s_i log(1 + exp(-y_i (x_i^T w + b))) + ||w||_2^2 / 2,

    where y_i is -1 or +1 and s_i is the weight of the sample. For K > 2 classes, it minimises over
    one weight vector and one intercept for each class

        F(W, b) = C sum_i s_i (log sum_k exp(x_i^T w_k + b_k) - (x_i^T w_{y_i} + b_{y_i}))
                  + sum_k ||w_k||_2^2 / 2,

    which is softmax regression, also called multinomial logistic regression. At the optimum the
    sum of the w_k is zero, and the intercepts, of which only the differences matter, are chosen so
    that their sum is zero too.

    The solver works in the metric of the data, so its speed does not depend on the units of the
    features. The minimum does, because of the penalty: scale the features if all of them are to be
    shrunk alike. The estimate that stops fit is designed to overestimate; it is not a guaranteed
    bound.

    fit and all predictions also accept Dask arrays and data frames; install the extra
    ``polarstep[dask]``. Predictions are then Dask arrays.

    Arguments that mean another model in scikit-learn are refused by an error that says what to use
    instead. A value of `tol` means something else there, a norm of the gradient.

    References
    ----------
    .. [1] T. Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd
       edition, Springer 2009, section 4.4.

    Examples
    --------
    The columns of this data set have scales from 1e-3 to 4e3:

    >>> from sklearn.datasets import load_breast_cancer
    >>> from polarstep import LogisticRegression
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = LogisticRegression().fit(X, y)
    >>> round(model.score(X, y), 2), model.result_.status.name
    (0.96, 'converged')
    """

    def __init__(
        self,
        penalty: str | None = "l2",
        *,
        C: float = 1.0,
        alpha: float | None = None,
        l1_ratio: float | None = 0.0,
        dual: bool = False,
        tol: float = 1e-6,
        fit_intercept: bool = True,
        intercept_scaling: float = 1.0,
        class_weight: Any = None,
        random_state: Any = None,
        solver: str = "auto",
        max_iter: int = 100,
        multi_class: str = "auto",
        verbose: int = 0,
        warm_start: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        self.penalty = penalty
        self.C = C
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.dual = dual
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.random_state = random_state
        self.solver = solver
        self.max_iter = max_iter
        self.multi_class = multi_class
        self.verbose = verbose
        self.warm_start = warm_start
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LogisticRegression:
        """Fit the weights and intercepts.

        Parameters
        ----------
        X : array-like, sparse matrix, data frame or Dask collection, shape (n, n_features)
            Finite real numbers. float32 and float64 data are not copied if they are C- or
            F-contiguous, or CSR.
        y : array-like, Dask array or Series, shape (n,)
            The class labels.
        sample_weight : array-like, Dask array or Series, shape (n,), default=None
            Finite weights >= 0 of the samples. A weight of k is equivalent to k copies of the row,
            and a row of weight 0 is left out.

        Returns
        -------
        LogisticRegression
            The fitted estimator.

        Raises
        ------
        TypeError, ValueError
            If a parameter is invalid or means another model in scikit-learn, X is not finite, y
            does not hold two classes of positive weight, or the shapes do not match.
        KeyboardInterrupt
            If fit is interrupted. If there was an iterate by then, the attributes hold the last
            one, from which a fit with ``warm_start=True`` continues. Otherwise they are what they
            were before.

        Warns
        -----
        ConvergenceWarning
            If the iteration ends before it reaches `tol`. The warning says why, what to do about
            it, and how far from the minimum the result is estimated to be.
        UserWarning
            If `C` or `alpha` is given together with ``penalty=None``.
        """
        with unchanged_on_error(self):
            n_threads, rng = self._check_shared_parameters()
            self._check_arguments()
            fit = self._fit_on_dask if is_dask(X, y) else self._fit_in_memory
            result = fit(X, y, sample_weight, n_threads, rng)
        self._report([result])
        return self

    def _fit_on_dask(
        self, X: Any, y: Any, sample_weight: Any, n_threads: int, rng: Generator
    ) -> Result:
        """Fit data in Dask collections; set the attributes and return how the fit ended."""
        samples, total = self._read_on_dask(X, y, sample_weight, _SOFTPLUS, n_threads)
        self._check_classes()
        if len(self.classes_) == 2:
            return self._fit_two_classes(samples, samples.centre, total, rng)
        present = np.arange(len(self.classes_))
        if self.fit_intercept:
            present = samples.census.labels.astype(np.intp)
        rows = DaskBlockRows.of_samples(samples, present)
        return self._fit_softmax(rows, samples.centre, total, rng, present)

    def _fit_in_memory(
        self, X: Any, y: Any, sample_weight: Any, n_threads: int, rng: Generator
    ) -> Result:
        """Fit data in memory; set the attributes and return how the fit ended."""
        data = read_training_data(self, X, y, sample_weight, check_finite=False)
        self.classes_ = data.classes
        self._check_classes()
        intercept = self.fit_intercept
        if len(data.classes) == 2:
            samples, centre = data.samples(_SOFTPLUS, intercept=intercept, n_threads=n_threads)
            return self._fit_two_classes(samples, centre, data.total_weight, rng)
        present, codes = np.arange(len(data.classes)), data.codes
        if intercept:
            present, codes = without_absent(codes, len(data.classes))
        rows, centre = data.block_rows(codes, intercept=intercept, n_threads=n_threads)
        return self._fit_softmax(rows, centre, data.total_weight, rng, present)

    def _fit_two_classes(
        self, samples: WeightedRows[Any], centre: np.ndarray, total: float, rng: Generator
    ) -> Result:
        (result,) = self._solve_margins(samples, centre, total, rng)
        self._keep(result.x[None], result, centre)
        return result

    def _fit_softmax(
        self,
        rows: BlockData,
        centre: np.ndarray,
        total: float,
        rng: Generator,
        present: np.ndarray,
    ) -> Result:
        """Fit the classes that have rows, whose indices are given, by softmax regression."""
        who, n_classes = type(self).__name__, len(self.classes_)
        start = self._start(centre, n_classes)
        result = solve_softmax(
            rows, len(present), self._ridge(total), None if start is None else start[present],
            centre=centre, intercept=self.fit_intercept, tol=self.tol, max_iter=self.max_iter,
            rng=rng, callback=progress_printer(who) if self.verbose else None, who=who,
        )  # fmt: skip
        theta = result.x
        if len(present) < n_classes:
            theta = with_absent(theta, present, n_classes)
        self._keep(theta, result, centre)
        return result

    def _check_arguments(self) -> None:
        """Check the arguments that need no data."""
        who = type(self).__name__
        check_penalty(self.penalty, self.l1_ratio, who)
        check_strength(self.C, self.alpha, self.penalty, who)
        check_solver(self.solver, self.dual, self.intercept_scaling, self.fit_intercept, who)
        check_multi_class(self.multi_class, who)

    def _check_classes(self) -> None:
        """Check that the model of this number of classes is the one of this estimator."""
        n_classes, who = len(self.classes_), type(self).__name__
        check_classes(self.multi_class, self.solver, n_classes, who)

    def _ridge(self, total: float) -> float:
        """Return alpha of the mean loss, which does not depend on the sum of weights if given."""
        if self.penalty is None:
            return 0.0
        return super()._ridge(total) if self.alpha is None else min(self.alpha, LARGEST_RIDGE)

    def predict_proba(self, X: Any) -> Any:
        """Compute the probability of each class.

        Parameters
        ----------
        X : array-like, sparse matrix, data frame or Dask collection, shape (n, n_features)
            The rows.

        Returns
        -------
        ndarray or dask array, shape (n, n_classes)
            P(class | x) in the order of `classes_`: exp(score_k) divided by its sum over classes,
            or 1/(1 + exp(-score)) for the second of two classes. The highest one is always that of
            the class which `predict` chooses.
        """
        return self._map_scores(softmax_probabilities, X)

    def predict_log_proba(self, X: Any) -> Any:
        """Compute the logarithms of `predict_proba`.

        Parameters
        ----------
        X : array-like, sparse matrix, data frame or Dask collection, shape (n, n_features)
            The rows.

        Returns
        -------
        ndarray or dask array, shape (n, n_classes)
            The logarithms, which are accurate for scores of any size.
        """
        return self._map_scores(softmax_logarithms, X)
