"""Observation of the inputs of layers, and updates of their covariances S before steps."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from . import coordinates, covariance
from .coordinates import Group, State
from .entries import WHO, Assigned
from .sharding import local

States = MutableMapping[Tensor, State]


class InputWatcher:
    """Gathers the inputs of layers for the param groups in the covariance metric.

    Parameters
    ----------
    process_group : optional
        The ranks over which covariances are averaged; None for all of them, False for none.

    Attributes
    ----------
    inputs : dict
        The sums of the inputs, for each parameter whose layers are watched.
    """

    def __init__(self, process_group: Any = None) -> None:
        self.inputs: dict[Tensor, covariance.Inputs] = {}
        self._wanted: dict[int, Tensor] = {}  # one flag for each watched param group
        self._process_group = process_group
        self._warned = False

    def watch(self, index: int, group: Group, entries: Iterable[Assigned]) -> None:
        """Hook the layers of the matrices of the param group with this index."""
        metric = group["metric"]
        self._wanted[index] = wanted = torch.ones((), dtype=torch.bool)
        for entry in entries:
            blocks, _, n = entry.shape
            if not entry.layers or not metric.admits(n):
                continue
            parameter, groups = entry.parameter, blocks if entry.grouped else 1
            inputs = covariance.Inputs(groups, n, local(parameter), wanted, metric.rows)
            self.inputs[parameter] = inputs
            for layer in entry.layers:
                handle = layer.register_forward_pre_hook(covariance.InputHook(inputs))
                weakref.finalize(self, handle.remove)

    def begin(self, p: Tensor, group: Group, state: State) -> None:
        """Initialize the state of a matrix with S = I if its inputs have not been seen yet.

        Every entry is present from the first step on, because torch.distributed.checkpoint loads
        only the entries that the optimizer has already.
        """
        if p not in self.inputs or not group["metric"].uses_inputs or "root" in state:
            return
        total = self.inputs[p].total
        state |= {"covariance": torch.zeros_like(total), "covariance_weight": 0.0}
        eye = torch.eye(total.shape[-1], dtype=total.dtype, device=local(p).device)
        coordinates.change(state, group, eye, eye)

    def before_step(self, index: int, group: Group, states: States) -> None:
        """Update the covariances of a group if inputs were gathered for this step."""
        wanted = self._wanted.get(index)
        if wanted is not None and wanted:
            self._refresh(group, states)
            self._warn_if_nothing_was_seen(group, states)

    def after_step(self, index: int, group: Group, states: States) -> None:
        """Decide whether inputs are gathered for the group's next step.

        Inputs are gathered for every ``refresh_every``-th step, and until some have been seen.
        """
        if index not in self._wanted:
            return
        metric = group["metric"]
        if not metric.uses_inputs:  # the options of the group were loaded from a checkpoint
            self._wanted[index].fill_(False)
            return
        seen = any(_was_seen(states[p]) for p in group["params"])
        self._wanted[index].fill_(not seen or group["steps"] % metric.refresh_every == 0)

    def _refresh(self, group: Group, states: States) -> None:
        """Average the gathered inputs into S; the coordinates of W change, but W does not."""
        watched = [p for p in group["params"] if p in self.inputs]
        if not watched:
            return
        if self._process_group is not False and dist.is_available() and dist.is_initialized():
            covariance.sum_over_ranks([self.inputs[p] for p in watched], self._process_group)
        metric = group["metric"]
        counts = torch.stack([self.inputs[p].rows.cpu() for p in watched]).tolist()
        for p, count in zip(watched, counts, strict=True):
            if not count:
                continue
            inputs, state = self.inputs[p], states[p]
            latest, share = inputs.total / count, 1 - metric.decay
            weight = metric.decay * state.get("covariance_weight", 0.0) + share
            S = state.get("covariance")
            S = latest if S is None else torch.lerp(S, latest, share / weight)
            state["covariance"], state["covariance_weight"] = S, weight
            L, R = covariance.factor(S, metric.damping)
            coordinates.change(state, group, *((L[0], R[0]) if len(L) == 1 else (L, R)))
            inputs.clear()

    def _warn_if_nothing_was_seen(self, group: Group, states: States) -> None:
        """Warn once if there are gradients, but the inputs of no layer were seen."""
        watched = [p for p in group["params"] if p in self.inputs]
        if self._warned or not watched or any(_was_seen(states[p]) for p in watched):
            return
        if any(p.grad is not None and bool(local(p.grad).count_nonzero()) for p in watched):
            self._warned = True
            warnings.warn(
                f"{WHO}: no layer's inputs were seen, so that steps use the Euclidean metric. "
                "Build the optimizer before a compiled model is first called, and call the model "
                "itself, in training mode.",
                stacklevel=6,  # the caller of `step`, which torch wraps twice
            )

    def save(self, states: States) -> None:
        """Add the sums that are being gathered to the states of their parameters."""
        for p, inputs in self.inputs.items():
            gathered = {"inputs": inputs.total, "inputs_rows": inputs.rows}
            if inputs.wanted and inputs.rows:
                states[p] |= gathered
            else:
                for key in gathered:
                    states[p].pop(key, None)

    def load(self, groups: Iterable[Group], states: States) -> None:
        """Move the sums out of loaded states, and decide again which inputs are gathered."""
        for p, inputs in self.inputs.items():
            for key, into in (("inputs", inputs.total), ("inputs_rows", inputs.rows)):
                gathered = states[p].pop(key, None)
                into.zero_() if gathered is None else into.copy_(gathered)
        for index, group in enumerate(groups):
            self.after_step(index, group, states)


def _was_seen(state: Mapping[str, Any]) -> bool:
    return state.get("covariance_weight", 0.0) > 0


def may_start_lengths(p: Tensor, group: Group, state: Mapping[str, Any]) -> bool:
    """Return whether the gradient is not zero, and the metric has seen the inputs it needs.

    torch.distributed.checkpoint initializes the state by a step whose gradients are zero.
    """
    seen = _was_seen(state) or not group["metric"].uses_inputs
    return seen and bool(local(p.grad).count_nonzero())
