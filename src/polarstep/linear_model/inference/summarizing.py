"""`summary`: the coefficients of a fitted logistic regression with errors, tests and intervals."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from scipy.special import gammaincc, ndtr, xlogy
from sklearn.utils import check_random_state

from ...validation import complaint, flag, look_up, whole_number
from .bootstrap import bootstrap_coefficients
from .covariance import KINDS, covariance_root, n_groups
from .fitted_model import FittedModel, read_model, term_names
from .identification import determined
from .notes import listed, write_notes
from .optimum import find_optimum, refuse_separation, steadiest_base
from .results import Summary, coverage, intervals
from .rows import FittedRows, RowsInMemory, read_rows

_WHO = "summary"
_MOST = 20_000  # coefficients; their covariance matrix takes 3.2 GB


def summary(
    model: Any,
    X: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    covariance: str = "model",
    groups: Any = None,
    correction: bool = True,
    frequency_weights: bool = False,
    level: float = 0.95,
    base: Any = None,
    feature_names: Any = None,
    bootstrap: int | None = None,
    interval: str = "percentile",
    random_state: Any = None,
    verbose: int = 0,
) -> Summary:
    """Say how sure the coefficients of a fitted logistic regression are.

    Parameters
    ----------
    model : estimator
        A fitted classifier: a polarstep.LogisticRegression; a HalfspaceClassifier with
        loss="softplus" for two classes; or another estimator with the attributes of scikit-learn's
        LogisticRegression and an L2 penalty or none.
    X : array-like, sparse matrix, data frame or Dask collection, shape (n, n_features)
        The rows that the model was fitted to.
    y : array-like, Dask array or Series, shape (n,)
        Their class labels.
    sample_weight : array-like, Dask array or Series, shape (n,), default=None
        The weights of the fit. Rows of weight 0 are left out. The model's ``class_weight``
        multiplies them, as it does in the fit.
    covariance : {"model", "HC0", "HC1", "HC2", "HC3", "cluster"}, default="model"
        How the covariance matrix is estimated. "model" is right if the model is. The other ones are
        robust: they hold for the coefficients that fit best even if the model is wrong. "HC0" to
        "HC3" need independent rows, "cluster" independent groups of rows.
    groups : array-like, shape (n,), default=None
        The group of each row, for covariance="cluster".
    correction : bool, default=True
        Whether a clustered covariance matrix is multiplied by G/(G - 1) (n - 1)/(n - k) for G
        groups and k coefficients.
    frequency_weights : bool, default=False
        What the weights mean for robust errors: if true, a weight of k stands for k independent
        rows; if false, for one row whose score is multiplied by k.
    level : float, default=0.95
        The nominal coverage of the intervals.
    base : object, default=None
        The class to which the others are compared; by default the first one.
    feature_names : sequence of str, default=None
        The names of the features; by default those that the model or a data frame has, or x0, x1
        and so on.
    bootstrap : int, default=None
        The number of bootstrap samples, 1,000 or more for intervals of 95%. The model is refitted
        to each of them, and the intervals are quantiles of these fits. Samples consist of rows
        drawn with replacement, or of groups with covariance="cluster". X must be in memory.
    interval : {"percentile", "basic"}, default="percentile"
        Which bootstrap intervals: the quantiles, or the quantiles reflected at the coefficient.
    random_state : int, RandomState instance or None, default=None
        Source of the bootstrap samples. By default every call draws the same ones.
    verbose : int, default=0
        If positive, a line is printed after each batch of bootstrap samples.

    Returns
    -------
    Summary
        Coefficients, errors, tests and intervals. It prints as a table.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid; if the model is not a logistic model; if its coefficients are
        more than one standard error from the optimum of these data, and more than the accuracy of
        the fit lets expect, as they are if other data were passed or the fit has not converged; or
        if a hyperplane separates the classes and there is no penalty, so that no optimum exists.

    Warns
    -----
    UserWarning
        If the data do not determine some of the coefficients, whose errors are then NaN.

    See Also
    --------
    Summary : The result.
    polarstep.LogisticRegression : The model.

    Notes
    -----
    For two classes the model is log(P(class)/P(base)) = x^T w + b. For K classes there are K - 1
    such equations, one for each class other than the base. If the model was fitted without a
    penalty, these are the coefficients of a multinomial logit model; a softmax model's own
    coefficients sum to zero over the classes, and those of the equations are their differences.

    Let H = sum_i s_i (diag(p_i) - p_i p_i^T) (x) z_i z_i^T be the information, with z = (x, 1), the
    probabilities p_i of the classes but the base, and the weights s_i, plus the Hessian of the
    penalty. Let J be the information without it, and r_i = 1[y_i = class] - p_i the residuals. The
    covariance matrices are

    - "model": H^-1 J H^-1, which without a penalty is H^-1 [1]_;
    - "HC0": H^-1 (sum_i u_i u_i^T) H^-1 with the scores u_i = s_i r_i (x) z_i [2]_, [3]_;
    - "HC1": HC0 times n/(n - k) for n rows and k coefficients;
    - "HC2", "HC3": HC0 with r_i divided by (1 - h_i)^(1/2) or by 1 - h_i, where the leverage
      h_i = s_i p_i (1 - p_i) z_i^T H^-1 z_i is a matrix if there are several equations [4]_;
    - "cluster": H^-1 (sum_g u_g u_g^T) H^-1 with u_g the sum of the scores of a group, times the
      correction.

    With ``frequency_weights`` the scores have s_i^(1/2) in place of s_i, except in clusters, and
    n is the sum of the weights. The sums are computed in units of the columns, so that columns may
    have any size.

    With a penalty the matrices describe the spread of the penalised estimate. They do not include
    its bias, so that the intervals do not cover the true coefficients as often as they say.

    The bootstrap [5]_ fits up to 64 models at once, which share each read of X. Their row weights
    take up to 64 MiB, or 8 n bytes if that is more. Samples that lack a class are drawn anew, and
    class weights are those of all rows.

    The errors are those at the optimum. A model that was fitted with a loose tolerance is near it;
    Newton's method then takes the remaining steps, and `Summary.distance` says how far they led.

    statsmodels has the same numbers in Logit, GLM and MNLogit, with two exceptions: its HC1, HC2
    and HC3 equal HC0 for these models, and its HC0 for ``freq_weights`` is the one with
    ``frequency_weights`` here.

    References
    ----------
    .. [1] P. McCullagh, J. A. Nelder, "Generalized Linear Models", 2nd edition, 1989.
    .. [2] P. J. Huber, "The behavior of maximum likelihood estimates under nonstandard conditions",
       Proc. Fifth Berkeley Symposium, 1967.
    .. [3] H. White, "A heteroskedasticity-consistent covariance matrix estimator and a direct test
       for heteroskedasticity", Econometrica, 1980.
    .. [4] J. G. MacKinnon, H. White, "Some heteroskedasticity-consistent covariance matrix
       estimators with improved finite sample properties", Journal of Econometrics, 1985.
    .. [5] B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from polarstep import LogisticRegression
    >>> from polarstep.linear_model.inference import summary
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 2))
    >>> y = X[:, 0] + rng.logistic(size=500) > 0
    >>> model = LogisticRegression(C=np.inf).fit(X, y)
    >>> found = summary(model, X, y, covariance="HC3", feature_names=["age", "dose"])
    >>> found.terms, (np.abs(found.z) > 3).tolist()
    (('age', 'dose', 'intercept'), [True, False, False])
    """
    kind = look_up(covariance, dict.fromkeys(KINDS, covariance), _WHO, "covariance")
    level = coverage(level, _WHO)
    flag(correction, _WHO, "correction")
    frequency = flag(frequency_weights, _WHO, "frequency_weights")
    look_up(interval, dict.fromkeys(("percentile", "basic")), _WHO, "interval")
    n_samples = 0 if bootstrap is None else whole_number(bootstrap, _WHO, "bootstrap", at_least=2)
    if (kind == "cluster") != (groups is not None):
        must = "be given for covariance='cluster', and only for it"
        got = "None" if groups is None else f"groups with covariance={kind!r}"
        raise ValueError(complaint(_WHO, "groups", must, got))
    fitted = read_model(model, base, _WHO)
    q, d = fitted.coef.shape
    terms = term_names(model, X, feature_names, d, intercept=fitted.has_intercept, who=_WHO)
    if q * len(terms) > _MOST:
        must = f"have at most {_MOST:,} coefficients, because the covariances of all pairs are kept"
        raise ValueError(complaint(_WHO, "model", must, f"{q * len(terms):,}"))
    rows = read_rows(model, fitted, X, y, sample_weight, groups, _WHO)
    in_memory = rows if isinstance(rows, RowsInMemory) else None
    if n_samples and in_memory is None:
        must, advice = "be None for Dask collections", "Use Wald intervals, or data in memory."
        raise ValueError(complaint(_WHO, "bootstrap", must, n_samples, advice))
    if not rows.class_totals.all():
        got = f"none of class {fitted.classes.tolist()[int(np.argmin(rows.class_totals))]!r}"
        must, advice = "hold rows of positive weight of every class", "Fit the model without it."
        raise ValueError(complaint(_WHO, "y", must, got, advice))
    if kind == "cluster" and n_groups(rows) < 2:
        raise ValueError(complaint(_WHO, "groups", "hold at least two groups", n_groups(rows)))
    ridge = fitted.ridge(rows.total_weight)
    if not ridge:
        refuse_separation(rows, fitted, model, terms, _WHO)
    inner = fitted.with_base(steadiest_base(rows, fitted))
    optimum = find_optimum(rows.coded_for(inner), inner, ridge, _WHO)

    root = covariance_root(
        kind, rows.coded_for(inner), optimum, correction=correction, frequency=frequency, who=_WHO
    )
    change = inner.change_of_base(fitted.base)
    root = np.tensordot(change, root.reshape(q, len(terms), -1), 1).reshape(root.shape)
    matrix = rows.standard.covariance_to_raw(root)
    coef = (change @ rows.standard.to_raw(optimum.theta)).ravel()
    known = determined(optimum.inverse.null, optimum.inverse.scale, rows.standard)
    known = ((np.abs(change) @ ~known) == 0).ravel()
    matrix[~known], matrix[:, ~known] = np.nan, np.nan
    labels = fitted.equations.tolist()
    names = terms if q == 1 else [f"{label}: {term}" for label in labels for term in terms]
    undetermined = [name for name, is_known in zip(names, known, strict=True) if not is_known]
    if undetermined:
        text = (
            f"{_WHO}: the data do not determine the coefficients of {listed(undetermined)}, "
            "because columns depend on each other linearly. Their errors are NaN. Leave out some "
            "of these columns, or use a penalty."
        )
        warnings.warn(text, UserWarning, stacklevel=2)
    draws, n_failed = None, 0
    if n_samples and in_memory is not None:
        draws, n_failed = bootstrap_coefficients(
            in_memory, inner, optimum, n_samples, _generator(random_state), frequency=frequency,
            n_threads=effective_n_jobs(getattr(model, "n_jobs", None)), verbose=bool(verbose),
            who=_WHO,
        )  # fmt: skip
        draws = (change @ draws.reshape(n_samples, q, -1)).reshape(draws.shape)
        draws[:, ~known] = np.nan
    interval_kind = interval if n_samples else "wald"
    std_err = np.sqrt(np.diag(matrix))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = coef / std_err  # a penalty fixes the weight of a constant column at 0, with the error 0
    likelihood, null = optimum.sums.value, null_log_likelihood(rows, fitted)
    ratio, k = 2.0 * (likelihood - null), optimum.df
    df_model = k - q * fitted.has_intercept
    has_test = not ridge and df_model > 0
    notes = write_notes(
        model, fitted, optimum, undetermined, kind=kind, ridge=ridge,
        weighted=sample_weight is not None or fitted.class_weight is not None,
        frequency=frequency, groups=n_groups(rows), n_samples=n_samples, n_failed=n_failed,
        level=level,
    )  # fmt: skip
    return Summary(
        terms=terms,
        equations=tuple(labels),
        base=fitted.classes.tolist()[fitted.base],
        coef=coef,
        covariance=matrix,
        std_err=std_err,
        z=z,
        p_value=2.0 * ndtr(-np.abs(z)),
        interval=intervals(interval_kind, level, coef, std_err, draws),
        level=level,
        covariance_kind=kind,
        interval_kind=interval_kind,
        log_likelihood=likelihood,
        null_log_likelihood=null,
        lr_statistic=ratio,
        lr_df=df_model,
        lr_p_value=float(gammaincc(df_model / 2, max(ratio, 0.0) / 2)) if has_test else np.nan,
        pseudo_r2=1.0 - likelihood / null,
        aic=-2.0 * likelihood + 2.0 * k,
        bic=-2.0 * likelihood + float(np.log(rows.total_weight)) * k,
        n=rows.n,
        total_weight=rows.total_weight,
        n_groups=n_groups(rows),
        df_model=df_model,
        df_resid=rows.total_weight - k,
        ridge=ridge,
        distance=optimum.start_distance,
        condition=optimum.inverse.condition,
        bootstrap_coef=draws,
        notes=notes,
    )


def _generator(random_state: Any) -> np.random.Generator:
    """Return a generator that is the same in every call by default."""
    seed = 0 if random_state is None else check_random_state(random_state).randint(2**31)
    return np.random.default_rng(seed)


def null_log_likelihood(rows: FittedRows, fitted: FittedModel) -> float:
    """Return the log-likelihood of the intercept alone, or of equal probabilities without one."""
    totals, total = rows.class_totals, rows.total_weight
    if not fitted.has_intercept:
        return -total * float(np.log(len(totals)))
    return float(xlogy(totals, totals / total).sum())
