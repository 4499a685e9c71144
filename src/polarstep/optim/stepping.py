"""The steps of the matrices of a param group, and access to their lengths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor

from . import coordinates
from .coordinates import Group, State
from .entries import Assigned
from .sharding import Matrices, local
from .turning import turn
from .watching import InputWatcher, may_start_lengths

LARGEST_STACK = (
    2**22
)  # largest number of entries in matrices of one shape that take a step together
States = MutableMapping[Tensor, State]


class Stepper:
    """Updates matrices, and notices weights that were changed from outside between two steps.

    Parameters
    ----------
    entries : mapping of Tensor to Assigned
        The form of each parameter as a stack of matrices.
    watcher : InputWatcher
        The covariances of the layers' inputs.

    Attributes
    ----------
    angles : dict or None
        The angles of the last step by the name of the parameter; None if they are not recorded.
    """

    def __init__(self, entries: Mapping[Tensor, Assigned], watcher: InputWatcher) -> None:
        self.angles: dict[str, Tensor] | None = None
        self._entries = entries
        self._watcher = watcher
        self._written: dict[Tensor, tuple[int, int]] = {}

    def view(self, p: Tensor, group: Group) -> Matrices:
        """Return a parameter as the stack of matrices that this rank steps."""
        return Matrices.of(self._entries[p], group)

    def step(self, group: Group, states: States) -> None:
        """Update the matrices of a group that have gradients."""
        for params in self._stacks(group, states):
            self._turn(group, params, states)

    def _stacks(self, group: Group, states: States) -> Iterator[list[Tensor]]:
        """Yield lists of parameters whose matrices have the same shape and the same history."""
        stacks: dict[tuple, list[Tensor]] = {}
        for p in group["params"]:
            if p.grad is None:
                continue
            view, state = self.view(p, group), states[p]
            if "direction" not in state:
                self._begin(view, group, state)
            elif self._written.get(p) != _mark(p):
                coordinates.read_changed_rows(view, state, group)
            if state.get("unstarted") and may_start_lengths(p, group, state):
                coordinates.start_lengths(state, group)
            V = state["direction"]
            if view.by_rows:  # it takes its step alone, so that the order is the same on all ranks
                stacks[id(p),] = [p]
                continue
            key = (V.shape[1:], V.dtype, V.device, state["step"], state["undefined"])
            if V.numel() * len(stacks.get(key, [])) > LARGEST_STACK:
                yield stacks.pop(key)
            stacks.setdefault(key, []).append(p)
        yield from stacks.values()

    def _turn(self, group: Group, params: list[Tensor], states: States) -> None:
        views = [self.view(p, group) for p in params]
        own = [states[p] for p in params]
        gradients = [
            view.read(p.grad).to(state["direction"].dtype)
            for view, p, state in zip(views, params, own, strict=True)
        ]
        spread = views[0] if views[0].by_rows else None
        weights, before, after = turn(group, own, gradients, spread)
        for k, (view, W) in enumerate(zip(views, weights, strict=True)):
            self._write(view, W)
            if self.angles is not None:
                turned = group["metric"].angles(before[k], after[k])
                self.angles[view.entry.name] = turned if spread is None else spread.gather(turned)

    def _begin(self, view: Matrices, group: Group, state: State) -> None:
        p = view.entry.parameter
        self._watcher.begin(p, group, state)
        coordinates.start(view, state, group)
        self._written[p] = _mark(p)

    def _write(self, view: Matrices, W: Tensor) -> None:
        view.write(W)
        self._written[view.entry.parameter] = _mark(view.entry.parameter)

    def lengths(self, p: Tensor, group: Group, state: State) -> Tensor:
        """Return a copy of the lengths of all rows of a parameter."""
        view = self.view(p, group)
        if "length" not in state:
            self._begin(view, group, state)
        return view.gather(state["length"]) if view.by_rows else state["length"].clone()

    def set_lengths(self, p: Tensor, group: Group, state: State, lengths: Any) -> None:
        """Set the lengths of all rows of a parameter, and the parameter itself."""
        view, old = self.view(p, group), self.lengths(p, group, state)
        new = torch.as_tensor(lengths, dtype=old.dtype, device=old.device).expand_as(old).clone()
        state["length"] = view.own(new) if view.by_rows else new
        self._write(view, coordinates.composed(state, group))

    def forget(self) -> None:
        """Make the next step compare all weights with their states, because those were loaded."""
        self._written.clear()


def _mark(p: Tensor) -> tuple[int, int]:
    """Return a value that changes when the parameter is written to."""
    p = local(p)
    return p._version, p.data_ptr()
