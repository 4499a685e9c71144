"""`LogisticRegressionCV`: the choice of C by cross-validation, with all models in one block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils import metadata_routing
from sklearn.utils.metadata_routing import MetadataRouter

from ..losses import margin_loss
from ..validation import flag
from .block.data import BlockData
from .block.families import Family, Margins, Softmax
from .fitting import unchanged_on_error
from .folds import Folds, FoldsInMemory
from .folds_on_dask import FoldsOnDask, score_on_dask
from .grid import GridFit, read_Cs, solve_grid
from .held_out import best_of_all, best_of_each, find_scorer
from .logistic import LogisticRegression
from .logistic_arguments import check_penalty_of_grid, check_solver
from .metadata import make_router, route
from .on_dask.collections import is_dask
from .refit import refit
from .reporting import progress_printer

_WHO = "LogisticRegressionCV"


class LogisticRegressionCV(LogisticRegression):
    """Logistic regression whose penalty is chosen by cross-validation.

    It has the objective, arguments and attributes of scikit-learn's class, and chooses the same C.
    The models of all folds and all values of C are fitted at once, and share every read of X.

    Parameters
    ----------
    Cs : int or array-like, shape (n_Cs,), default=10
        The values of C to choose from, > 0. An int is their number; they then are spread evenly on
        a logarithmic scale from 1e-4 to 1e4.
    l1_ratios : None or (0,), default=None
        The l1 norm is not available. ``(0,)`` gives some attributes an axis of length 1, as in
        scikit-learn.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is never penalised.
    cv : int, cross-validator, iterable or None, default=None
        How rows are split: a number of stratified folds, 5 by default; an object with a method
        ``split``, for instance of `sklearn.model_selection`; or pairs of row indices, of which the
        first trains and the second scores.
    dual : bool, default=False
        Without effect, because the dual problem has the same optimum.
    penalty : {"l2", "deprecated"}, default="l2"
        The norm of the penalty.
    scoring : str, callable or None, default=None
        The score by which C is chosen, higher being better: the name of one of scikit-learn's, a
        callable ``scorer(estimator, X, y)``, or None for the accuracy.
    solver : str, default="auto"
        There is one solver; other names are accepted as in `LogisticRegression`.
    tol : float, default=1e-8
        Estimated relative suboptimality (F - F*)/F* at which a model is finished. At this
        accuracy the predictions on held-out rows, and with them the scores, are those of the
        optimum apart from rows that lie on the boundary.
    max_iter : int, default=100
        Maximum number of iterations on all rows.
    class_weight : dict or "balanced", default=None
        Factors by which the weights of each class are multiplied. "balanced" gives all classes the
        same total weight in the whole data, as in scikit-learn. They do not weigh the score.
    n_jobs : int, default=None
        Number of threads; -1 means all cores. It does not change the threads of NumPy's BLAS.
    verbose : int, default=0
        If positive, fit prints one line for each iteration of the block.
    refit : bool, default=True
        Whether to fit a `LogisticRegression` to all rows with the C of the highest mean score.
        Otherwise coefficients and C are means over the folds, each of which has its own best C.
    intercept_scaling : float, default=1
        Without effect, because the intercept is not penalised.
    random_state : int, RandomState instance or None, default=None
        Source of the random subsamples. By default every fit uses the same ones. It does not
        change the folds.
    use_legacy_attributes : bool, default=True
        Whether some attributes have the form that they have in scikit-learn before version 1.10.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The class labels in order.
    coef_ : ndarray, shape (1, n_features) or (n_classes, n_features)
        The weights: one row for two classes, otherwise one row for each class.
    intercept_ : ndarray, shape (1,) or (n_classes,)
        The intercepts; zero if `fit_intercept` is false.
    Cs_ : ndarray, shape (n_Cs,)
        The values of C that were compared.
    C_ : ndarray, shape (1,) or (n_classes,), or float
        The best C, repeated for each class of several; a float without the legacy attributes.
    scores_ : dict or ndarray
        The scores of the held-out rows: a dict with the same array of shape (n_folds, n_Cs) for
        each class, of two classes for the second one only; or an array (n_folds, 1, n_Cs).
    coefs_paths_ : dict or ndarray
        The coefficients of all models and, last, their intercepts, if there are any: a dict with an
        array of shape (n_folds, n_Cs, n_features + 1) for each class, of two classes for the second
        one only; or an array (n_folds, 1, n_Cs, n_classes or 1, n_features + 1).
    n_iter_ : ndarray of int, shape (1, n_folds, n_Cs) or (n_folds, 1, n_Cs)
        The number of iterations of each model on all rows, with and without legacy attributes.
    l1_ratio_ : ndarray of zeros, shape (1,) or (n_classes,), or float
        Zero, for compatibility.
    l1_ratios_ : ndarray
        The argument `l1_ratios`.
    n_features_in_ : int
        The number of features.
    feature_names_in_ : ndarray, shape (n_features,)
        The names of the features. It exists only if X in fit had names that are all strings.

    See Also
    --------
    LogisticRegression : The same model with a given C.
    HalfspaceClassifier.path : The models of several C, without folds.

    Notes
    -----
    Each model minimises the objective of `LogisticRegression` over the training rows of one fold,
    with one value of C. A pass multiplies X by the coefficients of all of them at once.

    Besides X, fit takes 8 n_folds n bytes for the weights of the rows in each fold, a few vectors
    of n numbers, the last steps (at most 160 MB, or 10 times ``coefs_paths_``) and metrics (at most
    1 GB). It never copies all of X; if `scoring` is not the accuracy, it copies the held-out rows
    of one fold at a time.

    X may be a Dask collection; install the extra ``polarstep[dask]``. Its rows then stay on the
    workers, and the splitter sees the labels but not X.

    With metadata routing, ``fit(X, y, groups=groups)`` passes the groups on to a splitter such as
    GroupKFold, and sample weights reach only the scorers that ask for them; see scikit-learn's
    ``set_config(enable_metadata_routing=True)``. Without it, the weights also weigh the scores.

    References
    ----------
    .. [1] M. Stone, "Cross-validatory choice and assessment of statistical predictions", Journal of
       the Royal Statistical Society B 36, 1974.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from polarstep import LogisticRegressionCV
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegressionCV(Cs=5, cv=5).fit(X, y)
    >>> model.scores_[0].shape, model.coef_.shape
    ((5, 5), (3, 4))
    >>> round(model.score(X, y), 2)
    0.98
    """

    C_: Any
    l1_ratio_: Any
    scores_: Any
    coefs_paths_: Any

    # The score is computed by the scorer, to which the router below passes its weights on.
    __metadata_request__score = {"sample_weight": metadata_routing.UNUSED}  # noqa: RUF012

    def __init__(
        self,
        *,
        Cs: Any = 10,
        l1_ratios: Any = None,
        fit_intercept: bool = True,
        cv: Any = None,
        dual: bool = False,
        penalty: str = "l2",
        scoring: Any = None,
        solver: str = "auto",
        tol: float = 1e-8,
        max_iter: int = 100,
        class_weight: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        refit: bool = True,
        intercept_scaling: float = 1.0,
        random_state: Any = None,
        use_legacy_attributes: bool = True,
    ) -> None:
        self.Cs = Cs
        self.l1_ratios = l1_ratios
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.dual = dual
        self.penalty = penalty
        self.scoring = scoring
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.refit = refit
        self.intercept_scaling = intercept_scaling
        self.random_state = random_state
        self.use_legacy_attributes = use_legacy_attributes

    # ------------------------------------------------------------------ fit

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> LogisticRegressionCV:
        """Choose C by cross-validation and fit the coefficients.

        Parameters
        ----------
        X : array-like, sparse matrix, data frame or Dask collection, shape (n, n_features)
            Finite real numbers. float32 and float64 data are not copied if they are C- or
            F-contiguous, or CSR.
        y : array-like, Dask array or Series, shape (n,)
            The class labels.
        sample_weight : array-like, Dask array or Series, shape (n,), default=None
            Finite weights >= 0 of the samples.
        **params : dict
            Metadata for the splitter and the scorer, such as ``groups``. They need scikit-learn's
            metadata routing.

        Returns
        -------
        LogisticRegressionCV
            The fitted estimator.

        Raises
        ------
        TypeError, ValueError
            If a parameter is invalid, X is not finite, the shapes do not match, or a split has no
            training row of positive weight of some class.
        KeyboardInterrupt
            If fit is interrupted. The estimator is then not fitted.

        Warns
        -----
        ConvergenceWarning
            If a model ends before it reaches `tol`. The warning says which one, why, and what to do
            about it.
        """
        with unchanged_on_error(self):
            self._fit(X, y, sample_weight, params)
        return self

    def _fit(self, X: Any, y: Any, sample_weight: Any, params: Mapping[str, Any]) -> None:
        n_threads, rng = self._check_shared_parameters()
        self.Cs_ = self._check_arguments_of_grid()
        read = FoldsOnDask if is_dask(X, y) else FoldsInMemory
        folds: Folds = read(self, X, y, sample_weight, params, n_threads)
        fit = self._solve(folds.rows, self.Cs_, folds.totals, folds.centre, rng=rng)
        scores = folds.scores(fit)
        if self.refit:
            best = np.array([best_of_all(scores, _WHO)])
            refit(self, *folds.data, float(self.Cs_[best[0]]))
        else:
            best = best_of_each(scores, _WHO)
            chosen = np.arange(len(best)), best
            self.coef_ = fit.coefs[chosen].mean(axis=0)
            self.intercept_ = fit.intercepts[chosen].mean(axis=0)
        self._keep_paths(fit, scores, float(self.Cs_[best].mean()))

    def _check_arguments_of_grid(self) -> np.ndarray:
        """Check the arguments that are not those of all classifiers; return the values of C."""
        check_penalty_of_grid(self.penalty, self.l1_ratios, _WHO)
        check_solver(self.solver, self.dual, self.intercept_scaling, self.fit_intercept, _WHO)
        flag(self.refit, _WHO, "refit")
        flag(self.use_legacy_attributes, _WHO, "use_legacy_attributes")
        find_scorer(self.scoring, _WHO)
        return read_Cs(self.Cs, _WHO)

    def _solve(self, rows: BlockData, *grid: np.ndarray, **options: Any) -> GridFit:
        """Fit the models of a grid, and warn about those that did not converge."""
        family: Family = Softmax(len(self.classes_))
        if len(self.classes_) == 2:
            family = Margins(margin_loss("softplus"))
        fit = solve_grid(
            rows, family, *grid, intercept=self.fit_intercept, tol=self.tol, max_iter=self.max_iter,
            callback=progress_printer(_WHO) if self.verbose else None, who=_WHO, **options,
        )  # fmt: skip
        fit.warn_unless_converged(_WHO, stacklevel=4)
        return fit

    def _keep_paths(self, fit: GridFit, scores: np.ndarray, C: float) -> None:
        """Set the attributes that describe all models, in the form that was asked for."""
        paths = fit.coefs
        if self.fit_intercept:
            paths = np.concatenate([paths, fit.intercepts[..., None]], axis=-1)
        self.l1_ratios_ = np.array([None] if self.l1_ratios is None else [0.0])
        if not self.use_legacy_attributes:
            self.C_, self.l1_ratio_ = C, 0.0
            self.scores_, self.n_iter_ = scores[:, None], fit.n_iter[:, None]
            self.coefs_paths_ = paths[:, None]
            return
        labels = self.classes_ if len(self.classes_) > 2 else self.classes_[1:]
        self.C_, self.l1_ratio_ = np.full(len(labels), C), np.zeros(len(labels))
        if self.l1_ratios is not None:
            paths, scores = paths[:, :, :, None], scores[..., None]
        self.scores_ = {label: scores.copy() for label in labels}
        self.coefs_paths_ = {label: paths[:, :, k] for k, label in enumerate(labels)}
        self.n_iter_ = fit.n_iter[None] if self.l1_ratios is None else fit.n_iter[None, ..., None]

    # ------------------------------------------------------------------ scores and metadata

    def score(self, X: Any, y: Any, sample_weight: Any = None, **score_params: Any) -> float:
        """Score the predictions for rows by `scoring`.

        Parameters
        ----------
        X : array-like, sparse matrix, data frame or Dask collection, shape (n, n_features)
            The rows.
        y : array-like, Dask array or Series, shape (n,)
            The class labels.
        sample_weight : array-like, Dask array or Series, shape (n,), default=None
            The weights of the rows.
        **score_params : dict
            Metadata for the scorer, which need scikit-learn's metadata routing.

        Returns
        -------
        float
            The accuracy, or the score that `scoring` names.
        """
        _, of_scorer = route(self, "score", sample_weight, score_params)
        if is_dask(X):
            return score_on_dask(self, X, y, self.scoring, of_scorer)
        return find_scorer(self.scoring, _WHO)(self, X, y, **of_scorer)

    def get_metadata_routing(self) -> MetadataRouter:
        """Tell scikit-learn which metadata fit and score pass on to the splitter and the scorer.

        Returns
        -------
        MetadataRouter
            The routes.
        """
        return make_router(self, self.cv, find_scorer(self.scoring, _WHO))
