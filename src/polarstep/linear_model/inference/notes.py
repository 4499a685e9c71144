"""Sentences that a summary prints below its table."""

from __future__ import annotations

from typing import Any

from .fitted_model import FittedModel
from .optimum import Optimum

_VISIBLE = 0.05  # standard errors between the coefficients of the model and those of the summary
_ILL_CONDITIONED = 1e10
_FEW_GROUPS = 30
_FEW_BEYOND = 5  # bootstrap samples beyond each end of an interval
_NAMED = 6  # the largest number of coefficients that a note lists


def write_notes(
    model: Any,
    fitted: FittedModel,
    optimum: Optimum,
    undetermined: list[str],
    *,
    kind: str,
    ridge: float,
    weighted: bool,
    frequency: bool,
    groups: int,
    n_samples: int,
    n_failed: int,
    level: float,
) -> tuple[str, ...]:
    """Return what to know when reading the numbers of a summary."""
    notes = []
    if ridge:
        notes.append(
            f"The objective has the penalty {ridge:.4g} ||w||^2/2. Standard errors, z, p and "
            "intervals describe the spread of the penalised estimate over samples; they do not "
            "include its bias towards zero. The likelihood ratio has no known distribution, and "
            "AIC and BIC count the effective number of coefficients."
        )
    if hasattr(model, "C_"):
        notes.append(
            "C was chosen by cross-validation on these rows, which the errors do not account for."
        )
    if undetermined:
        notes.append(
            "The data do not determine these coefficients, because columns depend on each other "
            f"linearly: {listed(undetermined)}. Their values are one choice of many, and their "
            "errors are NaN."
        )
    if kind == "model" and fitted.class_weight is not None:
        notes.append(
            "Errors from the model take class weights for numbers of copies of the rows. They are "
            "not right for weights that only shift attention; use covariance='HC0'."
        )
    if kind != "model" and weighted:
        notes.append(
            "A weight of k counts as k independent rows."
            if frequency
            else "Robust errors take each weighted row as one observation, whose score the weight "
            "multiplies. If weights are numbers of copies, use frequency_weights=True."
        )
    if 0 < groups < _FEW_GROUPS:
        notes.append(f"With {groups} groups, clustered errors tend to be too small.")
    if n_samples:
        notes.append(f"The intervals are quantiles of {n_samples:,} bootstrap samples.")
        if n_samples * (1.0 - level) < 2 * _FEW_BEYOND:
            notes[-1] += " These are few for quantiles of this level; use more."
    if n_failed:
        notes.append(
            f"{n_failed} of the bootstrap fits did not converge or ended more than 10 standard "
            "errors away, as they do where a hyperplane separates the classes of a sample. Their "
            "last coefficients are used."
        )
    if optimum.inverse.condition > _ILL_CONDITIONED:
        notes.append(
            "Some columns are almost linear combinations of others (condition number "
            f"{optimum.inverse.condition:.0e}): their errors may have few correct digits."
        )
    if optimum.start_distance > _VISIBLE:
        notes.append(
            "The coefficients are those of the optimum, which Newton's method found from those of "
            f"the model. They differ by up to {optimum.start_distance:.1g} standard errors; fit "
            "with a smaller tol to avoid this."
        )
    return tuple(notes)


def listed(names: list[str]) -> str:
    """Return names in one line, of which the first few are shown."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
