"""Diagnostics of LengthDirection: angles, lengths, drift and conditions of each matrix."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..validation import complaint, type_of
from .covariance import damped
from .length_direction import LengthDirection
from .sharding import full
from .spheres import ROWS


class Diagnostics:
    """Report what `LengthDirection` does to each matrix.

    It keeps two copies of the matrices, from the start and from the last call, and makes the
    optimizer record the angles of its last step.

    Parameters
    ----------
    optimizer : LengthDirection
        The optimizer to watch.

    Raises
    ------
    TypeError
        If ``optimizer`` is of another class.

    Notes
    -----
    With DTensors, all ranks must call the methods.

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
            got = type_of(optimizer)
            raise TypeError(complaint("Diagnostics", "optimizer", "be a LengthDirection", got))
        self._optimizer = optimizer
        optimizer._stepper.angles = {}
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
        """Return the current values of all quantities.

        Returns
        -------
        dict
            Maps the name of each matrix to a dict of the quantities below. Quantities that are not
            known before the first step are missing.

        Notes
        -----
        ``angle_mean``, ``angle_max``
            Angles by which rows (whole matrices in the Frobenius metric) turned in the last step,
            in radians and in the metric of the step.
        ``length_min``, ``length_mean``, ``length_max``
            Absolute lengths ``|g|``; in the covariance metric, a length is the root mean square
            of a unit's pre-activation.
        ``turned``, ``turned_since``
            Mean Euclidean angle between the rows of W now and at the start, or at the last call.
        ``grown``, ``grown_since``
            Mean logarithm of the ratio of the rows' Euclidean norms now and at the start, or at the
            last call.
        ``condition``
            Condition number of the damped covariance of the inputs, in the covariance metric; the
            largest one for the groups of a convolution.
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
                row = _angles_of((self._optimizer._stepper.angles or {}).get(name))
                if "length" in state:
                    g = self._optimizer.lengths(name).abs()
                    row |= {"length_min": g.min(), "length_mean": g.mean(), "length_max": g.max()}
                row |= _drift(self._start.get(name, now[name]).to(W.dtype), W, "")
                row |= _drift(self._last.get(name, now[name]).to(W.dtype), W, "_since")
                if state.get("covariance_weight"):
                    S = damped(state["covariance"], group["metric"].damping)
                    values = torch.linalg.eigvalsh(S)
                    row["condition"] = (values[..., -1] / values[..., 0]).max()
                result[name] = {key: float(value) for key, value in row.items()}
        self._start = {**now, **self._start}  # matrices added later start now
        self._last = now
        return result

    def write(self, writer: Any, step: int, tag: str = "length_direction") -> None:
        """Write the values that `read` returns as scalars.

        Parameters
        ----------
        writer : object
            An object with the method ``add_scalar(tag, value, step)``, such as TensorBoard's
            SummaryWriter.
        step : int
            Number of the step that the scalars belong to.
        tag : str, default="length_direction"
            First part of the scalars' names, ``tag/parameter/quantity``.
        """
        for name, row in self.read().items():
            for key, value in row.items():
                writer.add_scalar(f"{tag}/{name}/{key}", value, step)


def _angles_of(turned: Tensor | None) -> dict[str, Any]:
    return {} if turned is None else {"angle_mean": turned.mean(), "angle_max": turned.max()}


def _drift(before: Tensor, now: Tensor, suffix: str) -> dict[str, Any]:
    """Return the mean angle and growth of the rows that are nonzero both before and now."""
    old, new = ROWS.norm(before), ROWS.norm(now)
    nonzero = (old > 0) & (new > 0)
    if not nonzero.any():
        return {}
    turned = ROWS.angles(before, now)[nonzero].mean()
    return {f"turned{suffix}": turned, f"grown{suffix}": (new / old)[nonzero].log().mean()}
