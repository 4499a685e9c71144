"""Exact blocks through batch normalization: the batch statistics as variables of their own.

Batch normalization couples the samples of a batch, but only through means and variances. Write
s for all of them, layer after layer, s = (1/N) sum_n sigma_n(W, s) with sigma = (z, (z - mean)^2),
and f(W, s) for the loss with s given, in which the samples are separate. With the multipliers
lambda = df/ds (the gradients that backpropagation sends into the statistics), the function

    L(W, s) = f(W, s) + lambda^T ((1/N) sum_n sigma_n(W, s) - s)

has separate samples, is f(W) wherever s is what W makes it, and is stationary in s there. So with
S_i = ds/dW_i the Hessian of the true loss is, without a term in d2s,

    H_ij = L_ij + S_i^T L_sj + L_is S_j + S_i^T L_ss S_j
         = L_ij + Y_i Z_j^T,    Y_i = [S_i^T, L_is],  Z_j = [L_js + S_j^T L_ss, S_j^T],

a block as in `contraction` and one whose rank is at most twice the number of statistics. Its norm
is that of the first, plus twice their inner product, plus <Y^T Y, Z^T Z>.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from . import contraction
from .contraction import Factors, block, square
from .problem import NotSeparable, Problem

_SAMPLES = 256  # at a time
_LOSS = 1e-2  # of a squared norm to cancellation


@dataclass
class Statistics:
    """The batch statistics of every normalization, in the order of their calls.

    given: leaves (2 C,), means and then variances of C channels. expanded: the same for every
    sample, (N, 2 C), which is what the samples see. inputs: what is normalized, (N, C).
    """

    given: list[Tensor]
    expanded: list[Tensor]
    inputs: list[Tensor]

    @property
    def places(self) -> list[tuple[slice, slice]]:
        """Where the means and the variances of every normalization stand in s."""
        result, start = [], 0
        for values in self.given:
            middle, stop = start + len(values) // 2, start + len(values)
            result.append((slice(start, middle), slice(middle, stop)))
            start = stop
        return result

    @property
    def count(self) -> int:
        """How many numbers s holds."""
        return sum(len(values) for values in self.given)


def multipliers(problem: Problem) -> list[tuple[Tensor, Tensor]] | None:
    """(statistics, df/d statistics) of every normalization by batch statistics; None without any.

    Raises
    ------
    NotSeparable
        If one does not normalize one vector per sample.
    """
    nodes: list[Tensor] = []

    def normalize(input: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        call = _Call(*arguments, **keywords)
        if not call.by_batch:
            return torch.nn.functional.batch_norm(input, *arguments, **keywords)
        if input.ndim != 2:
            raise NotSeparable("batch normalization over more than one vector per sample")
        mean = input.mean(0)
        variance = (input - mean).square().mean(0)
        nodes.append(torch.cat([mean, variance]))
        return call.normalized(input, nodes[-1])

    loss = problem.loss({torch.nn.functional.batch_norm: normalize})
    if not nodes:
        return None
    gradients = torch.autograd.grad(loss, nodes)
    return [(node.detach(), g) for node, g in zip(nodes, gradients, strict=True)]


def lagrangian(
    problem: Problem, known: Sequence[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Statistics]:
    """L, with the statistics as leaves, up to its constant lambda^T s."""
    statistics = Statistics([], [], [])
    terms: list[Tensor] = []

    def normalize(input: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        call = _Call(*arguments, **keywords)
        if not call.by_batch:
            return torch.nn.functional.batch_norm(input, *arguments, **keywords)
        values, weights = known[len(terms)]
        given = values.clone().requires_grad_()
        expanded = given.expand(len(input), -1).clone()
        statistics.given.append(given)
        statistics.expanded.append(expanded)
        statistics.inputs.append(input)
        deviation = input - expanded[:, : input.shape[1]]
        sigma = torch.cat([input, deviation.square()], dim=1)
        terms.append(sigma.mean(0) @ weights)
        return call.normalized(input, expanded)

    loss = problem.loss({torch.nn.functional.batch_norm: normalize})
    return loss + torch.stack(terms).sum(), statistics


class _Call:
    """One call of torch.nn.functional.batch_norm, by its arguments after the input."""

    def __init__(
        self,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> None:
        self.by_batch, self.weight, self.bias, self.eps = training, weight, bias, eps

    def normalized(self, input: Tensor, statistics: Tensor) -> Tensor:
        mean, variance = statistics.chunk(2, dim=-1)
        output = (input - mean) / (variance + self.eps).sqrt()
        if self.weight is not None:
            output = output * self.weight
        return output if self.bias is None else output + self.bias


@dataclass(frozen=True)
class Dense:
    """Y or Z of some units as it is: values (R, s, k), a matrix per unit."""

    values: Tensor

    def along(self, samples: slice, b: Tensor) -> Tensor:
        """Contracted with the inputs b: (samples, R, k)."""
        R, s, k = self.values.shape
        return (b[samples] @ self.values.transpose(0, 1).reshape(s, R * k)).view(-1, R, k)

    def gram(self, samples: slice, along: Tensor) -> Tensor:
        """What some samples contribute to Y^T Y, (k, k); here all is in the first ones."""
        if samples.start:
            return self.values.new_zeros(())
        flat = self.values.flatten(0, 1)
        return flat.T @ flat

    def on_tangents(self, lengths: Tensor, directions: Tensor) -> Dense:
        """For the derivatives by the units' directions, see `directions.to_directions`."""
        radial = (directions[:, None, :] @ self.values) * directions[:, :, None]
        return Dense(lengths[:, None, None] * (self.values - radial))

    def rows(self, chosen: slice) -> Dense:
        """Some of the units."""
        return Dense(self.values[chosen])

    def double(self) -> Dense:
        return Dense(self.values.double())


@dataclass(frozen=True)
class Factored:
    """The same as sum_n values_n[r] b_n[s], values (N, R, k), where b, (N, s), is wide.

    radial: (N, R), the inputs' parts b_n . u_r along the units' directions, which are left out;
    None leaves out nothing.
    """

    values: Tensor
    b: Tensor
    radial: Tensor | None = None

    def along(self, samples: slice, b: Tensor) -> Tensor:
        N, R, k = self.values.shape
        result = (b[samples] @ b.T @ self.values.view(N, R * k)).view(-1, R, k)
        if self.radial is not None:
            lost = (self.radial.T[:, None, :] @ self.values.transpose(0, 1)).squeeze(1)  # (R, k)
            result -= self.radial[samples, :, None] * lost
        return result

    def gram(self, samples: slice, along: Tensor) -> Tensor:
        return self.values[samples].flatten(0, 1).T @ along.flatten(0, 1)

    def on_tangents(self, lengths: Tensor, directions: Tensor) -> Factored:
        return Factored(lengths[:, None] * self.values, self.b, self.b @ directions.T)

    def rows(self, chosen: slice) -> Factored:
        radial = None if self.radial is None else self.radial[:, chosen]
        return Factored(self.values[:, chosen].contiguous(), self.b, radial)

    def double(self) -> Factored:
        radial = None if self.radial is None else self.radial.double()
        return Factored(self.values.double(), self.b.double(), radial)


Side = Dense | Factored


def squared_norm(
    f: Factors, Y: Side, Z: Side, units: Sequence[tuple[Tensor, Tensor]] | None, memory: int
) -> float:
    """||B + Y Z^T||^2 for the block B of `f`, on the tangents of the units' spheres if given.

    Directly, or by the three terms of the square where that costs less and loses no more than two
    digits to cancellation (it loses more where a bias stands before the normalization).
    """
    if units is not None:
        Y, Z = Y.on_tangents(*units[0]), Z.on_tangents(*units[1])
        f = f.scaled(units[1][0], units[0][0])
    R, N, p = f.M.shape
    q, s, k = f.a.shape[1], f.b.shape[1], Y.values.shape[-1]
    dense = isinstance(Y, Dense) and isinstance(Z, Dense)
    built = R * s * p * q * (2 * N + k)
    apart = N * N * R * (p + q) * 1.5 + 3 * N * k * (R * s + p * q)
    if not dense or apart < built:
        total, base = _by_terms(f, Y, Z, units, memory)
        if total > _LOSS * base:
            return total
        if not dense:
            return _by_terms(f.double(), Y.double(), Z.double(), units, memory)[0]
    assert isinstance(Y, Dense)
    assert isinstance(Z, Dense)
    return _built(f, Y, Z, units, memory)


def _built(
    f: Factors, Y: Dense, Z: Dense, units: Sequence[tuple[Tensor, Tensor]] | None, memory: int
) -> float:
    """The norm of the block itself, some rows at a time."""
    R, s, k = Y.values.shape
    p, q, _ = Z.values.shape
    rows = max(1, memory // (4 * s * p * q * f.a.element_size()))
    total = 0.0
    for start in range(0, R, rows):
        some = slice(start, start + rows)
        B = block(f.rows(some))  # (R, s, p, q)
        if units is not None:
            early, late = units[0][1][some], units[1][1]
            B -= torch.einsum("rs,rpq->rspq", early, torch.einsum("rspq,rs->rpq", B, early))
            B -= torch.einsum("pq,rsp->rspq", late, torch.einsum("rspq,pq->rsp", B, late))
        B += (Y.values[some].reshape(-1, k) @ Z.values.view(-1, k).T).view_as(B)
        total += square(B)
    return total


def _by_terms(
    f: Factors, Y: Side, Z: Side, units: Sequence[tuple[Tensor, Tensor]] | None, memory: int
) -> tuple[float, float]:
    """(||B + Y Z^T||^2, ||B||^2), the first as ||B||^2 + 2 <B, Y Z^T> + <Y^T Y, Z^T Z>."""
    base = contraction.squared_norm(f, memory)
    if units is not None:
        base -= contraction.radial_part(f, units[1][1], units[0][1], memory)
    k = Y.values.shape[-1]
    grams = [f.a.new_zeros(k, k, dtype=torch.float64) for _ in range(2)]
    total = base
    for start in range(0, len(f.b), _SAMPLES):
        samples = slice(start, start + _SAMPLES)
        along_b, along_a = Y.along(samples, f.b), Z.along(samples, f.a)  # (n, R, k), (n, p, k)
        grams[0] += Y.gram(samples, along_b)
        grams[1] += Z.gram(samples, along_a)
        total += 2 * _inner(along_b @ along_a.transpose(1, 2), f.M[:, samples])
        if f.P is not None:
            # A late layer whose inputs move has Z dense.
            assert isinstance(Z, Dense)
            p, q, _ = Z.values.shape
            turned = (f.delta[samples] @ Z.values.view(p, q * k)).view(-1, q, k)
            total += 2 * _inner(along_b @ turned.transpose(1, 2), f.P[:, samples])
    return total + float((grams[0] * grams[1]).sum()), base


def _inner(pairs: Tensor, jacobian: Tensor) -> float:
    return float((pairs * jacobian.transpose(0, 1)).sum(dtype=torch.float64))


class Corrections:
    """Everything about the statistics that the blocks of the given sites need.

    Derivatives are taken once, at construction: of every site's delta and inputs by the
    statistics, of the normalized inputs by everything before them, and of dL/ds by s.
    """

    def __init__(self, recording: Any, late: Iterable[str], tangents: Any, memory: int) -> None:
        self.statistics: Statistics = recording.statistics
        sites, deltas = recording.sites, recording.deltas
        self.tangents = tangents
        self.N = N = len(sites[0].inputs)
        self.room = memory // (2 * deltas[0].element_size())
        self.inputs = {site.name: site.inputs.detach() for site in sites}
        self.dense: dict[str, bool] = {}
        for site in sites:
            R, s, c = site.perturbation.shape[1], site.inputs.shape[1], self.statistics.count
            self.dense[site.name] = site.inputs.requires_grad or 2 * s <= N
            size = R * c * (s if self.dense[site.name] else N)
            if size > self.room:
                raise NotSeparable("its batch statistics are too many for the memory allowed")
        self.S = self._sensitivities(sites)
        self.reached = {
            name: values.flatten(0, 1).abs().amax(0) > 0 for name, values in self.S.items()
        }
        self.L_ws = {
            site.name: self._mixed(site, delta) for site, delta in zip(sites, deltas, strict=True)
        }
        self.L_ss = self._curvature(recording.loss, [self.reached[name] for name in late])

    def sides(self, early: str, late: str) -> tuple[Side, Side] | None:
        """(Y of the early parameter, Z of the late one); None where they are zero."""
        first, second = self.reached[early], self.reached[late]
        Y = torch.cat([self.S[early][..., first], self.L_ws[early][..., second]], dim=-1)
        bent = self.L_ws[late][..., first] + self.S[late] @ self.L_ss[:, first]
        Z = torch.cat([bent, self.S[late][..., second]], dim=-1)
        if Y.shape[-1] == 0:
            return None
        return self._side(early, Y), self._side(late, Z)

    def _side(self, name: str, values: Tensor) -> Side:
        return Dense(values) if self.dense[name] else Factored(values, self.inputs[name])

    def _sensitivities(self, sites: Sequence[Any]) -> dict[str, Tensor]:
        """S = ds/dW of every site, laid out as a `Side`: A^-1 of the partial derivatives.

        s = (1/N) sum_n sigma_n(W, s), so that A = I - (1/N) sum_n d sigma_n/ds.
        """
        stats = self.statistics
        partial = {site.name: self._empty(site) for site in sites}
        A = torch.eye(stats.count, dtype=torch.float64, device=stats.given[0].device)
        wanted = [*(site.perturbation for site in sites), *stats.expanded]
        for input, given, place in zip(stats.inputs, stats.given, stats.places, strict=True):
            C = input.shape[1]
            moved = self.tangents(input, wanted, range(C), self.room)
            # d sigma = (dz, 2 (z - mean) dz); the second has on average no part in d mean.
            slopes = (2 / self.N) * (input - given[:C]).detach().T[:, :, None]  # (C, N, 1)
            means, variances = place
            for site, dz in zip(sites, moved, strict=False):
                if dz is None:
                    continue
                for rows, weighted in ((means, dz / self.N), (variances, dz * slopes)):
                    if self.dense[site.name]:
                        block = weighted.transpose(1, 2) @ site.inputs.detach()  # (C, R, s)
                        partial[site.name][..., rows] = block.permute(1, 2, 0)
                    else:
                        partial[site.name][..., rows] = weighted.permute(1, 2, 0)
            for columns, dz in zip(stats.places, moved[len(sites) :], strict=True):
                if dz is None:
                    continue
                whole = slice(columns[0].start, columns[1].stop)
                A[means, whole] -= dz.mean(1)
                A[variances, whole] -= (dz * slopes).sum(1)
        inverse = torch.linalg.inv(A).T
        return {name: values @ inverse.to(values.dtype) for name, values in partial.items()}

    def _mixed(self, site: Any, delta: Tensor) -> Tensor:
        """L_ws of a site, laid out as a `Side`."""
        stats, inputs = self.statistics, site.inputs.detach()
        mixed = self._empty(site)
        units, entries = range(delta.shape[1]), range(inputs.shape[1])
        Ms = self.tangents(delta, stats.expanded, units, self.room)
        Ps: list[Tensor | None] = [None] * len(Ms)
        if site.inputs.requires_grad:
            Ps = self.tangents(site.inputs, stats.expanded, entries, self.room)
        for (means, variances), M, P in zip(stats.places, Ms, Ps, strict=True):
            columns = slice(means.start, variances.stop)
            if M is not None and self.dense[site.name]:
                mixed[..., columns] += inputs.T @ M
            elif M is not None:
                mixed[..., columns] = M.transpose(0, 1)
            if P is not None:
                mixed[..., columns] += (delta.detach().T @ P).transpose(0, 1)
        return mixed

    def _empty(self, site: Any) -> Tensor:
        """Zeros for a site, laid out as a `Side` with a column per statistic."""
        R, s, c = site.perturbation.shape[1], site.inputs.shape[1], self.statistics.count
        shape = (R, s, c) if self.dense[site.name] else (self.N, R, c)
        return site.perturbation.new_zeros(shape)

    def _curvature(self, loss: Tensor, masks: Sequence[Tensor]) -> Tensor:
        """L_ss: symmetric, in those rows and columns that a late layer's S can meet."""
        stats = self.statistics
        total = stats.count
        needed = torch.stack(list(masks)).any(0)
        curvature = loss.new_zeros(total, total)
        slopes = torch.autograd.grad(loss, stats.given, create_graph=True)
        for slope, (means, variances) in zip(slopes, stats.places, strict=True):
            rows = slice(means.start, variances.stop)
            if not needed[rows].any():
                continue
            moved = self.tangents(slope[None], stats.given, range(len(slope)), self.room)
            for part, (first, last) in zip(moved, stats.places, strict=True):
                if part is not None:
                    columns = slice(first.start, last.stop)
                    curvature[rows, columns] = part
                    curvature[columns, rows] = part.T
        return curvature
