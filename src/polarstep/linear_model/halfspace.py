"""`HalfspaceClassifier`: linear classification for scikit-learn, in memory or on Dask."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from sklearn.utils.metaestimators import available_if

from ..design import Design
from ..losses import MarginLoss, margin_loss
from ..methods.table import METHODS
from ..result import Result
from ..validation import complaint, look_up, number, whole_number
from .fitting import IterativeClassifier, unchanged_on_error
from .on_dask.collections import is_dask
from .one_against_rest import solve_by_method
from .probabilities import normalised_logarithms, normalised_probabilities
from .regularization_path import PathMixin
from .training_data import read_training_data

_WHO = "HalfspaceClassifier"


def _has_probabilities(self: HalfspaceClassifier) -> bool:
    loss = margin_loss(self.loss, _WHO)
    if loss.name == "softplus":
        return True
    raise AttributeError(
        f"{_WHO} has no predict_proba with loss={loss.name!r}, because only softplus defines "
        "probabilities. Use decision_function or loss='softplus', or wrap the classifier in "
        "sklearn.calibration.CalibratedClassifierCV."
    )


class HalfspaceClassifier(PathMixin, IterativeClassifier):
    """Linear classifier with a smooth margin loss that needs no feature scaling.

    With the default loss it is scikit-learn's LogisticRegression for two classes: the objective,
    the names and the attributes are the same. Several classes are fitted one against the rest.

    Parameters
    ----------
    loss : str or MarginLoss, default="softplus"
        The margin loss phi: "softplus" (logistic regression), "smooth_hinge", "squared", "sigmoid",
        "normal_cdf", or your own. "sigmoid" and "normal_cdf" are bounded, so that a wrong label far
        from the boundary costs no more than any other error. They are not convex: fit finds a local
        minimum, and `n_restarts` raises the chance that it is the lowest one.
    C : float, default=1.0
        Inverse strength of the penalty, > 0. Use ``np.inf`` for no penalty.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    method : str, default="whitened"
        "whitened" is the method for practical use. "gdnp", "gd", "agd", "wn" and "bn" are those of
        the paper, for study; they need an intercept and data in memory.
    tol : float, default=1e-6
        Estimated relative suboptimality (F - F*)/(F + 1e-14 F(0)) at which fit stops; the second
        term matters only where F tends to zero. With the paper's methods `tol` bounds the norm of
        the gradient instead.
    max_iter : int, default=100
        Maximum number of iterations on all rows. An iteration reads the data once, or up to three
        times if a step is rejected.
    class_weight : dict or "balanced", default=None
        Factors by which the weights of each class are multiplied. "balanced" gives all classes the
        same total weight. A class that a dict does not name has the factor 1.
    warm_start : bool, default=False
        Whether fit starts from the current coefficients if their number fits the data.
    n_restarts : int, default=0
        Number of further runs for a loss that is not convex; the lowest minimum is kept. The first
        one starts at the optimum of softplus, the others in random directions.
    n_jobs : int, default=None
        Number of threads; -1 means all cores. It does not change the threads of NumPy's BLAS.
    verbose : int, default=0
        If positive, fit prints one line for each iteration.
    random_state : int, RandomState instance or None, default=None
        Source of the random subsamples and starts. By default every fit uses the same ones.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The class labels in order.
    coef_ : ndarray, shape (1, n_features) or (n_classes, n_features)
        The weights w: one row for two classes, otherwise one row for each class.
    intercept_ : ndarray, shape (1,) or (n_classes,)
        The intercepts b; zero if `fit_intercept` is false.
    n_iter_ : ndarray of int, shape (1,) or (n_classes,)
        The number of iterations on all rows.
    result_ : Result
        How fit ended: the status with advice, the trace, the number of passes over the data and
        ``gap``, the estimate that is compared to `tol`. Its ``fun`` is F/(C sum_i s_i), and its
        ``x`` is (w, b) for features that are centred near their means. For several classes, ``x``
        has one row for each of them, ``fun`` is the mean, ``gap``, ``grad_norm`` and ``n_iter`` are
        the largest values, ``n_passes`` is the sum, and ``status`` is that of the class that ended
        worst.
    n_features_in_ : int
        The number of features.
    feature_names_in_ : ndarray, shape (n_features,)
        The names of the features. It exists only if X in fit had names that are all strings.

    See Also
    --------
    polarstep.minimize : The same problem without scikit-learn's interface.
    polarstep.MarginLoss : A loss of your own.
    sklearn.linear_model.LogisticRegression : The same objective with other solvers.

    Notes
    -----
    fit minimises over the weights w and the intercept b

        F(w, b) = C sum_i s_i phi(-y_i (x_i^T w + b)) + ||w||_2^2 / 2,

    where y_i is -1 or +1 and s_i is the weight of the sample. C thus weighs the loss against the
    penalty: the smaller C is, the smaller the weights are. For several classes there is one such
    problem for each class, in which the samples of this class have y_i = +1.

    The solver works in the metric of the data, so its speed does not depend on the units of the
    features. The minimum does, because of the penalty: scale the features if all of them are to be
    shrunk alike. The estimate that stops fit is designed to overestimate; it is not a guaranteed
    bound.

    fit and all predictions also accept Dask arrays and data frames; install the extra
    ``polarstep[dask]``. Predictions are then Dask arrays.

    References
    ----------
    .. [1] J. Kohler, H. Daneshmand, A. Lucchi, M. Zhou, K. Neymeyr, T. Hofmann, "Exponential
       convergence rates for Batch Normalization: The power of length-direction decoupling in
       non-convex optimization", AISTATS 2019, arXiv:1805.10694.
    .. [2] M. A. Erdogdu, M. Bayati, L. H. Dicker, "Scaled least squares estimator for GLMs in
       large-scale problems", NeurIPS 2016.

    Examples
    --------
    The columns of this data set have scales from 1e-3 to 4e3:

    >>> from sklearn.datasets import load_breast_cancer
    >>> from polarstep import HalfspaceClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = HalfspaceClassifier().fit(X, y)
    >>> round(model.score(X, y), 2), model.result_.status.name
    (0.96, 'converged')
    """

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

    # ------------------------------------------------------------------ fit

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> HalfspaceClassifier:
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
        HalfspaceClassifier
            The fitted estimator.

        Raises
        ------
        TypeError, ValueError
            If a parameter is invalid, X is not finite, y does not hold two classes of positive
            weight, or the shapes do not match.
        KeyboardInterrupt
            If fit is interrupted. If every class had an iterate by then, the attributes hold the
            last ones, from which a fit with ``warm_start=True`` continues. Otherwise they are what
            they were before.

        Warns
        -----
        ConvergenceWarning
            If a run ends before it reaches `tol`. The warning says why, what to do about it, and
            how far from the minimum the result is estimated to be.
        """
        with unchanged_on_error(self):
            loss, n_threads, rng = self._check_parameters()
            if is_dask(X, y):
                results, centre = self._fit_on_dask(X, y, sample_weight, loss, n_threads, rng)
            else:
                results, centre = self._fit_in_memory(X, y, sample_weight, loss, n_threads, rng)
            self._keep_runs(results, centre)
        self._report(results)
        return self

    def _check_parameters(self) -> tuple[MarginLoss, int, Generator]:
        """Check all parameters; return the loss, the number of threads and the generator."""
        n_threads, rng = self._check_shared_parameters()
        number(self.C, _WHO, "C", above=0, finite=False)
        whole_number(self.n_restarts, _WHO, "n_restarts")
        look_up(self.method, METHODS, _WHO, "method")
        if self.method != "whitened" and not self.fit_intercept:
            got = f"False with method={self.method!r}, which works on centred data"
            advice = "Use method='whitened', or fit the intercept."
            raise ValueError(complaint(_WHO, "fit_intercept", "be True", got, advice))
        return margin_loss(self.loss, _WHO), n_threads, rng

    def _fit_on_dask(
        self, X: Any, y: Any, sample_weight: Any, loss: MarginLoss, n_threads: int, rng: Generator
    ) -> tuple[list[Result], np.ndarray]:
        """Return the result of each run and the centre of the columns."""
        if self.method != "whitened":
            got, advice = repr(self.method), "The other methods need the data in memory."
            raise ValueError(complaint(_WHO, "method", "be 'whitened' on Dask", got, advice))
        samples, total = self._read_on_dask(X, y, sample_weight, loss, n_threads)
        centre = samples.centre
        return self._solve_margins(samples, centre, total, rng, self.n_restarts), centre

    def _fit_in_memory(
        self, X: Any, y: Any, sample_weight: Any, loss: MarginLoss, n_threads: int, rng: Generator
    ) -> tuple[list[Result], np.ndarray]:
        """Return the result of each run and the centre of the columns."""
        whitened = self.method == "whitened"
        data = read_training_data(self, X, y, sample_weight, check_finite=not whitened)
        self.classes_, total = data.classes, data.total_weight
        if whitened:
            samples, centre = data.samples(loss, intercept=self.fit_intercept, n_threads=n_threads)
            return self._solve_margins(samples, centre, total, rng, self.n_restarts), centre
        design = Design(data.X, sample_weight=data.weight, intercept=True, who=_WHO)
        results = solve_by_method(
            design, data.codes, loss, self._ridge(total), self._class_runs(design.mean),
            method=self.method, tol=self.tol, max_iter=self.max_iter,
        )  # fmt: skip
        return results, design.mean

    # ------------------------------------------------------------------ probabilities

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """Compute the probability of each class; available with the loss softplus.

        Parameters
        ----------
        X : array-like, sparse matrix, data frame or Dask collection, shape (n, n_features)
            The rows.

        Returns
        -------
        ndarray or dask array, shape (n, n_classes)
            P(class | x) in the order of `classes_`. For the second of two classes it is
            1/(1 + exp(-score)). With more classes, the probabilities of each class against the
            rest are divided by their sum. The highest one is always that of the class which
            `predict` chooses.
        """
        return self._map_scores(normalised_probabilities, X)

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Any:
        """Compute the logarithms of `predict_proba`; available with the loss softplus.

        Parameters
        ----------
        X : array-like, sparse matrix, data frame or Dask collection, shape (n, n_features)
            The rows.

        Returns
        -------
        ndarray or dask array, shape (n, n_classes)
            The logarithms, which are accurate for scores of any size.
        """
        return self._map_scores(normalised_logarithms, X)
