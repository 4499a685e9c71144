"""The state_dict of LengthDirection: its plain form, and how it is read back.

Option objects are saved as plain dicts. Earlier versions saved the fields of all options side by
side in the param groups; such checkpoints are read as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from ..validation import complaint
from .adamw import AdamW
from .coordinates import Group, State
from .entries import WHO
from .metrics import Covariance, Euclidean, Frobenius
from .options import Angle, Gains, Option
from .rules import SGD, Adam, Fixed, Polar
from .sharding import Matrices, local

View = Callable[[Tensor, Group], Matrices]
_BY_ROWS = {"direction", "momentum", "square", "length", "length_momentum", "length_square"}
_TYPES: dict[str, type[Option]] = {
    each.name: each
    for each in (
        *(Covariance, Euclidean, Frobenius),
        *(Polar, Adam, SGD, Fixed),
        *(Gains, Angle, AdamW),
    )
}


def packed(state_dict: dict[str, Any], groups: list[Group], view: View) -> dict[str, Any]:
    """Return torch's state_dict with plain options and with all rows of each parameter."""
    states = dict(state_dict["state"])
    for k, p, group in _by_direction(state_dict, groups):
        rows = {key: view(p, group).saved(states[k][key]) for key in _BY_ROWS & states[k].keys()}
        states[k] = {**states[k], **rows}
    plain = [
        {key: value.plain() if isinstance(value, Option) else value for key, value in group.items()}
        for group in state_dict["param_groups"]
    ]
    return {**state_dict, "state": states, "param_groups": plain}


def unpacked_options(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state_dict whose param groups hold option objects again."""
    groups = [_with_objects(group) for group in state_dict["param_groups"]]
    return {**state_dict, "param_groups": groups}


def restore_schedules(groups: list[Group], schedules: list[Any]) -> None:
    """Put back the schedules of angles, which are functions and not saved."""
    for group, schedule in zip(groups, schedules, strict=True):
        group["angle"] = replace(group["angle"], schedule=schedule)


def restore_states(
    state_dict: Mapping[str, Any],
    groups: list[Group],
    states: MutableMapping[Tensor, State],
    view: View,
) -> None:
    """Set the states of the matrices to the saved ones, for the rows of this rank.

    torch casts the state of a parameter to the parameter's dtype, but the lengths and directions of
    half-precision weights are kept in float32. The saved tensors are therefore copied again.
    """
    for k, p, group in _by_direction(state_dict, groups):
        state, saved, matrices = states[p], state_dict["state"][k], view(p, group)
        for key, value in saved.items():
            if isinstance(value, Tensor):
                state[key] = value.detach().clone().to(local(p).device)
        for key in sorted(_BY_ROWS & saved.keys()):
            state[key] = matrices.loaded(state[key])
        if "direction" in state:  # the rank that saved it may have held other rows
            state["undefined"] = group["metric"].any_zero(state["direction"])


def _by_direction(
    state_dict: Mapping[str, Any], groups: Iterable[Group]
) -> Iterator[tuple[int, Tensor, Group]]:
    """Yield the number in the state_dict, the parameter and the group of each saved matrix."""
    for saved, group in zip(state_dict["param_groups"], groups, strict=True):
        if group["rule"] == "direction":
            for k, p in zip(saved["params"], group["params"], strict=True):
                if k in state_dict["state"]:
                    yield k, p, group


def _with_objects(group: Mapping[str, Any]) -> dict[str, Any]:
    if "metric" not in group:
        raise ValueError(
            complaint(WHO, "state_dict", "come from a LengthDirection", "groups without a metric")
        )
    if isinstance(group["metric"], str):
        return _from_flat(group)
    return {
        key: _object(value) if isinstance(value, dict) else value for key, value in group.items()
    }


def _object(plain: Mapping[str, Any]) -> Option:
    fields = dict(plain)
    return _TYPES[fields.pop("name")](**fields)


def _from_flat(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the group of an earlier version, which had no option objects, with objects."""
    rest = dict(group)
    take = rest.pop
    tangent, momentum, nesterov = take("tangent"), take("momentum"), take("nesterov")
    betas, eps, lr = take("betas"), take("eps"), take("length_lr")
    metrics: dict[str, Option] = {
        "covariance": Covariance(
            tangent=tangent,
            damping=take("damping"),
            decay=take("covariance_decay"),
            refresh_every=take("refresh_every"),
            rows=take("covariance_rows"),
            max_inputs=take("covariance_inputs"),
            precondition=take("precondition"),
        ),
        "euclidean": Euclidean(tangent=tangent),
        "frobenius": Frobenius(tangent=tangent),
    }
    directions: dict[str, Option] = {
        "polar": Polar(
            steps=take("polar_steps"),
            iteration=take("polar"),
            dtype=take("polar_dtype"),
            momentum=momentum,
            nesterov=nesterov,
        ),
        "adam": Adam(betas=betas, eps=eps),
        "sgd": SGD(momentum=momentum, nesterov=nesterov),
    }
    lengths: dict[str, Option] = {
        "adam": Adam(lr=lr, betas=betas, eps=eps),
        "sgd": SGD(lr=lr, momentum=take("length_momentum")),
        "fixed": Fixed(),
    }
    return rest | {
        "metric": metrics[rest["metric"]],
        "direction": directions[rest["direction"]],
        "length": lengths[rest["length"]],
        "gains": Gains(rest["gains"], take("positive"), take("length_decay")),
        "angle": Angle(rest["angle"], take("largest_angle")),
        "others": AdamW(
            lr=take("rest_lr"),
            betas=take("rest_betas"),
            eps=take("rest_eps"),
            weight_decay=take("rest_weight_decay"),
        ),
    }
