"""Exact block norms of networks that are linear in each weight and treat samples separately.

A weight W that is used once, in z_n = W b_n for each sample n, acts through z alone. Derivatives
with respect to the R units of z therefore contain the derivatives with respect to all R s entries
of W, and `contraction` computes the norms of the blocks from the per-sample Jacobians of z.

`record` verifies by differentiation that a model is of this kind. It makes the weights of linear
layers constant, adds a perturbation to each layer's output, and checks that the loss no longer
depends on the weights, and that the derivatives for one sample do not depend on other samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from . import batchnorm, lowrank
from .batch_loss import BatchLoss, NotSeparable
from .contraction import Factors
from .directions import units_of
from .sites import Site, ranges, sites_of, tangents


@dataclass(frozen=True)
class Recording:
    """A loss with separate samples, and its derivatives at the sites of the parameters.

    `sites` are in the order in which the layers were called, and `deltas` holds dl/dz for each.
    `statistics` are those of batch normalization (see `batchnorm`), or None without it.
    """

    loss: Tensor
    sites: list[Site]
    deltas: list[Tensor]
    statistics: batchnorm.Statistics | None


def record(batch_loss: BatchLoss, names: Sequence[str]) -> Recording:
    """Call the model once and check that the formulas of `contraction` hold for its loss.

    Raises
    ------
    NotSeparable
        If these formulas do not hold; the message says why.
    """
    known = batchnorm.multipliers(batch_loss)
    statistics = None
    with sites_of(batch_loss, names) as sites:
        if known is None:
            loss = batch_loss.evaluate()
        else:
            loss, statistics = batchnorm.lagrangian(batch_loss, known)
    if missing := set(names) - {site.name for site in sites}:
        raise NotSeparable(f"{min(missing)} is not used")
    kinds = {(len(t), t.dtype) for site in sites for t in (site.inputs, site.perturbation)}
    if len(kinds) > 1:
        raise NotSeparable("its layers differ in the number of samples or in the data type")
    # The sites use the parameters as constants, so any remaining dependence is outside the sites.
    parameters = [batch_loss.parameters[site.name] for site in sites]
    outside = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    for site, gradient in zip(sites, outside, strict=True):
        if gradient is not None:
            raise NotSeparable(f"{site.name} also acts outside of its linear layer")
    perturbations = [site.perturbation for site in sites]
    found = torch.autograd.grad(loss, perturbations, create_graph=True, allow_unused=True)
    deltas = [delta for delta in found if delta is not None]
    if len(deltas) < len(sites):
        raise NotSeparable("the loss does not depend on one of its layers")
    recording = Recording(loss, sites, deltas, statistics)
    _check_samples(recording)
    return recording


def _check_samples(recording: Recording) -> None:
    """Check that random tangents on some samples leave the derivatives of all others at zero.

    For each bit k, the tangents are on the samples whose index has bit k set, so at least one k
    distinguishes any two samples.
    """
    sites, statistics = recording.sites, recording.statistics
    inputs = [site.perturbation for site in sites]
    outputs = [site.inputs for site in sites if site.inputs.requires_grad]
    if statistics is not None:
        inputs += statistics.expanded
        outputs += statistics.inputs
    N = len(sites[0].inputs)
    indices = torch.arange(N, device=inputs[0].device)
    for some in (recording.deltas, outputs):
        live = [tensor for tensor in some if tensor.requires_grad]
        probes = [torch.randn_like(tensor) for tensor in live]
        for k in range((N - 1).bit_length() if live else 0):
            part = indices.bitwise_right_shift(k) % 2 == 1
            found = torch.autograd.grad(
                live,
                inputs,
                [probe * part[:, None] for probe in probes],
                retain_graph=True,
                allow_unused=True,
            )
            if any(bool(tensor[~part].any()) for tensor in found if tensor is not None):
                raise NotSeparable("its samples depend on one another")


def squared_norms(
    batch_loss: BatchLoss,
    pairs: Sequence[tuple[str, str]],
    directions: bool,
    memory: int,
    bar: Any,
) -> dict[tuple[str, str], float]:
    """Return the squared norm of the block for each pair of names; `bar` is a progress bar."""
    names = sorted({name for pair in pairs for name in pair})
    recording = record(batch_loss, names)
    places = {s.name: (s, d) for s, d in zip(recording.sites, recording.deltas, strict=True)}
    ordered = {pair: sorted(pair, key=lambda name: places[name][0].order) for pair in pairs}
    corrections = None
    if recording.statistics is not None:
        last = {name for _, name in ordered.values()}
        corrections = batchnorm.Corrections(
            recording.loss, recording.statistics, places, last, memory
        )
    bar.reset(total=len(pairs))
    result = dict.fromkeys(pairs, 0.0)
    for early in dict.fromkeys(first for first, _ in ordered.values()):
        site, delta = places[early]
        R = delta.shape[1]
        mine = [pair for pair in pairs if ordered[pair][0] == early]
        sizes = {pair: _jacobian_size(site, places[ordered[pair][1]][0]) for pair in mine}
        room = memory // (2 * delta.element_size())
        rows = max(1, min(R, room // max(sizes.values())))
        for chosen in ranges(R, rows):
            for group in _groups(mine, {pair: rows * sizes[pair] for pair in mine}, room):
                lates = [places[ordered[pair][1]] for pair in group]
                Ms, Ps = jacobians(site, delta, [late for late, _ in lates], chosen, room)
                for pair, (late, late_delta), M, P in zip(group, lates, Ms, Ps, strict=True):
                    inputs = late.inputs.detach(), site.inputs.detach()
                    factors = Factors(M, P, late_delta.detach(), *inputs)
                    sides = corrections.sides(early, late.name) if corrections else None
                    units = None
                    if directions:
                        units = [units_of(batch_loss.parameters[name]) for name in ordered[pair]]
                    if len(chosen) < R:
                        some = slice(chosen.start, chosen.stop)
                        sides = sides and (sides[0].rows(some), sides[1])
                        units = units and [(units[0][0][some], units[0][1][some]), units[1]]
                    result[pair] += lowrank.squared_norm(factors, sides, units, memory)
                    if chosen.stop == R:
                        bar.update()
    return {pair: max(value, 0.0) for pair, value in result.items()}


def jacobians(
    site: Site, delta: Tensor, lates: Sequence[Site], rows: range, room: int
) -> tuple[list[Tensor], list[Tensor | None]]:
    """Return M = d delta_late/dz and P = d inputs_late/dz for some units of `site`.

    See `contraction` for the notation. The tensors have the shape (units, N, ...); `room` is the
    number of floating-point numbers that may be held at once.
    """
    perturbations = [late.perturbation for late in lates]
    Ms = tangents(delta, perturbations, rows, room)
    # Differentiating a vector-Jacobian product with respect to its vector gives the Jacobian.
    later = [late.inputs for late in lates if late.order > site.order]
    later = [inputs for inputs in dict.fromkeys(later) if inputs.requires_grad]
    covectors = [torch.zeros_like(inputs, requires_grad=True) for inputs in later]
    moved: list[Tensor | None] = [None] * len(later)
    if later:
        (product,) = torch.autograd.grad(
            later, site.perturbation, covectors, create_graph=True, allow_unused=True
        )
        if product is not None:
            moved = tangents(product, covectors, rows, room)
    found = dict(zip(later, moved, strict=True))
    return (
        [_zeros_if_none(M, p, rows) for M, p in zip(Ms, perturbations, strict=True)],
        [found.get(late.inputs) if late.order > site.order else None for late in lates],
    )


def _zeros_if_none(M: Tensor | None, like: Tensor, rows: range) -> Tensor:
    return like.new_zeros(len(rows), *like.shape) if M is None else M


def _jacobian_size(early: Site, late: Site) -> int:
    """Return the size of the Jacobians for one tangent."""
    inputs = late.inputs.numel() if late.order > early.order else 0
    return late.perturbation.numel() + inputs


def _groups(items: Sequence[Any], sizes: Mapping[Any, int], room: int) -> Iterator[list[Any]]:
    """Split items into consecutive groups whose sizes sum to at most `room` where possible."""
    group: list[Any] = []
    for item in items:
        if group and sum(sizes[other] for other in [*group, item]) > room:
            yield group
            group = []
        group.append(item)
    if group:
        yield group
