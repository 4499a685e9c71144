"""Checks of the options of LengthDirection, before any work."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from ..validation import complaint, flag, number, unknown, whole_number
from .assignment import WHO
from .rules import POLAR

_CHOICES: dict[str, tuple[Any, ...]] = {
    "metric": ("covariance", "euclidean", "frobenius"),
    "direction": ("adam", "polar", "sgd"),
    "length": ("adam", "fixed", "sgd"),
    "gains": ("both", "matrix", "row"),
    "angle": ("auto", "each", "off", "rms"),
    "retraction": ("none", "normalize"),
    "polar": tuple(POLAR),
}
_FLAGS = ("nesterov", "tangent", "positive", "precondition")
_NOT_NEGATIVE = ("lr", "length_decay", "damping", "rest_lr", "rest_eps", "rest_weight_decay")
_BELOW_ONE = ("momentum", "length_momentum", "covariance_decay")


def refuse(argument: str, must: str, got: object, advice: str = "") -> str:
    """The text of an error about one argument."""
    return complaint(WHO, argument, must, got, advice)


def no_such_parameter(name: object, known: Iterable[str]) -> str:
    """The text of an error about a parameter that does not go by length and direction."""
    return unknown(name, known, WHO, "name")


def check(options: dict[str, Any]) -> None:
    """Refuse what does not exist or does not fit."""
    options = {**options, "gains": gains(options)}
    for name, choices in _CHOICES.items():
        if options[name] not in choices:
            raise ValueError(unknown(options[name], choices, WHO, name))
    for name in _FLAGS:
        flag(options[name], WHO, name)
    for name in _NOT_NEGATIVE:
        number(options[name], WHO, name, at_least=0)
    number(options["eps"], WHO, "eps", above=0)
    if options["length_lr"] is not None:
        number(options["length_lr"], WHO, "length_lr", at_least=0)
    for name in _BELOW_ONE:
        if number(options[name], WHO, name, at_least=0) >= 1:
            raise ValueError(refuse(name, "be a number < 1", options[name]))
    for name in ("betas", "rest_betas"):
        pair = options[name]
        if len(pair) != 2 or not all(0 <= number(b, WHO, name) < 1 for b in pair):
            raise ValueError(refuse(name, "be two numbers in [0, 1)", pair))
    whole_number(options["polar_steps"], WHO, "polar_steps", at_least=1)
    whole_number(options["refresh_every"], WHO, "refresh_every", at_least=1)
    whole_number(options["covariance_rows"], WHO, "covariance_rows")
    whole_number(options["covariance_inputs"], WHO, "covariance_inputs")
    if options["largest_angle"] is not None:
        number(options["largest_angle"], WHO, "largest_angle", above=0)
    if options["start_length"] is not None:
        number(options["start_length"], WHO, "start_length", above=0)
        if options["metric"] == "frobenius":
            got, advice = "'frobenius', in which gains start at one", "Leave start_length out."
            raise ValueError(refuse("metric", "have lengths of rows to set", got, advice))
    dtype = options["polar_dtype"]
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise TypeError(refuse("polar_dtype", "be a floating torch.dtype or None", repr(dtype)))
    _check_gains(options["metric"], options["gains"])


def gains(options: dict[str, Any]) -> str:
    """The kind of gains: as asked, or what belongs to the metric."""
    natural = "matrix" if options["metric"] == "frobenius" else "row"
    return natural if options["gains"] is None else options["gains"]


def _check_gains(metric: str, gains: str) -> None:
    if gains == "matrix" and metric != "frobenius":
        got = f"'matrix' with metric={metric!r}, in which every row has a length"
        raise ValueError(refuse("gains", "fit the metric", got))
    if gains == "both" and metric == "covariance":
        advice = "Gains of columns would change the covariance: use another metric."
        raise ValueError(refuse("gains", "fit the metric", "'both' with 'covariance'", advice))
