"""The step of several matrices of the same shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from .coordinates import Group, State, times
from .rules import Polar
from .sharding import Matrices
from .spheres import nonzero


def turn(
    group: Group,
    states: Sequence[State],
    gradients: Sequence[Tensor],
    spread: Matrices | None = None,
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Update the states of several parameters, given their gradients.

    Parameters
    ----------
    group : dict
        The param group, with its options.
    states : sequence of dict
        The state of each parameter, which is updated in place; see `coordinates`.
    gradients : sequence of Tensor of shape (matrices, rows, columns)
        The gradient of each parameter.
    spread : Matrices, optional
        How the rows of a single parameter are spread over ranks; None if they are not.

    Returns
    -------
    weights, before, after : list of Tensor
        For each parameter, the new W and the directions before and after the step.
    """
    counts = [len(G) for G in gradients]
    metric, direction, gains = group["metric"], group["direction"], group["gains"]
    angle, normalize = group["angle"], group["retraction"] == "normalize"
    step = states[0]["step"] + 1
    new: dict[str, Tensor] = {}

    def stacked(key: str) -> Tensor:
        return torch.cat([state[key] for state in states])

    V, g = stacked("direction"), stacked("length")
    radius = stacked("radius") if "radius" in states[0] else 1.0
    roots = [state.get("root") for state in states]
    G = torch.cat([times(G, R) for G, R in zip(gradients, roots, strict=True)])
    if states[0]["undefined"]:  # a zero vector takes the direction of steepest descent
        V = torch.where(metric.norm(V) == 0, -radius * metric.unit(G), V)
    before = V

    # The gradients with respect to the gains of rows and columns, and to V.
    stretch = 1.0 if normalize else radius / nonzero(metric.norm(V))
    U = V if normalize else stretch * V
    slopes = {}
    if gains.axes == "both":
        slopes["columns"] = (g * G * U).sum(-2, keepdim=True)
        G = G * stacked("columns")
    slopes["length"] = gains.slopes(G, U)
    C = metric.gradient(g * G, U, radius)
    if not normalize:
        C = stretch * C

    # The new directions. Without preconditioning, their rule uses the gradient with respect to U,
    # which is C L^T.
    Ls = [state.get("factor") for state in states]
    C = _times_each(C, [None if L is None else L.mT for L in Ls], counts)
    Q, moments = direction.update(C, [stacked(key) for key in direction.moments], step)
    new |= dict(zip(direction.moments, moments, strict=True))
    polar = None
    if direction.mixes_rows:
        Q, polar = _polar_factor(direction, Q, spread)
    Q = angle.scale(_times_each(Q, Ls, counts), metric, radius, polar)
    lr = float(group["lr"]) * angle.factor(group["steps"])
    if angle.largest is not None:
        turned = abs(lr) * metric.norm(Q) / nonzero(metric.norm(V))
        Q = Q * (angle.largest / nonzero(turned)).clamp_max(1.0)
    V = torch.add(V, Q, alpha=-lr)
    on_sphere = V * (radius / nonzero(metric.norm(V)))
    new["direction"] = on_sphere if normalize else V

    # The new gains, from the slopes at the old point.
    W = on_sphere
    for gain, slope in slopes.items():
        new |= _step_gain(group, gain, stacked, slope, step)
        W = new[gain] * W

    pieces = {key: torch.split(value, counts) for key, value in new.items()}
    for k, state in enumerate(states):
        state |= {key: piece[k] for key, piece in pieces.items()}
        state["step"] = step
        if state["undefined"]:
            state["undefined"] = metric.any_zero(state["direction"])
    weights = [
        times(piece, None if R is None else R.mT)
        for piece, R in zip(torch.split(W, counts), roots, strict=True)
    ]
    return weights, list(torch.split(before, counts)), list(pieces["direction"])


def _polar_factor(
    direction: Polar, Q: Tensor, spread: Matrices | None
) -> tuple[Tensor, tuple[int, int]]:
    """Return this rank's rows of the polar factors, and the shape of the whole matrices."""
    whole = Q if spread is None else spread.gather(Q)
    rows, columns = whole.shape[-2:]
    factor = direction.factor(whole)
    return factor if spread is None else spread.own(factor), (rows, columns)


def _step_gain(
    group: Group, gain: str, stacked: Callable[[str], Tensor], slope: Tensor, step: int
) -> dict[str, Any]:
    """Return the gains after a step of the length rule, and the new moments of the rule."""
    rule, gains, g = group["length"], group["gains"], stacked(gain)
    if not rule.steps_lengths:
        return {gain: g}
    lr = rule.rate(float(group["lr"]), group["base_lr"])
    if gains.positive:
        g = g + torch.log(-torch.expm1(-g))  # the number whose softplus is g
        slope = slope * torch.sigmoid(g)
    keys = [f"{gain}_{key}" for key in rule.moments]
    update, moments = rule.update(slope, [stacked(key) for key in keys], step)
    g = torch.add(g * (1 - lr * gains.decay), update, alpha=-lr)
    new = dict(zip(keys, moments, strict=True))
    return {gain: softplus(g) if gains.positive else g, **new}


def _times_each(A: Tensor, factors: list[Tensor | None], counts: list[int]) -> Tensor:
    if all(B is None for B in factors):
        return A
    pieces = zip(torch.split(A, counts), factors, strict=True)
    return torch.cat([times(piece, B) for piece, B in pieces])
