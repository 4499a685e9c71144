"""Param groups, read from every form in which parameters are passed and split by rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from ..validation import type_of, unknown
from .arguments import error_text
from .assignment import named_parameters
from .entries import WHO, Assigned

Named = tuple[str | None, Tensor]


def as_groups(params: Any) -> list[dict[str, Any]]:
    """Return parameters, (name, parameter) pairs or param groups as a list of param groups."""
    if isinstance(params, (Tensor, str, Mapping)):
        must = "be a model, or an iterable of parameters or groups"
        raise TypeError(error_text("params", must, type_of(params)))
    params = list(params)
    if params and isinstance(params[0], dict):
        return [{**group, "params": named(group["params"])} for group in params]
    return [{"params": named(params)}]


def named(params: Any) -> list[Named]:
    """Return the "params" of a group, in any of their forms, as (name, parameter) pairs."""
    items = [params] if isinstance(params, Tensor) else list(params)
    pairs = [item if isinstance(item, tuple) else (None, item) for item in items]
    for _, p in pairs:
        if not isinstance(p, Tensor):
            raise TypeError(error_text("params", "hold tensors", type_of(p)))
    return pairs


def with_names(
    pairs: Iterable[Named], model: nn.Module | None, first: int
) -> list[tuple[str, Tensor]]:
    """Return each parameter once, with its given name, its name in the model, or a number."""
    names = {} if model is None else {id(p): name for name, p in named_parameters(model)}
    unique = {id(p): (name, p) for name, p in pairs}.values()
    return [(name or names.get(id(p)) or str(first + k), p) for k, (name, p) in enumerate(unique)]


def split(
    options: Mapping[str, Any], params: Iterable[Tensor], entries: Mapping[Tensor, Assigned]
) -> Iterator[dict[str, Any]]:
    """Yield a group for the matrices and one for the other parameters, unless they are empty."""
    params = list(params)
    for rule in ("direction", "adamw"):
        own = [p for p in params if entries[p].rule == rule]
        if own:
            lr = options["others"].lr if rule == "adamw" else options["lr"]
            yield {**options, "params": own, "rule": rule, "lr": lr, "base_lr": lr, "steps": 0}


def find(
    name: str, groups: Iterable[dict[str, Any]], entries: Mapping[Tensor, Assigned]
) -> tuple[Tensor, dict[str, Any]]:
    """Return the matrix of this name and its group, or raise a ValueError with the known names."""
    known: dict[str, tuple[Tensor, dict[str, Any]]] = {}
    for group in groups:
        if group["rule"] == "direction":
            known = {entries[p].name: (p, group) for p in group["params"]} | known
    if name not in known:
        raise ValueError(unknown(name, known, WHO, "name"))
    return known[name]
