"""Changes that the user makes to an assignment: other rules, and numbers of packed matrices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from ..validation import complaint, type_of, unknown, whole_number
from .entries import RULES, WHO, Assigned, Assignment, multiplies_its_inputs

Override = Mapping[str, str] | Callable[[str, Tensor], str | None] | None


def override(
    entries: list[Assigned],
    model: nn.Module | None,
    assign: Override,
    chunks: Mapping[str, int] | None,
) -> Assignment:
    """Return the entries with the rules of ``assign`` and the numbers of matrices of ``chunks``."""
    entries = [_with_rule(entry, _rule(assign, entry), model) for entry in entries]
    for pattern, number in (chunks or {}).items():
        number = whole_number(number, WHO, f"chunks[{pattern!r}]", at_least=1)
        _require_match(pattern, entries, "chunks")
        entries = [
            _in_chunks(entry, number) if fnmatchcase(entry.name, pattern) else entry
            for entry in entries
        ]
    if isinstance(assign, Mapping):
        for pattern in assign:
            _require_match(pattern, entries, "assign")
    return Assignment(entries)


def _rule(assign: Any, entry: Assigned) -> str | None:
    """Return the rule that the user gives to a parameter, or None for no change."""
    if assign is None:
        return None
    if isinstance(assign, Mapping):
        matching = [rule for pattern, rule in assign.items() if fnmatchcase(entry.name, pattern)]
        return matching[-1] if matching else None
    if callable(assign):
        return assign(entry.name, entry.parameter)
    must = "be a dict of patterns and rules, or a function"
    raise TypeError(complaint(WHO, "assign", must, type_of(assign)))


def _with_rule(entry: Assigned, rule: str | None, model: nn.Module | None) -> Assigned:
    if rule is None:
        return entry
    if rule not in RULES:
        raise ValueError(unknown(rule, RULES, WHO, "assign"))
    if rule == "direction" and (entry.parameter.ndim < 2 or entry.parameter.is_complex()):
        must = "give the rule 'direction' only to parameters that have rows of real numbers"
        got = f"{entry.name!r} with shape {tuple(entry.parameter.shape)}"
        raise ValueError(complaint(WHO, "assign", must, got))
    layers = entry.layers or _layers(model, entry.parameter)
    return replace(entry, rule=rule, why="as requested", layers=layers)


def _layers(model: nn.Module | None, p: Tensor) -> tuple[nn.Module, ...]:
    if model is None:
        return ()
    return tuple(m for m in model.modules() if multiplies_its_inputs(m) and m.weight is p)


def _in_chunks(entry: Assigned, number: int) -> Assigned:
    if entry.parameter.ndim < 2:
        return entry
    if entry.grouped or replace(entry, blocks=1).shape[1] % number:
        must = f"divide the outputs of {entry.name!r}, which must not be a grouped convolution"
        raise ValueError(complaint(WHO, "chunks", must, number))
    return replace(entry, blocks=number)


def _require_match(pattern: str, entries: list[Assigned], argument: str) -> None:
    if not any(fnmatchcase(entry.name, pattern) for entry in entries):
        raise ValueError(unknown(pattern, [entry.name for entry in entries], WHO, argument))
