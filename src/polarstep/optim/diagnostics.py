"""What LengthDirection does to each matrix: angles, lengths, drift, condition of the inputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..validation import complaint
from . import rules
from .covariance import damped
from .length_direction import LengthDirection
from .sharding import full
from .turning import angles


class Diagnostics:
    """Watches the matrices that a `LengthDirection` steps by length and direction.

    It keeps two copies of them, as they were at the start and at the last call, and has the
    optimizer keep the angles of its last step. With DTensors all ranks must call it.

    Parameters
    ----------
    optimizer : LengthDirection

    Examples
    --------
    >>> from torch import nn
    >>> model = nn.Linear(3, 2)
    >>> optimizer = LengthDirection(model, lr=0.01)
    >>> watch = Diagnostics(optimizer)
    >>> model(torch.eye(3)).square().sum().backward()
    >>> _ = optimizer.step()
    >>> seen = watch.read()["weight"]
    >>> print(f"{seen['angle_mean']:.2f}")
    0.01
    """

    def __init__(self, optimizer: LengthDirection) -> None:
        if not isinstance(optimizer, LengthDirection):
            must, got = "be a LengthDirection", f"a {type(optimizer).__name__}"
            raise TypeError(complaint("Diagnostics", "optimizer", must, got))
        self._optimizer = optimizer
        optimizer._angles = {}
        self._start = self._weights()
        self._last = self._start

    def _weights(self) -> dict[str, Tensor]:
        return {
            entry.name: entry.matrices(full(entry.parameter.detach())).clone()
            for entry in self._optimizer.assignment
            if entry.rule == "direction"
        }

    @torch.no_grad()
    def read(self) -> dict[str, dict[str, float]]:
        """{name of the parameter: {quantity: value}}.

        ``angle_mean``, ``angle_max``
            By how much rows (matrices, in the Frobenius metric) turned in the last step, in radians
            and in the metric of the step.
        ``length_min``, ``length_mean``, ``length_max``
            Of |g|; in the metric of the inputs the root mean square of a unit's pre-activation.
        ``turned``, ``turned_since``
            Mean angle between W's rows now and at the start, or at the last call; Euclidean.
        ``grown``, ``grown_since``
            Mean logarithm of W's rows' Euclidean norms, over the start's or the last call's.
        ``condition``
            Of the damped covariance of the inputs, where there is one; the largest of groups.

        What is not known yet, before the first step, is left out.
        """
        now = self._weights()
        result = {}
        for group in self._optimizer.param_groups:
            if group["rule"] != "direction":
                continue
            for p in group["params"]:
                name = self._optimizer._entries[p].name
                W = now[name].to(torch.promote_types(p.dtype, torch.float32))
                state = self._optimizer.state[p]
                row = _angles_of((self._optimizer._angles or {}).get(name))
                if "length" in state:
                    g = self._optimizer.lengths(name).abs()
                    row |= {"length_min": g.min(), "length_mean": g.mean(), "length_max": g.max()}
                row |= _drift(self._start.get(name, now[name]).to(W.dtype), W, "")
                row |= _drift(self._last.get(name, now[name]).to(W.dtype), W, "_since")
                if state.get("covariance_weight"):
                    S = damped(state["covariance"], group["damping"])
                    values = torch.linalg.eigvalsh(S)
                    row["condition"] = (values[..., -1] / values[..., 0]).max()
                result[name] = {key: float(value) for key, value in row.items()}
        self._start = {**now, **self._start}  # matrices that were added later start now
        self._last = now
        return result

    def write(self, writer: Any, step: int, tag: str = "length_direction") -> None:
        """Hand what `read` returns to ``writer.add_scalar``, as TensorBoard's SummaryWriter has it.

        Parameters
        ----------
        writer : object
            With a method ``add_scalar(tag, value, step)``.
        step : int
        tag : str
            Scalars are called ``tag/parameter/quantity``.
        """
        for name, row in self.read().items():
            for key, value in row.items():
                writer.add_scalar(f"{tag}/{name}/{key}", value, step)


def _angles_of(turned: Tensor | None) -> dict[str, Any]:
    return {} if turned is None else {"angle_mean": turned.mean(), "angle_max": turned.max()}


def _drift(before: Tensor, now: Tensor, suffix: str) -> dict[str, Any]:
    """Of rows that are not zero, now or then."""
    old, new = rules.norm(before, whole=False), rules.norm(now, whole=False)
    there = (old > 0) & (new > 0)
    if not there.any():
        return {}
    turned = angles(before, now, whole=False)[there].mean()
    return {f"turned{suffix}": turned, f"grown{suffix}": (new / old)[there].log().mean()}
