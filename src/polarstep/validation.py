"""Checks of arguments, and the one form that every error message takes.

A message names the caller, the argument, the requirement, the value and what to do about it:
``who: `argument` must ...; got .... Advice.``
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def complaint(who: str, argument: str, must: str, got: object, advice: str = "") -> str:
    """Return the text of an error about one argument."""
    return f"{who}: `{argument}` must {must}; got {got}." + (f" {advice}" if advice else "")


def type_of(value: object) -> str:
    """Return the name of the type of a value with its article, such as "an int"."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeioAEIO' or name == 'ndarray' else 'a'} {name}"


def look_up(name: str, table: Mapping[str, T], who: str, argument: str) -> T:
    """Return ``table[name]``, or raise a ValueError that lists the known names."""
    try:
        return table[name]
    except (KeyError, TypeError):
        raise ValueError(unknown(name, table, who, argument)) from None


def unknown(name: object, known: Iterable[str], who: str, argument: str) -> str:
    """Return the text of an error about a name that is not among the known ones."""
    known = sorted(known)
    close = get_close_matches(str(name), known, n=1)
    advice = f"Did you mean {close[0]!r}?" if close else ""
    listed = ", ".join(map(repr, known)) if known else "(nothing: there are none)"
    return complaint(who, argument, f"be one of {listed}", repr(name), advice)


# --------------------------------------------------------------------------- scalars


def number(
    value: Any,
    who: str,
    argument: str,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    finite: bool = True,
) -> float:
    """Return a real number within limits as a float, or raise a TypeError or ValueError."""
    limits = [f"> {above:g}"] if above > -math.inf else []
    limits += [f">= {at_least:g}"] if at_least > -math.inf else []
    must = " ".join(["be a finite number" if finite else "be a number", *limits])
    if isinstance(value, (str, bytes)) or value is None:
        raise TypeError(complaint(who, argument, must, repr(value)))
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise TypeError(complaint(who, argument, must, type_of(value))) from None
    if math.isnan(result) or (finite and math.isinf(result)):
        raise ValueError(complaint(who, argument, must, result))
    if result <= above or result < at_least:
        raise ValueError(complaint(who, argument, must, result))
    return result


def whole_number(value: Any, who: str, argument: str, *, at_least: int = 0) -> int:
    """Return an integer within limits as an int, or raise a TypeError or ValueError."""
    must = f"be a whole number >= {at_least}"
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(complaint(who, argument, must, repr(value)))
    if value < at_least:
        raise ValueError(complaint(who, argument, must, value))
    return int(value)


def flag(value: Any, who: str, argument: str) -> bool:
    """Return True or False as a bool, or raise a TypeError."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(complaint(who, argument, "be True or False", repr(value)))
    return bool(value)


def check_callback(value: Any, who: str) -> None:
    """Raise a TypeError unless `value` is a callable or None."""
    if value is not None and not callable(value):
        advice = "Pass a function of one argument."
        got = type_of(value)
        raise TypeError(complaint(who, "callback", "be a function or None", got, advice))


# --------------------------------------------------------------------------- arrays


def vector(value: Any, who: str, argument: str, *, length: int | None = None) -> np.ndarray:
    """Return a finite one-dimensional float64 array of the given length."""
    wanted = "a vector of real numbers" if length is None else f"a vector of {length} real numbers"
    result = _real(value, who, argument, wanted)
    if result.ndim == 2 and 1 in result.shape:
        result = result.ravel()
    if result.ndim != 1 or (length is not None and len(result) != length):
        raise ValueError(complaint(who, argument, f"be {wanted}", f"shape {np.shape(value)}"))
    check_finite(result, who, argument)
    return result


def matrix(value: Any, who: str, argument: str, shape: tuple[int, int]) -> np.ndarray:
    """Return a finite float64 array of the given shape."""
    wanted = f"a {shape[0]} x {shape[1]} matrix of real numbers"
    result = _real(value, who, argument, wanted)
    if result.shape != shape:
        raise ValueError(complaint(who, argument, f"be {wanted}", f"shape {result.shape}"))
    check_finite(result, who, argument)
    return result


def _real(value: Any, who: str, argument: str, wanted: str) -> np.ndarray:
    try:
        result = np.asarray(value)
        if result.dtype.kind not in "fiubO":  # neither complex numbers, nor text, nor dates
            raise TypeError
        return result.astype(np.float64)
    except (TypeError, ValueError):
        got = f"{type_of(value)} that is not numeric"
        raise TypeError(complaint(who, argument, f"be {wanted}", got)) from None


def first_not_finite(array: Any) -> tuple[int, ...] | None:
    """Return the position of the first NaN or infinity in row-major order, or None.

    The array is an ndarray of any dimension or a CSR matrix with sorted indices.
    """
    if not hasattr(array, "indptr"):
        at = first_true(~np.isfinite(array))
        return None if at is None else tuple(int(i) for i in np.unravel_index(at, array.shape))
    at = first_true(~np.isfinite(array.data))
    if at is None:
        return None
    return int(np.searchsorted(array.indptr, at, side="right")) - 1, int(array.indices[at])


def first_true(mask: np.ndarray) -> int | None:
    """Return the index of the first True of a mask in row-major order, or None."""
    at = int(mask.argmax()) if mask.size else 0
    return at if mask.size and mask.flat[at] else None


def check_finite(array: Any, who: str, argument: str) -> None:
    """Raise a ValueError that names the first NaN or infinity of an ndarray or a CSR matrix."""
    where = first_not_finite(array)
    if where is not None:
        place = f"position {where[0]}" if len(where) == 1 else "row {}, column {}".format(*where)
        raise ValueError(not_finite(array[where], place, who, argument))


def not_finite(value: Any, place: str, who: str, argument: str) -> str:
    """Return the text of an error about a NaN or an infinity at a place."""
    advice = "Remove or impute such values first."
    return complaint(who, argument, "contain only finite numbers", f"{value} at {place}", advice)


def nonnegative_weights(value: Any, who: str, *, length: int) -> np.ndarray:
    """Return the weights of samples as float64: finite, >= 0, and at least one of them > 0."""
    weights = vector(value, who, "sample_weight", length=length)
    at = first_true(weights < 0)
    if at is not None:
        got = f"{weights[at]:g} at position {at}"
        raise ValueError(complaint(who, "sample_weight", "contain only numbers >= 0", got))
    if not weights.any():
        must = "give at least one sample a positive weight"
        raise ValueError(complaint(who, "sample_weight", must, "zeros only"))
    return weights


def sample_weights(value: Any, who: str, *, length: int) -> np.ndarray:
    """Return nonnegative weights of samples, scaled so that their mean is one."""
    weights = nonnegative_weights(value, who, length=length)
    weights = weights / weights.max()  # so that their sum does not overflow
    return weights * (length / weights.sum())


def signs(
    y: Any, who: str, *, length: int | None = None, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return two-valued labels as -1.0 (the smaller value) and +1.0 (the larger value).

    With weights, labels of weight zero do not count as values (but they must be finite).
    """
    labels = vector(y, who, "y", length=length)
    values = np.unique(labels if weights is None else labels[weights > 0])
    if len(values) == 1:
        got = f"only {values[0]:g}" + ("" if weights is None else " where the weight is not zero")
        advice = "A halfspace separates two classes: pass data that contain both."
        raise ValueError(complaint(who, "y", "hold two classes", got, advice))
    if len(values) > 2:
        shown = ", ".join(f"{v:g}" for v in values[:4])
        got = f"{len(values)} different values ({shown}, ...)"
        advice = "For real-valued targets use LeastSquares."
        raise ValueError(complaint(who, "y", "hold exactly two different values", got, advice))
    return plus_minus_one(labels == values[1])


def plus_minus_one(positive: np.ndarray) -> np.ndarray:
    """Return +1.0 where an array of booleans is true, and -1.0 elsewhere."""
    return np.where(positive, 1.0, -1.0)
