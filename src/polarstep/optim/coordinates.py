"""Conversion of a weight W to lengths and directions and back, and to a new covariance.

The state of a parameter holds, with matrices stacked as in `sharding.Matrices`,

    direction   V, (matrices, rows, columns): rows of norm one, or matrices of norm ``radius``, or
                vectors of any norm with retraction "none". With a root, V is in whitened
                coordinates
    length      g, (matrices, rows, 1), or (matrices, 1, 1) for one gain of the whole matrix
    columns     h, (matrices, 1, columns), if columns have gains
    radius      (matrices, 1, 1), in the Frobenius metric
    root        R with S^-1 = R R^T, (columns, columns), or one for each group of a convolution

so that W = diag(g) V R^T diag(h), with V scaled to its sphere.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .sharding import Matrices
from .spheres import ROWS, nonzero

State = dict[str, Any]
Group = dict[str, Any]


def times(A: Tensor, B: Tensor | None) -> Tensor:
    """Return A B, where None stands for the identity."""
    return A if B is None else A @ B


def start(matrices: Matrices, state: State, group: Group) -> None:
    """Set the lengths and directions to those of W, and the moments to zero."""
    _read(matrices, state, group)
    if group["retraction"] == "none" and "root" in state and group["metric"].precondition:
        state["direction"] = ROWS.unit(state["direction"])  # so that angles start at lr
    state["unstarted"] = group["start_length"] is not None
    state["step"] = 0
    for key in group["direction"].moments:
        state[key] = torch.zeros_like(state["direction"])
    for gain in ("length", "columns"):
        if gain in state:
            for key in group["length"].moments:
                state[f"{gain}_{key}"] = torch.zeros_like(state[gain])


def start_lengths(state: State, group: Group) -> None:
    """Set the lengths of all rows that are not zero to ``start_length``."""
    is_zero = state["length"] == 0
    state["length"] = torch.where(is_zero, state["length"], group["start_length"])
    state["unstarted"] = False


def _read(matrices: Matrices, state: State, group: Group) -> None:
    metric, gains, root = group["metric"], group["gains"], state.get("root")
    parameter = matrices.entry.parameter.detach()
    dtype = torch.promote_types(parameter.dtype, torch.float32)
    W = matrices.read(parameter).to(dtype).contiguous()
    # V R^T = W
    V = W if root is None else torch.linalg.solve_triangular(root.mT, W, upper=False, left=False)
    state |= metric.split(V)
    if group["retraction"] == "none":
        state["direction"] = V.clone()
    if gains.axes != "matrix":
        state["length"] = state["length"].expand(-1, V.shape[1], 1).clone()
    if gains.positive:  # softplus is never zero
        state["length"] = state["length"].clamp_min(torch.finfo(dtype).tiny)
    if gains.axes == "both":
        state["columns"] = torch.ones_like(V[:, :1])
    state["undefined"] = metric.any_zero(V)


def composed(state: State, group: Group) -> Tensor:
    """Return W as a stack of matrices."""
    V, root = state["direction"], state.get("root")
    if group["retraction"] == "none":
        V = V * (state.get("radius", 1.0) / nonzero(group["metric"].norm(V)))
    W = state["length"] * V
    if "columns" in state:
        W = W * state["columns"]
    return times(W, None if root is None else root.mT)


def read_changed_rows(matrices: Matrices, state: State, group: Group) -> None:
    """Update the state of the rows of W that were changed from outside, and of no others."""
    metric = group["metric"]
    parameter = matrices.entry.parameter.detach()
    W = matrices.read(parameter).to(state["direction"].dtype)
    expected = composed(state, group)
    size = torch.maximum(W.abs(), expected.abs()).amax(-1, keepdim=True)
    slack = 64 * torch.finfo(parameter.dtype).eps
    changed = ((W - expected).abs() > slack * size).any(-1, keepdim=True)
    if not changed.any():
        return
    old = dict(state)
    _read(matrices, state, group)
    if not metric.rows_are_independent or "columns" in state:
        return
    nonzero_now = state["length"] != 0  # a row that was set to zero keeps its direction
    state["direction"] = torch.where(changed & nonzero_now, state["direction"], old["direction"])
    state["length"] = torch.where(changed, state["length"], old["length"])
    state["undefined"] = metric.any_zero(state["direction"])


def change(state: State, group: Group, L: Tensor, R: Tensor) -> None:
    """Change to the whitened coordinates of a new S = L L^T, R = L^-T; W does not change."""
    precondition = group["metric"].precondition
    before, state["root"] = state.get("root"), R
    if not precondition:
        state["factor"] = L
    if "direction" not in state:
        return
    # V keeps its norm, on which angles depend. The exception is plain batch normalization (no
    # preconditioning, no retraction), where the vector itself stays and its norm changes with S.
    keeps_norm = group["retraction"] == "normalize" or precondition
    old = state["direction"]
    V = times(old, None if before is None else before.mT) @ L
    stretch = nonzero(ROWS.norm(V) / nonzero(ROWS.norm(old)))
    # W = g V R^T/||V||, so that g grows by the same factor as the rows of V.
    state["length"] = state["length"] * stretch
    state["direction"] = V / stretch if keeps_norm else V
    if "momentum" in state and precondition:
        M = state["momentum"]
        if before is not None:  # M is the gradient with respect to U, times R
            M = torch.linalg.solve_triangular(before, M, upper=True, left=False)
        state["momentum"] = (M @ R) * (stretch if keeps_norm else 1.0)
