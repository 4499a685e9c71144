"""One step of matrices of one shape, all together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus

from . import rules
from .coordinates import Group, State, any_zero, nonzero, times
from .sharding import Matrices


def turn(
    group: Group,
    states: Sequence[State],
    gradients: Sequence[Tensor],
    factor: float,
    spread: Matrices | None = None,
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Step the states of parameters by their gradients, both as stacks of matrices.

    ``factor`` multiplies the directions' step; ``spread`` is how the matrices (of one parameter
    then) are spread over ranks by their rows, if they are. Returns, for each parameter, W, and the
    directions before and after.
    """
    counts = [len(G) for G in gradients]
    whole, kept = group["metric"] == "frobenius", group["retraction"] == "normalize"
    step = states[0]["step"] + 1
    new: dict[str, Tensor] = {}

    def of(key: str) -> Tensor:
        return torch.cat([state[key] for state in states])

    V, g = of("direction"), of("length")
    radius = of("radius") if whole else 1.0
    roots = [state.get("root") for state in states]
    G = torch.cat([times(G, R) for G, R in zip(gradients, roots, strict=True)])
    if states[0]["undefined"]:
        zero = rules.norm(V, whole=whole) == 0
        V = torch.where(zero, -radius * rules.unit(G, whole=whole), V)
    before = V

    # The gradients by the gains of rows and columns, and by V.
    stretch = 1.0 if kept else radius / nonzero(rules.norm(V, whole=whole))
    U = V if kept else stretch * V
    slopes = {}
    if group["gains"] == "both":
        slopes["columns"] = (g * G * U).sum(-2, keepdim=True)
        G = G * of("columns")
    slopes["length"] = rules.inner(G, U, whole=group["gains"] == "matrix")
    C = g * G
    if group["tangent"]:
        C = rules.tangent(C, U, radius, whole=whole)
    if not kept:
        C = stretch * C

    # The direction. Without preconditioning its rule works on the gradient by U, which is C L^T.
    Ls = [state.get("factor") for state in states]
    C = _times_each(C, [None if L is None else L.mT for L in Ls], counts)
    if group["direction"] == "adam":
        Q, new["momentum"], new["square"] = rules.adam(
            C, of("momentum"), of("square"), step, group["betas"], group["eps"]
        )
    elif group["momentum"]:
        Q, new["momentum"] = rules.with_momentum(
            C, of("momentum"), group["momentum"], group["nesterov"]
        )
    else:
        Q = C
    polar = None
    if group["direction"] == "polar":
        Q = Q if spread is None else spread.gather(Q)
        polar = Q.shape[-2], Q.shape[-1]
        Q = rules.polar_factor(
            Q, iteration=group["polar"], steps=group["polar_steps"], dtype=group["polar_dtype"]
        )
        Q = Q if spread is None else spread.own(Q)
    Q = rules.scaled(_times_each(Q, Ls, counts), _angle(group), radius, polar=polar, whole=whole)
    lr = float(group["lr"]) * factor
    if group["largest_angle"] is not None:
        size, most = rules.norm(V, whole=whole), group["largest_angle"]
        turned = abs(lr) * rules.norm(Q, whole=whole) / nonzero(size)
        Q = Q * (most / nonzero(turned)).clamp_max(1.0)
    V = torch.add(V, Q, alpha=-lr)
    on_sphere = V * (radius / nonzero(rules.norm(V, whole=whole)))
    new["direction"] = on_sphere if kept else V

    # The gains, by the slopes at the old point.
    W = on_sphere
    for key, slope in slopes.items():
        new |= _stretched(group, key, of, slope, step)
        W = new[key] * W

    pieces = {key: torch.split(value, counts) for key, value in new.items()}
    for k, state in enumerate(states):
        state |= {key: piece[k] for key, piece in pieces.items()}
        state["step"] = step
        if state["undefined"]:
            state["undefined"] = any_zero(state["direction"], group)
    weights = [
        times(piece, None if R is None else R.mT)
        for piece, R in zip(torch.split(W, counts), roots, strict=True)
    ]
    return weights, list(torch.split(before, counts)), list(pieces["direction"])


def _stretched(
    group: Group, key: str, of: Callable[[str], Tensor], slope: Tensor, step: int
) -> dict[str, Tensor]:
    """The gains after a step of the length rule, and its moments."""
    g = of(key)
    if group["length"] == "fixed":
        return {key: g}
    lr = float(group["lr"])
    if group["length_lr"] is not None:
        lr = group["length_lr"] * (lr / group["base_lr"] if group["base_lr"] else 1.0)
    new = {}
    if group["positive"]:
        g = g + torch.log(-torch.expm1(-g))  # whose softplus is g
        slope = slope * torch.sigmoid(g)
    if group["length"] == "adam":
        slope, new[f"{key}_momentum"], new[f"{key}_square"] = rules.adam(
            slope,
            of(f"{key}_momentum"),
            of(f"{key}_square"),
            step,
            group["betas"],
            group["eps"],
        )
    elif group["length_momentum"]:
        slope, new[f"{key}_momentum"] = rules.with_momentum(
            slope, of(f"{key}_momentum"), group["length_momentum"], nesterov=False
        )
    g = torch.add(g * (1 - lr * group["length_decay"]), slope, alpha=-lr)
    return {key: softplus(g) if group["positive"] else g, **new}


def _angle(group: Group) -> str:
    if group["angle"] != "auto":
        return group["angle"]
    return "rms" if group["direction"] == "polar" else "each"


def _times_each(A: Tensor, factors: list[Tensor | None], counts: list[int]) -> Tensor:
    if all(B is None for B in factors):
        return A
    pieces = zip(torch.split(A, counts), factors, strict=True)
    return torch.cat([times(piece, B) for piece, B in pieces])


def angles(A: Tensor, B: Tensor, *, whole: bool) -> Tensor:
    """Angles between rows (or whole matrices), in radians, accurate for small ones."""
    gap = rules.unit(A, whole=whole) - rules.unit(B, whole=whole)
    return 2 * torch.asin((rules.norm(gap, whole=whole) / 2).clamp_max(1))
