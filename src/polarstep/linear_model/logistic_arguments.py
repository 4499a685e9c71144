"""Checks of those arguments of `LogisticRegression` that exist for scikit-learn's sake."""

from __future__ import annotations

import warnings
from typing import Any

from ..validation import complaint, flag, number, unknown, vector

SOLVERS = ("auto", "lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga")
_PENALTIES = ("l1", "l2", "elasticnet", "deprecated", None)
_MULTI_CLASS = ("auto", "multinomial", "ovr", "deprecated")
_OTHER_PENALTY = "Use sklearn.linear_model.LogisticRegression(solver='saga') for other penalties."


def check_strength(C: Any, alpha: Any, penalty: Any, who: str) -> float | None:
    """Return the ridge alpha of the mean loss, or None if C determines it.

    Raises
    ------
    TypeError, ValueError
        If a value is invalid, or if both C and alpha are given.

    Warns
    -----
    UserWarning
        If C or alpha is given and there is no penalty.
    """
    number(C, who, "C", above=0, finite=False)
    if alpha is not None:
        alpha = number(alpha, who, "alpha", at_least=0)
        if C != 1.0:
            advice = "Set one of them and leave the other one at its default."
            got = f"{alpha:g} with C={C!r}, which is another value of the same strength"
            must = "be None if C is given, because alpha = 1/(C * sum of weights)"
            raise ValueError(complaint(who, "alpha", must, got, advice))
    if penalty is not None:
        return alpha
    if C != 1.0 or alpha is not None:
        given = f"C={C!r}" if alpha is None else f"alpha={alpha!r}"
        text = f"{who}: {given} has no effect with penalty=None, which means no penalty."
        warnings.warn(text, UserWarning, stacklevel=4)
    return 0.0


def check_penalty(penalty: Any, l1_ratio: Any, who: str) -> None:
    """Raise a ValueError unless the penalty is the squared l2 norm, or none."""
    if penalty not in _PENALTIES:
        raise ValueError(unknown(penalty, ("l2", "None"), who, "penalty"))
    if penalty == "l1":
        raise ValueError(complaint(who, "penalty", "be 'l2' or None", "'l1'", _OTHER_PENALTY))
    if l1_ratio is not None and number(l1_ratio, who, "l1_ratio", at_least=0) != 0:
        raise ValueError(complaint(who, "l1_ratio", "be 0", l1_ratio, _OTHER_PENALTY))
    if penalty == "elasticnet" and l1_ratio is None:
        must, advice = "be 0 with penalty='elasticnet'", "That is the same as penalty='l2'."
        raise ValueError(complaint(who, "l1_ratio", must, None, advice))


def check_penalty_of_grid(penalty: Any, l1_ratios: Any, who: str) -> None:
    """Raise a ValueError unless a cross-validation is to compare l2 penalties alone."""
    if penalty is None:
        got, advice = "None", "Use Cs=[np.inf] for no penalty."
        raise ValueError(complaint(who, "penalty", "be 'l2'", got, advice))
    check_penalty(penalty, 0.0, who)
    if l1_ratios is None:
        return
    ratios = vector(l1_ratios, who, "l1_ratios")
    if len(ratios) != 1 or ratios[0] != 0:
        must = "be None or (0,)"
        raise ValueError(complaint(who, "l1_ratios", must, l1_ratios, _OTHER_PENALTY))


def check_solver(solver: Any, dual: Any, intercept_scaling: Any, intercept: bool, who: str) -> None:
    """Raise an error unless the optimum of a solver of scikit-learn is that of this package."""
    if solver not in SOLVERS:
        raise ValueError(unknown(solver, SOLVERS, who, "solver"))
    flag(dual, who, "dual")
    number(intercept_scaling, who, "intercept_scaling", above=0)
    if solver == "liblinear" and intercept:
        got = "'liblinear', which penalises the intercept and has another optimum"
        advice = (
            "Leave solver at its default, or use fit_intercept=False. For a penalised intercept, "
            "append a constant column to X and use fit_intercept=False."
        )
        must = "be one that leaves the intercept unpenalised"
        raise ValueError(complaint(who, "solver", must, got, advice))


def check_multi_class(multi_class: Any, who: str) -> None:
    """Raise a ValueError unless the value is one of those that scikit-learn knew."""
    if multi_class not in _MULTI_CLASS:
        known = ("auto", "multinomial", "ovr")
        raise ValueError(unknown(multi_class, known, who, "multi_class"))


def check_classes(multi_class: Any, solver: Any, n_classes: int, who: str) -> None:
    """Raise a ValueError if scikit-learn means another model for this number of classes."""
    if multi_class == "multinomial" and n_classes == 2:
        got = "'multinomial', which once meant one penalised weight vector for each of them"
        advice = "The former optimum is that of 'auto' with twice the C."
        must = "be 'auto' for two classes"
        raise ValueError(complaint(who, "multi_class", must, got, advice))
    one_against_rest = "multi_class" if multi_class == "ovr" else "solver"
    if n_classes > 2 and (multi_class == "ovr" or solver == "liblinear"):
        got = f"{multi_class if multi_class == 'ovr' else solver!r} for {n_classes} classes"
        advice = "Use polarstep.HalfspaceClassifier to fit one class against the rest."
        must = "ask for softmax regression"
        raise ValueError(complaint(who, one_against_rest, must, got, advice))
