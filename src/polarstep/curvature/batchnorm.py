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

a block as in `contraction` and one whose rank is at most twice the number of statistics, see
`lowrank`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .lowrank import Dense, Factored, Side
from .problem import NotSeparable, Problem
from .sites import Site, ranges, tangents, together


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
        node = torch.cat([mean, variance])
        nodes.append(node if node.requires_grad else node.requires_grad_())
        return call.normalized(input, node)

    loss = problem.loss({torch.nn.functional.batch_norm: normalize})
    if not nodes:
        return None
    gradients = torch.autograd.grad(loss, nodes, allow_unused=True, materialize_grads=True)
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


class Corrections:
    """Y and Z of every pair of parameters.

    Derivatives are taken once, at construction: of every site's delta and inputs by the
    statistics, of the normalized inputs by everything before them, and of dL/ds by s. A derivative
    by a weight is laid out as the values of a `lowrank.Side`, a column per statistic.

    Parameters
    ----------
    loss, statistics
        L and its statistics, of `lagrangian`.
    places : dict
        The site and delta = dL/dz of every parameter, by name.
    late : names
        Those that stand second in a pair.
    memory : int
        Bytes that may be used, about.
    """

    def __init__(
        self,
        loss: Tensor,
        statistics: Statistics,
        places: Mapping[str, tuple[Site, Tensor]],
        late: Iterable[str],
        memory: int,
    ) -> None:
        self.statistics = statistics
        self.sites = {name: site for name, (site, _) in places.items()}
        self.room = memory // (2 * loss.element_size())
        self.dense: dict[str, bool] = {}
        for name, site in self.sites.items():
            (N, R), s = site.perturbation.shape, site.inputs.shape[1]
            self.dense[name] = site.inputs.requires_grad or 2 * s <= N
            if statistics.count * R * (s if self.dense[name] else N) > self.room:
                raise NotSeparable("its batch statistics are too many for the memory allowed")
        self.partial, self.inverse = self._sensitivities()
        self.touched = {name: _any_column(values) for name, values in self.partial.items()}
        self.mixed = {name: self._mixed(site, delta) for name, (site, delta) in places.items()}
        reached = [_any_column(self._S(name)) for name in late]
        self.curvature = self._curvature(loss, torch.stack(reached).any(0))

    def sides(self, early: str, late: str) -> tuple[Side, Side] | None:
        """(Y of the early parameter, Z of the late one); None where they are zero."""
        S = self._S(late)
        first, second = self.touched[early], _any_column(S)
        if not first.any() and not second.any():
            return None
        Y = _side_by_side((self.partial[early], first), (self.mixed[early], second))
        # S_early^T (L_s,late + L_ss S_late), with the inverse in S_early moved to this side.
        bent = (self.mixed[late] + S @ self.curvature) @ self.inverse.T
        Z = _side_by_side((bent, first), (S, second))
        return self._side(early, Y), self._side(late, Z)

    def _side(self, name: str, values: Tensor) -> Side:
        return Dense(values) if self.dense[name] else Factored(values, self._inputs(name))

    def _inputs(self, name: str) -> Tensor:
        return self.sites[name].inputs.detach()

    def _S(self, name: str) -> Tensor:
        """ds/dW."""
        return self.partial[name] @ self.inverse

    def _sensitivities(self) -> tuple[dict[str, Tensor], Tensor]:
        """(D, A^-T) with ds/dW = D A^-T.

        s = (1/N) sum_n sigma_n(W, s), so that D is the mean of d sigma_n/dW, with s given, and
        A = I - (1/N) sum_n d sigma_n/ds.
        """
        stats, sites = self.statistics, list(self.sites.values())
        partial = {site.name: self._empty(site) for site in sites}
        A = torch.eye(stats.count, dtype=torch.float64, device=stats.given[0].device)
        wanted = [*(site.perturbation for site in sites), *stats.expanded]
        numbers = sum(tensor.numel() for tensor in wanted)
        for input, given, place in zip(stats.inputs, stats.given, stats.places, strict=True):
            N, C = input.shape
            # d sigma = (dz, 2 (z - mean) dz); the second has on average no part in d mean.
            slopes = (2 / N) * (input - given[:C]).detach().T[:, :, None]  # (C, N, 1)
            for some in ranges(C, max(1, self.room // numbers)):
                rows = [slice(first.start + some.start, first.start + some.stop) for first in place]
                moved = tangents(input, wanted, some, self.room)
                for k, dz in enumerate(moved):
                    if dz is None:
                        continue
                    for at, weighted in zip(
                        rows, (dz / N, dz * slopes[some.start : some.stop]), strict=True
                    ):
                        if k >= len(sites):
                            means, variances = stats.places[k - len(sites)]
                            A[at, means.start : variances.stop] -= weighted.sum(1)
                        elif self.dense[sites[k].name]:
                            by_weight = weighted.transpose(1, 2) @ sites[k].inputs.detach()
                            partial[sites[k].name][..., at] = by_weight.permute(1, 2, 0)
                        else:
                            partial[sites[k].name][..., at] = weighted.permute(1, 2, 0)
        return partial, torch.linalg.inv(A).T.to(stats.given[0].dtype)

    def _mixed(self, site: Site, delta: Tensor) -> Tensor:
        """d2L/dW ds = sum_n M_n b_n + delta_n db_n/ds, with M = d delta/ds."""
        stats, inputs = self.statistics, site.inputs.detach()
        mixed = self._empty(site)
        columns = [slice(means.start, variances.stop) for means, variances in stats.places]
        at_once = together(stats.count * len(inputs), self.room)
        for some in ranges(delta.shape[1], at_once):
            units = slice(some.start, some.stop)
            Ms = tangents(delta, stats.expanded, some, self.room)
            for at, M in zip(columns, Ms, strict=True):
                if M is not None and self.dense[site.name]:
                    mixed[units, :, at] += inputs.T @ M
                elif M is not None:
                    mixed[:, units, at] = M.transpose(0, 1)
        for some in ranges(inputs.shape[1] if site.inputs.requires_grad else 0, at_once):
            entries = slice(some.start, some.stop)
            Ps = tangents(site.inputs, stats.expanded, some, self.room)
            for at, P in zip(columns, Ps, strict=True):
                if P is not None:
                    mixed[:, entries, at] += (delta.detach().T @ P).transpose(0, 1)
        return mixed

    def _empty(self, site: Site) -> Tensor:
        """Zeros: a column per statistic."""
        (N, R), s, c = site.perturbation.shape, site.inputs.shape[1], self.statistics.count
        return site.perturbation.new_zeros((R, s, c) if self.dense[site.name] else (N, R, c))

    def _curvature(self, loss: Tensor, needed: Tensor) -> Tensor:
        """L_ss: symmetric, in those rows and columns that a late layer's S can meet."""
        stats = self.statistics
        curvature = stats.given[0].new_zeros(stats.count, stats.count)
        slopes = torch.autograd.grad(
            loss, stats.given, create_graph=True, allow_unused=True, materialize_grads=True
        )
        at_once = together(stats.count * len(stats.inputs[0]), self.room)
        for slope, (means, _) in zip(slopes, stats.places, strict=True):
            for some in ranges(len(slope), at_once):
                rows = slice(means.start + some.start, means.start + some.stop)
                if not needed[rows].any():
                    continue
                moved = tangents(slope[None], stats.given, some, self.room)
                for part, (first, last) in zip(moved, stats.places, strict=True):
                    if part is not None:
                        columns = slice(first.start, last.stop)
                        curvature[rows, columns] = part
                        curvature[columns, rows] = part.T
        return curvature


def _side_by_side(*parts: tuple[Tensor, Tensor]) -> Tensor:
    """The chosen columns of several values."""
    return torch.cat([v if chosen.all() else v[..., chosen] for v, chosen in parts], dim=-1)


def _any_column(values: Tensor) -> Tensor:
    """Which columns, along the last dimension, are not zero."""
    return values.flatten(0, 1).abs().amax(0) > 0
