"""Labels, class weights and sample weights: checks, and conversion to what the solver needs."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from ..validation import complaint, nonnegative_weights, plus_minus_one


def encode_labels(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted classes and, for each label, its index among them.

    Labels that are two whole numbers are recognised without sorting, which is much faster.
    """
    if y.dtype.kind in "iubf" and len(y):
        low, high = y.min(), y.max()
        upper = y == high
        whole = float(low).is_integer() and float(high).is_integer()
        if whole and low < high and np.count_nonzero(upper) + np.count_nonzero(y == low) == len(y):
            return np.array([low, high]), upper.astype(np.intp)
    check_classification_targets(y)
    return np.unique(y, return_inverse=True)


def solver_labels(codes: np.ndarray, n_classes: int) -> np.ndarray:
    """Return -1.0 and +1.0 for two classes, and the indices of the classes as floats for more."""
    return plus_minus_one(codes == 1) if n_classes == 2 else codes.astype(np.float64)


def class_factors(
    class_weight: Any, classes: np.ndarray, weights: np.ndarray, who: str
) -> np.ndarray:
    """Return the factor by which ``class_weight`` multiplies the weights of each class.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
    classes : ndarray, shape (K,)
    weights : ndarray, shape (K,)
        The sum of the sample weights of each class.
    who : str
        The name of the caller, for error messages.
    """
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, str) and class_weight == "balanced":
        share = weights * (len(classes) / (weights.sum() or 1.0))
        return np.divide(1.0, share, out=np.zeros_like(share), where=share > 0)
    factors = compute_class_weight(class_weight, classes=classes, y=classes)
    if not ((factors >= 0) & (factors < np.inf)).all():
        must = "contain only finite numbers >= 0"
        raise ValueError(complaint(who, "class_weight", must, class_weight))
    return factors


def check_sample_weight(value: Any, n: int, who: str) -> np.ndarray:
    """Return the weights of n samples as float64, finite and >= 0, at least one of them > 0."""
    if isinstance(value, Real):
        value = np.full(n, value)
    return nonnegative_weights(value, who, length=n)


def row_weights(
    codes: np.ndarray, classes: np.ndarray, sample_weight: Any, class_weight: Any, who: str
) -> np.ndarray | None:
    """Return the product of sample weights and class weights, or None if all weights are 1.

    Parameters
    ----------
    codes : ndarray of int, shape (n,)
        The index of each row's class.
    classes : ndarray, shape (K,)
    sample_weight : array-like, shape (n,), number or None
    class_weight : dict, "balanced" or None
    who : str
        The name of the caller, for error messages.
    """
    weight = None
    if sample_weight is not None:
        weight = check_sample_weight(sample_weight, len(codes), who)
    if class_weight is not None:
        scaled = None if weight is None else weight / weight.max()  # so that no sum overflows
        totals = np.bincount(codes, scaled, minlength=len(classes))
        factors = class_factors(class_weight, classes, totals, who)[codes]
        with np.errstate(over="ignore"):
            weight = factors if weight is None else weight * factors
        if not np.isfinite(weight).all():
            must, got = "be finite after multiplication by the class weights", "an overflow"
            raise ValueError(complaint(who, "sample_weight", must, got))
    return weight


def require_two_classes(n_present: int, who: str) -> None:
    """Raise a ValueError unless at least two classes have a positive weight."""
    if n_present < 2:
        got = f"{n_present} class{'' if n_present == 1 else 'es'} of positive weight"
        advice = "A classifier cannot be trained on one class."
        raise ValueError(complaint(who, "y", "hold two classes or more", got, advice))
