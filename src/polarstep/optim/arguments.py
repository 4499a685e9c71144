"""Checks of the arguments of LengthDirection and its param groups; names become objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..validation import complaint, look_up, number, unknown
from .adamw import AdamW
from .entries import WHO
from .flat_options import PLACES
from .metrics import METRICS
from .options import Angle, Gains, Option
from .rules import DIRECTIONS, LENGTHS

CHOICES: dict[str, dict[str, Any]] = {
    "metric": dict(METRICS),
    "direction": dict(DIRECTIONS),
    "length": dict(LENGTHS),
    "gains": {axes: Gains(axes) for axes in Gains.known},
    "angle": {measure: Angle(measure) for measure in Angle.known},
}
RETRACTIONS = ("none", "normalize")
OPTIONS = ("lr", *CHOICES, "retraction", "start_length", "others")
# torch's schedulers add "initial_lr", and many users label groups with "name".
_GROUP_KEYS = ("params", *OPTIONS, "assign", "chunks", "name", "initial_lr")
_KEYWORDS = ("params", *OPTIONS, "assign", "chunks", "model", "process_group")


def error_text(argument: str, must: str, got: object, advice: str = "") -> str:
    """Return the text of an error about one argument of LengthDirection."""
    return complaint(WHO, argument, must, got, advice)


def check_keywords(keywords: Mapping[str, Any]) -> None:
    """Raise an error about an unknown keyword; if it moved, the error says where it is now."""
    _check_known(keywords, _KEYWORDS, WHO, "keyword")


def check_group_keys(group: Mapping[str, Any]) -> None:
    """Raise an error about an unknown key; if it moved, the error says where it is now."""
    _check_known(group, _GROUP_KEYS, f"{WHO}, param group", "key")


def _check_known(given: Mapping[str, Any], known: Iterable[str], who: str, what: str) -> None:
    for name, value in given.items():
        if name in PLACES:
            shown = "..." if callable(value) else repr(value)
            calls = " or ".join(place.call(shown) for place in PLACES[name])
            raise TypeError(f"{who}: `{name}` moved: pass {calls}.")
        if name not in known:
            raise TypeError(unknown(name, known, who, what))


def resolve(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of a group as objects and numbers.

    Raises
    ------
    ValueError, TypeError
        If an option does not exist, or two options do not fit together.
    """
    found = {**options, **{name: _chosen(name, options[name]) for name in CHOICES}}
    metric, gains = found["metric"], found["gains"]
    if gains.axes is None:
        found["gains"] = gains = Gains(metric.gains[0], gains.positive, gains.decay)
    if found["retraction"] not in RETRACTIONS:
        raise ValueError(unknown(found["retraction"], RETRACTIONS, WHO, "retraction"))
    number(found["lr"], WHO, "lr", at_least=0)
    if not isinstance(found["others"], AdamW):
        advice = "Pass others=AdamW(lr=...), with AdamW from polarstep.optim."
        raise TypeError(error_text("others", "be an AdamW object", repr(found["others"]), advice))
    if getattr(found["direction"], "lr", None) is not None:
        advice = "The lr of LengthDirection is the learning rate of the directions."
        got = found["direction"]
        raise ValueError(error_text("direction", "have no learning rate", got, advice))
    _check_gains(metric.name, metric.gains, gains.axes)
    if found["start_length"] is not None:
        number(found["start_length"], WHO, "start_length", above=0)
        if not metric.rows_are_independent:
            got, advice = f"{metric.name!r}, in which gains start at one", "Leave out start_length."
            raise ValueError(error_text("metric", "have a length for each row", got, advice))
    return found


def _chosen(argument: str, value: Any) -> Any:
    """Return the object that a name stands for, or the object itself if it fits the argument."""
    known = CHOICES[argument]
    if argument == "gains" and value is None:
        return Gains()
    if not isinstance(value, Option):
        return look_up(value, known, WHO, argument)
    kinds = {type(each) for each in known.values()}
    if not isinstance(value, tuple(kinds)):
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise TypeError(error_text(argument, f"be a name or an object ({names})", repr(value)))
    return value


def _check_gains(metric: str, fitting: tuple[str, ...], axes: str) -> None:
    if axes in fitting:
        return
    if axes == "matrix":
        got = f"'matrix' with metric={metric!r}, in which every row has a length"
        raise ValueError(error_text("gains", "fit the metric", got))
    advice = "Gains of columns would change the covariance: use another metric."
    raise ValueError(error_text("gains", "fit the metric", f"{axes!r} with {metric!r}", advice))
