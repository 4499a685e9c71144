"""`Summary`: what `summary` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from ...validation import complaint, number
from . import table


@dataclass(frozen=True, eq=False)
class Summary:
    """The coefficients of a logistic regression and how sure they are; prints as a table.

    Arrays have one entry for each coefficient: the terms of the first equation, then those of the
    second one, and so on. Two classes have one equation.

    Attributes
    ----------
    terms : tuple of str
        The names of the features, and "intercept" at the end if there is one.
    equations : tuple
        The classes whose odds against `base` the equations describe.
    base : object
        The base class.
    coef : ndarray, shape (m,)
        The coefficients: changes of log(P(class)/P(base)) for each unit of the feature.
    covariance : ndarray, shape (m, m)
        Their covariance matrix. Rows and columns of coefficients that the data do not determine
        are NaN.
    std_err : ndarray, shape (m,)
        The standard errors, which are the roots of its diagonal.
    z : ndarray, shape (m,)
        Coefficients divided by their standard errors.
    p_value : ndarray, shape (m,)
        P(abs(Z) >= abs(z)) for a standard normal Z: the test that the coefficient is zero.
    interval : ndarray, shape (m, 2)
        The lower and upper ends of the intervals of the given `level`.
    level : float
        The nominal coverage of the intervals.
    covariance_kind : str
        "model", "HC0", ..., "HC3" or "cluster".
    interval_kind : str
        "wald", "percentile" or "basic".
    log_likelihood : float
        sum_i s_i log P(y_i) at the coefficients.
    null_log_likelihood : float
        The same for the intercept alone, or for equal probabilities if there is no intercept.
    lr_statistic, lr_df, lr_p_value : float
        The likelihood-ratio test against that model: 2 (log_likelihood - null_log_likelihood), its
        degrees of freedom, and the probability of a larger value. With a penalty the statistic has
        no known distribution, and the probability is NaN.
    pseudo_r2 : float
        McFadden's 1 - log_likelihood/null_log_likelihood.
    aic, bic : float
        -2 log_likelihood + a k with a = 2 and a = log(total_weight), where k is the number of
        coefficients that the data determine, or with a penalty their effective number.
    n : int
        The number of rows of positive weight.
    total_weight : float
        The sum of their weights, class weights included.
    n_groups : int
        The number of groups; 0 if there are none.
    df_model, df_resid : float
        k without the intercepts, and total_weight - k.
    ridge : float
        The factor of ||w||_2^2/2 in the objective next to -log_likelihood: 1/C; 0 means no penalty.
    distance : float
        How far the coefficients of the model are from those of the summary: the largest
        difference that a linear combination of coefficients can have, in standard errors of the
        unpenalised kind, H^-1.
    condition : float
        The condition number of the penalised information matrix with its diagonal scaled to ones.
    bootstrap_coef : ndarray, shape (n_bootstrap, m), or None
        The coefficients of the bootstrap samples.
    notes : tuple of str
        What to know when reading the numbers.

    See Also
    --------
    summary : The function that returns it.
    """

    terms: tuple[str, ...]
    equations: tuple[Any, ...]
    base: Any
    coef: np.ndarray
    covariance: np.ndarray
    std_err: np.ndarray
    z: np.ndarray
    p_value: np.ndarray
    interval: np.ndarray
    level: float
    covariance_kind: str
    interval_kind: str
    log_likelihood: float
    null_log_likelihood: float
    lr_statistic: float
    lr_df: float
    lr_p_value: float
    pseudo_r2: float
    aic: float
    bic: float
    n: int
    total_weight: float
    n_groups: int
    df_model: float
    df_resid: float
    ridge: float
    distance: float
    condition: float
    bootstrap_coef: np.ndarray | None
    notes: tuple[str, ...]

    def conf_int(self, level: float | None = None) -> np.ndarray:
        """Return intervals of another level, of the same kind as `interval`.

        Parameters
        ----------
        level : float, optional
            The nominal coverage, between 0 and 1; by default that of the summary.

        Returns
        -------
        ndarray, shape (m, 2)
            The lower and upper ends.
        """
        level = self.level if level is None else coverage(level, "Summary.conf_int")
        return intervals(self.interval_kind, level, self.coef, self.std_err, self.bootstrap_coef)

    def to_frame(self) -> Any:
        """Return the table of coefficients as a pandas data frame.

        Returns
        -------
        pandas.DataFrame
            One row for each coefficient, with the columns coef, std_err, z, p_value, lower and
            upper. The index holds the terms; with several equations it has the levels class and
            term.

        Raises
        ------
        ModuleNotFoundError
            If pandas is not installed.
        """
        return table.frame(self)

    def __str__(self) -> str:
        return table.text(self)

    def __repr__(self) -> str:
        return (
            f"Summary({len(self.coef)} coefficients, covariance={self.covariance_kind!r}, "
            f"n={self.n}, log_likelihood={self.log_likelihood:.6g})"
        )

    def _repr_html_(self) -> str:
        return table.html(self)


def coverage(level: Any, who: str) -> float:
    """Return a level between 0 and 1 as a float."""
    value = number(level, who, "level", above=0)
    if value >= 1:
        advice = "Use 0.95 for intervals that cover in 95% of samples."
        raise ValueError(complaint(who, "level", "be below 1", value, advice))
    return value


def intervals(
    kind: str, level: float, coef: np.ndarray, std_err: np.ndarray, draws: np.ndarray | None
) -> np.ndarray:
    """Return the lower and upper ends of intervals, shape (m, 2)."""
    tail = (1.0 - level) / 2.0
    if draws is None:
        half = -ndtri(tail) * std_err
        return np.column_stack([coef - half, coef + half])
    lower, upper = np.quantile(draws, [tail, 1.0 - tail], axis=0)
    if kind == "basic":
        lower, upper = 2.0 * coef - upper, 2.0 * coef - lower
    return np.column_stack([lower, upper])
