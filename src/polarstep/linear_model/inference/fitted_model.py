"""What the inference needs to know about a fitted classifier."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from ...losses import margin_loss
from ...result import Result
from ...validation import complaint, type_of

_NEEDED = ("classes_", "coef_", "intercept_", "fit_intercept", "class_weight")
_LARGEST_RIDGE = 1e100  # with which all weights are zero for practical purposes
_ADVICE = (
    "Pass a fitted polarstep.LogisticRegression, or a HalfspaceClassifier with loss='softplus' for "
    "two classes."
)


@dataclass(frozen=True)
class FittedModel:
    """A logistic model with its scores relative to a base class.

    Attributes
    ----------
    classes : ndarray, shape (K,)
        The classes in order.
    base : int
        The position of the base class.
    coef : ndarray, shape (K - 1, d)
        The weights of the other classes, in order, minus those of the base class.
    intercept : ndarray, shape (K - 1,)
        The same for the intercepts.
    has_intercept : bool
        Whether the intercepts were fitted.
    class_weight : dict, "balanced" or None
    C, alpha : float or None
        The strength of the penalty; at most one is given, and none without a penalty.
    excess : float
        By how much the fit estimates its objective, per unit of weight, to be above the minimum; 0
        if it does not say so.
    """

    classes: np.ndarray
    base: int
    coef: np.ndarray
    intercept: np.ndarray
    has_intercept: bool
    class_weight: Any
    C: float | None
    alpha: float | None
    excess: float

    @property
    def equations(self) -> np.ndarray:
        """The classes other than the base class, in order."""
        return np.delete(self.classes, self.base)

    @property
    def theta(self) -> np.ndarray:
        """The weights and, if there are any, intercepts of the equations, shape (K - 1, p)."""
        return np.column_stack([self.coef, self.intercept]) if self.has_intercept else self.coef

    def codes(self, codes: np.ndarray) -> np.ndarray:
        """Return the number of the equation of each class position, and -1 for the base class."""
        table = np.arange(len(self.classes)) - (np.arange(len(self.classes)) > self.base)
        table[self.base] = -1
        return table[codes]

    def of_classes(self, theta: np.ndarray) -> np.ndarray:
        """Return weights and intercepts of the classes from those of the equations.

        With K > 2 classes their mean is zero, and the shape is (K, d + 1). With two classes there
        is one row, that of the second class. Without an intercept the last column is zero.
        """
        if not self.has_intercept:
            theta = np.column_stack([theta, np.zeros(len(theta))])
        if len(self.classes) == 2:
            return theta if self.base == 0 else -theta
        whole = np.insert(theta, self.base, 0.0, axis=0)
        return whole - whole.mean(axis=0)

    def relative(self, theta: np.ndarray) -> np.ndarray:
        """Return coefficients (..., K - 1, p) of the equations from those of the classes.

        ``theta`` has the shape (..., K, p), or (..., 1, p) for the second of two classes.
        """
        if len(self.classes) == 2:
            return theta if self.base == 0 else -theta
        change = theta - theta[..., self.base : self.base + 1, :]
        return np.delete(change, self.base, axis=-2)

    def with_base(self, base: int) -> FittedModel:
        """Return the same model with its scores relative to another base class."""
        change = self.change_of_base(base)
        return replace(self, base=base, coef=change @ self.coef, intercept=change @ self.intercept)

    def change_of_base(self, base: int) -> np.ndarray:
        """Return the matrix, shape (K - 1, K - 1), that maps equations to those of another base."""
        K = len(self.classes)
        scores = np.insert(np.identity(K - 1), self.base, 0.0, axis=0)  # of the K classes
        return np.delete(scores - scores[base], base, axis=0)

    def ridge(self, total_weight: float) -> float:
        """Return the factor of ||w||^2/2 that the log-likelihood is penalised with."""
        if self.alpha is not None:
            return min(self.alpha * total_weight, _LARGEST_RIDGE)
        return 0.0 if self.C is None else 1.0 / max(self.C, 1.0 / _LARGEST_RIDGE)


def read_model(model: Any, base: Any, who: str) -> FittedModel:
    """Check a fitted classifier and read its coefficients.

    Raises
    ------
    TypeError, ValueError
        If the classifier is not a logistic model, has an L1 penalty, or has no such base class.
    """
    if hasattr(model, "named_steps"):
        advice = (
            "Pass its last step and the transformed rows: summary(pipeline[-1], "
            "pipeline[:-1].transform(X), y, feature_names=pipeline[:-1].get_feature_names_out())."
        )
        must = "be a classifier"
        raise TypeError(complaint(who, "model", must, "a Pipeline", advice))
    if isinstance(model, type) or not hasattr(model, "fit"):
        raise TypeError(complaint(who, "model", "be a logistic model", type_of(model), _ADVICE))
    check_is_fitted(model)
    missing = [name for name in _NEEDED if not hasattr(model, name)]
    if missing:
        got = f"{type_of(model)} without {missing[0]}"
        raise TypeError(complaint(who, "model", "be a logistic model", got, _ADVICE))
    classes, several = model.classes_, len(model.classes_) > 2
    if hasattr(model, "loss"):
        loss = margin_loss(model.loss, who).name
        if loss != "softplus":
            got, must = f"loss={loss!r}", "have the loss 'softplus', which defines a likelihood"
            raise ValueError(complaint(who, "model", must, got, _ADVICE))
        if several:
            got = f"{len(classes)} binary models"
            advice = (
                "Classes against the rest have no joint likelihood. Fit a "
                "polarstep.LogisticRegression, or one model for each class with y == label."
            )
            raise ValueError(complaint(who, "model", "be one model of all classes", got, advice))
    C, alpha = _strength(model, who)
    position = _base_position(classes, base, who)
    coef = model.coef_.toarray() if sp.issparse(model.coef_) else np.asarray(model.coef_, float)
    coef, intercept = np.atleast_2d(coef), np.asarray(model.intercept_, float)
    if not several:
        coef, intercept = np.vstack([np.zeros_like(coef), coef]), np.append(0.0, intercept)
    else:
        intercept = np.broadcast_to(intercept, len(classes))
    return FittedModel(
        classes,
        position,
        np.delete(coef - coef[position], position, axis=0),
        np.delete(intercept - intercept[position], position),
        bool(model.fit_intercept),
        model.class_weight,
        C,
        alpha,
        _excess(getattr(model, "result_", None)),
    )


def _excess(result: Any) -> float:
    """Return the estimated suboptimality of a run, in units of the mean loss."""
    if not isinstance(result, Result) or not np.isfinite(result.gap):
        return 0.0
    return float(result.gap * abs(result.fun))


def _strength(model: Any, who: str) -> tuple[float | None, float | None]:
    """Return C and alpha; both are None if there is no penalty."""
    penalty, l1_ratio = getattr(model, "penalty", "l2"), getattr(model, "l1_ratio", None)
    if penalty == "l1" or (penalty not in ("l2", None) and l1_ratio not in (None, 0)):
        got, must = f"penalty={penalty!r}, l1_ratio={l1_ratio!r}", "have an L2 penalty or none"
        advice = "Standard errors of coefficients that may be exactly zero are not defined here."
        raise ValueError(complaint(who, "model", must, got, advice))
    if penalty is None:
        return None, None
    if hasattr(model, "C_"):  # chosen by cross-validation
        chosen = np.unique(np.asarray(model.C_, float))
        if len(chosen) > 1:
            got = f"{len(chosen)} values of C_"
            raise ValueError(complaint(who, "model", "have one C for all classes", got))
        return float(chosen[0]), None
    alpha = getattr(model, "alpha", None)
    return (None, float(alpha)) if alpha is not None else (float(model.C), None)


def _base_position(classes: np.ndarray, base: Any, who: str) -> int:
    if base is None:
        return 0
    found = [k for k, label in enumerate(classes.tolist()) if label == base]
    if not found:
        must = f"be one of the classes {classes.tolist()}"
        raise ValueError(complaint(who, "base", must, repr(base)))
    return found[0]


def term_names(
    model: Any, X: Any, feature_names: Any, n_features: int, *, intercept: bool, who: str
) -> tuple[str, ...]:
    """Return the names of the features and, at the end, of the intercept."""
    if feature_names is not None:
        names = [str(name) for name in feature_names]
        if len(names) != n_features:
            must = f"have one name for each of the {n_features} features"
            raise ValueError(complaint(who, "feature_names", must, f"{len(names)} names"))
    elif hasattr(model, "feature_names_in_"):
        names = [str(name) for name in model.feature_names_in_]
    elif hasattr(X, "columns"):
        names = [str(name) for name in X.columns]
    else:
        names = [f"x{j}" for j in range(n_features)]
    if intercept:
        names.append("(intercept)" if "intercept" in names else "intercept")
    return tuple(names)
