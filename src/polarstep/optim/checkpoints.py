"""Conversion of the state of LengthDirection to its state_dict and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from ..validation import complaint
from .coordinates import Group, State
from .entries import WHO
from .flat_options import flattened, restored
from .sharding import Matrices, local

View = Callable[[Tensor, Group], Matrices]
_BY_ROWS = {"direction", "momentum", "square", "length", "length_momentum", "length_square"}


def packed(state_dict: dict[str, Any], groups: list[Group], view: View) -> dict[str, Any]:
    """Return torch's state_dict with flat options and with all rows of each parameter."""
    states = dict(state_dict["state"])
    for k, p, group in _by_direction(state_dict, groups):
        rows = {key: view(p, group).saved(states[k][key]) for key in _BY_ROWS & states[k].keys()}
        states[k] = {**states[k], **rows}
    flat = [flattened(group) for group in state_dict["param_groups"]]
    return {**state_dict, "state": states, "param_groups": flat}


def unpacked_options(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state_dict whose param groups hold option objects again."""
    if any("metric" not in group for group in state_dict["param_groups"]):
        got = "param groups without a metric"
        raise ValueError(complaint(WHO, "state_dict", "come from a LengthDirection", got))
    groups = [restored(group) for group in state_dict["param_groups"]]
    return {**state_dict, "param_groups": groups}


def restore_schedules(groups: list[Group], schedules: list[Any]) -> None:
    """Put back the schedules of angles, which are functions and therefore not saved."""
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
    """Yield the key in the state_dict, the parameter and the group of each saved matrix."""
    for saved, group in zip(state_dict["param_groups"], groups, strict=True):
        if group["rule"] == "direction":
            for k, p in zip(saved["params"], group["params"], strict=True):
                if k in state_dict["state"]:
                    yield k, p, group
