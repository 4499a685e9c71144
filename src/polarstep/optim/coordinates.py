"""Lengths and directions of a weight: from W and back, and from one covariance to the next.

The state of a parameter has, with matrices stacked as in `sharding.Matrices`,

    direction   V, (matrices, rows, columns): rows of norm one, or matrices of norm ``radius``; with
                retraction "none" of any norm. Where there is a root, V is in whitened coordinates
    length      g, (matrices, rows, 1), or (matrices, 1, 1) for one gain of the whole matrix
    columns     h, (matrices, 1, columns), where columns have gains
    radius      (matrices, 1, 1), in the Frobenius metric
    root        R with S^-1 = R R^T, (columns, columns), or one for each group of a convolution

so that W = diag(g) V R^T diag(h), V scaled to its sphere.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import rules
from .sharding import Matrices

State = dict[str, Any]
Group = dict[str, Any]


def times(A: Tensor, B: Tensor | None) -> Tensor:
    """A B, where None is the identity."""
    return A if B is None else A @ B


def nonzero(size: Tensor) -> Tensor:
    """Norms to divide by: what has none stays zero."""
    return size.where(size > 0, 1)


def any_zero(V: Tensor, group: Group) -> bool:
    """Whether some direction is not defined yet."""
    return bool((rules.norm(V, whole=group["metric"] == "frobenius") == 0).any())


def start(matrices: Matrices, state: State, group: Group) -> None:
    """Lengths and directions of W as it is, and moments of zero."""
    _read(matrices, state, group)
    if group["retraction"] == "none" and "root" in state and group["precondition"]:
        state["direction"] = rules.unit(state["direction"], whole=False)  # angles start at lr
    state["unstarted"] = group["start_length"] is not None
    state["step"] = 0
    adam = group["direction"] == "adam"
    if adam or group["momentum"]:
        state["momentum"] = torch.zeros_like(state["direction"])
    if adam:
        state["square"] = torch.zeros_like(state["direction"])
    for key in ("length", "columns"):
        if key not in state or group["length"] == "fixed":
            continue
        if group["length"] == "adam" or group["length_momentum"]:
            state[f"{key}_momentum"] = torch.zeros_like(state[key])
        if group["length"] == "adam":
            state[f"{key}_square"] = torch.zeros_like(state[key])


def start_lengths(state: State, group: Group) -> None:
    """Give all rows that are not zero the length that they are to start with."""
    there = state["length"] != 0
    state["length"] = torch.where(there, group["start_length"], state["length"])
    state["unstarted"] = False


def _read(matrices: Matrices, state: State, group: Group) -> None:
    whole, root = group["metric"] == "frobenius", state.get("root")
    parameter = matrices.entry.parameter.detach()
    dtype = torch.promote_types(parameter.dtype, torch.float32)
    W = matrices.read(parameter).to(dtype).contiguous()
    # V R^T = W
    V = W if root is None else torch.linalg.solve_triangular(root.mT, W, upper=False, left=False)
    size = rules.norm(V, whole=whole)
    if whole:
        state["radius"] = nonzero(size)
        state["length"] = (size > 0).to(dtype)  # ones, and none for a matrix of zeros
        if group["gains"] != "matrix":
            state["length"] = state["length"].expand(-1, V.shape[1], 1).clone()
        state["direction"] = V.clone()
    else:
        state["length"] = size
        kept = group["retraction"] == "normalize"
        state["direction"] = rules.unit(V, whole=False) if kept else V.clone()
    if group["positive"]:  # softplus has no zero
        state["length"] = state["length"].clamp_min(torch.finfo(dtype).tiny)
    if group["gains"] == "both":
        state["columns"] = torch.ones_like(V[:, :1])
    state["undefined"] = any_zero(V, group)


def composed(state: State, group: Group) -> Tensor:
    """W as a stack of matrices."""
    V, root = state["direction"], state.get("root")
    if group["retraction"] == "none":
        size = rules.norm(V, whole=group["metric"] == "frobenius")
        V = V * (state.get("radius", 1.0) / nonzero(size))
    W = state["length"] * V
    if "columns" in state:
        W = W * state["columns"]
    return times(W, None if root is None else root.mT)


def take_over(matrices: Matrices, state: State, group: Group) -> None:
    """Read the rows of W that somebody else has changed; the others keep their bits."""
    parameter = matrices.entry.parameter.detach()
    W = matrices.read(parameter).to(state["direction"].dtype)
    mine = composed(state, group)
    size = torch.maximum(W.abs(), mine.abs()).amax(-1, keepdim=True)
    slack = 64 * torch.finfo(parameter.dtype).eps
    changed = ((W - mine).abs() > slack * size).any(-1, keepdim=True)
    if not changed.any():
        return
    old = dict(state)
    _read(matrices, state, group)
    if group["metric"] == "frobenius" or "columns" in state:
        return
    found = state["length"] != 0  # a row that was set to zero keeps its direction
    state["direction"] = torch.where(changed & found, state["direction"], old["direction"])
    state["length"] = torch.where(changed, state["length"], old["length"])
    state["undefined"] = any_zero(state["direction"], group)


def change(state: State, group: Group, L: Tensor, R: Tensor) -> None:
    """Go over to the coordinates of a new S = L L^T, R = L^-T; W stays where it is."""
    before, state["root"] = state.get("root"), R
    if not group["precondition"]:
        state["factor"] = L
    if "direction" not in state:
        return
    kept = group["retraction"] == "normalize" or group["precondition"]  # else angles would go down
    old = state["direction"]
    V = times(old, None if before is None else before.mT) @ L
    stretch = rules.norm(V, whole=False) / nonzero(rules.norm(old, whole=False))
    stretch = nonzero(stretch)
    # W = g V R^T/||V||: what V's rows gain in norm, g gains too.
    state["length"] = state["length"] * stretch
    state["direction"] = V / stretch if kept else V
    if "momentum" in state and group["precondition"]:
        M = state["momentum"]
        if before is not None:  # M is the gradient by U, times R
            M = torch.linalg.solve_triangular(before, M, upper=True, left=False)
        state["momentum"] = (M @ R) * (stretch if kept else 1.0)
