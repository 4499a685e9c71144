"""The flat form of option objects in checkpoints, with one key for each of their fields.

The keys do not depend on the options that are chosen, because torch.distributed.checkpoint loads
only keys that the optimizer has already. They are the keywords that LengthDirection had before
options were objects, so that checkpoints of that time have the same form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from .adamw import AdamW
from .metrics import METRICS, Covariance, Euclidean, Frobenius
from .options import Angle, Gains, Option
from .rules import DIRECTIONS, LENGTHS, SGD, Adam, Polar


class Place(NamedTuple):
    """A field of an option object, and the argument of LengthDirection that takes the object."""

    argument: str
    kind: type[Option]
    field: str

    def call(self, value: str) -> str:
        """Return the keyword argument that passes a value, as a user writes it."""
        return f"{self.argument}={self.kind.__name__}({self.field}={value})"

    @property
    def default(self) -> Any:
        """The default of the field."""
        return next(each.default for each in fields(self.kind) if each.name == self.field)


def _in(argument: str, field: str, *kinds: type[Option]) -> list[Place]:
    return [Place(argument, kind, field) for kind in kinds]


PLACES = {
    "length_lr": _in("length", "lr", Adam, SGD),
    "length_momentum": _in("length", "momentum", SGD),
    "length_decay": _in("gains", "decay", Gains),
    "positive": _in("gains", "positive", Gains),
    "angle_schedule": _in("angle", "schedule", Angle),
    "largest_angle": _in("angle", "largest", Angle),
    "momentum": _in("direction", "momentum", Polar, SGD),
    "nesterov": _in("direction", "nesterov", Polar, SGD),
    "betas": [*_in("direction", "betas", Adam), *_in("length", "betas", Adam)],
    "eps": [*_in("direction", "eps", Adam), *_in("length", "eps", Adam)],
    "polar": _in("direction", "iteration", Polar),
    "polar_steps": _in("direction", "steps", Polar),
    "polar_dtype": _in("direction", "dtype", Polar),
    "tangent": _in("metric", "tangent", Covariance, Euclidean, Frobenius),
    "precondition": _in("metric", "precondition", Covariance),
    "damping": _in("metric", "damping", Covariance),
    "covariance_decay": _in("metric", "decay", Covariance),
    "refresh_every": _in("metric", "refresh_every", Covariance),
    "covariance_rows": _in("metric", "rows", Covariance),
    "covariance_inputs": _in("metric", "max_inputs", Covariance),
    "rest_lr": _in("others", "lr", AdamW),
    "rest_betas": _in("others", "betas", AdamW),
    "rest_eps": _in("others", "eps", AdamW),
    "rest_weight_decay": _in("others", "weight_decay", AdamW),
}
# Some fields of the length rule share a key with the direction rule. These additional keys hold
# their values where the shared keys do not.
_LENGTH_KEYS = {"betas": "length_betas", "eps": "length_eps", "nesterov": "length_nesterov"}
_NAMES: dict[str, Mapping[str, Option]] = {
    "metric": METRICS,
    "direction": DIRECTIONS,
    "length": LENGTHS,
}


def flattened(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return a param group with names and plain values in place of option objects."""
    flat = {key: value for key, value in group.items() if not isinstance(value, Option)}
    flat |= {argument: group[argument].name for argument in _NAMES}
    flat |= {"gains": group["gains"].axes, "angle": group["angle"].measure}
    for key, places in PLACES.items():
        if key != "angle_schedule":  # functions are not saved
            flat[key] = _value(group, places)
    found = _length_fields(flat)
    for field, key in _LENGTH_KEYS.items():
        value = getattr(group["length"], field, None)
        if value is not None and value != found.get(field, False):
            flat[key] = value
    return flat


def _value(group: Mapping[str, Any], places: list[Place]) -> Any:
    """Return the value of the first place that the options of a group have, or its default."""
    for place in places:
        option = group[place.argument]
        if isinstance(option, place.kind):
            return getattr(option, place.field)
    return places[0].default


def restored(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return a param group with option objects again."""
    known = {*PLACES, *_LENGTH_KEYS.values()}
    group = {key: value for key, value in flat.items() if key not in known}
    for argument in ("metric", "direction"):
        kind = type(_NAMES[argument][flat[argument]])
        group[argument] = kind(**_fields(flat, argument, kind))
    group["length"] = type(LENGTHS[flat["length"]])(**_length_fields(flat))
    group["gains"] = Gains(flat["gains"], **_fields(flat, "gains", Gains))
    group["angle"] = Angle(flat["angle"], **_fields(flat, "angle", Angle))
    group["others"] = AdamW(**_fields(flat, "others", AdamW))
    return group


def _fields(flat: Mapping[str, Any], argument: str, kind: type[Option]) -> dict[str, Any]:
    return {
        place.field: flat[key]
        for key, places in PLACES.items()
        for place in places
        if (place.argument, place.kind) == (argument, kind) and key in flat
    }


def _length_fields(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the length rule; its own keys override the shared ones."""
    kind = type(LENGTHS[flat["length"]])
    names = {field.name for field in fields(kind)}
    own = {
        field: flat[key] for field, key in _LENGTH_KEYS.items() if key in flat and field in names
    }
    return _fields(flat, "length", kind) | own
