"""Exact Hessian blocks through batch normalization, by treating batch statistics as variables.

Batch normalization couples the samples of a batch only through means and variances. Let s be the
vector of all these statistics, layer by layer, so that s = (1/N) sum_n sigma_n(W, s) with
sigma = (z, (z - mean)^2), and let f(W, s) be the loss for given s, in which samples are separate.
With the multipliers lambda = df/ds, which backpropagation computes, the Lagrangian

    L(W, s) = f(W, s) + lambda^T ((1/N) sum_n sigma_n(W, s) - s)

has separate samples too. At the s that belongs to W, it equals the loss f(W) and is stationary
in s. With S_i = ds/dW_i, second derivatives of s therefore drop out of the Hessian of the loss,

    H_ij = L_ij + S_i^T L_sj + L_is S_j + S_i^T L_ss S_j
         = L_ij + Y_i Z_j^T,    Y_i = [S_i^T, L_is],  Z_j = [L_js + S_j^T L_ss, S_j^T].

L_ij is a block as in `contraction`. The rank of Y_i Z_j^T is at most twice the number of
statistics; `lowrank` computes the norm of the sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .batch_loss import BatchLoss, NotSeparable
from .lowrank import Dense, Factored, Side
from .sites import Site, ranges, tangents, tangents_at_once


@dataclass
class Statistics:
    """The batch statistics of all normalizations, in the order in which these were called.

    For each normalization of C channels, `given` holds a leaf of C means and C variances, shape
    (2 C,). `expanded` holds copies of it for each sample, (N, 2 C), with which the samples are
    normalized, and `inputs` holds the tensor that is normalized, (N, C).
    """

    given: list[Tensor]
    expanded: list[Tensor]
    inputs: list[Tensor]

    @property
    def places(self) -> list[tuple[slice, slice]]:
        """The positions in s of the means and of the variances of each normalization."""
        result, start = [], 0
        for values in self.given:
            middle, stop = start + len(values) // 2, start + len(values)
            result.append((slice(start, middle), slice(middle, stop)))
            start = stop
        return result

    @property
    def count(self) -> int:
        """The length of s."""
        return sum(len(values) for values in self.given)


def multipliers(batch_loss: BatchLoss) -> list[tuple[Tensor, Tensor]] | None:
    """Return (statistics, multipliers) of each batch normalization, or None if there is none.

    Raises
    ------
    NotSeparable
        If a normalization receives anything but one vector per sample.
    """
    nodes: list[Tensor] = []

    def normalize(input: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        call = _Call(*arguments, **keywords)
        if not call.by_batch:
            return torch.nn.functional.batch_norm(input, *arguments, **keywords)
        if input.ndim != 2:
            raise NotSeparable("batch normalization has more than one vector per sample")
        mean = input.mean(0)
        variance = (input - mean).square().mean(0)
        node = torch.cat([mean, variance])
        nodes.append(node if node.requires_grad else node.requires_grad_())
        return call.normalized(input, node)

    loss = batch_loss.evaluate({torch.nn.functional.batch_norm: normalize})
    if not nodes:
        return None
    gradients = torch.autograd.grad(loss, nodes, allow_unused=True, materialize_grads=True)
    return [(node.detach(), g) for node, g in zip(nodes, gradients, strict=True)]


def lagrangian(
    batch_loss: BatchLoss, known: Sequence[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Statistics]:
    """Return L without its constant lambda^T s, and the statistics, which are leaves of L."""
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

    loss = batch_loss.evaluate({torch.nn.functional.batch_norm: normalize})
    return loss + torch.stack(terms).sum(), statistics


class _Call:
    """The arguments of one call of torch.nn.functional.batch_norm, apart from the input."""

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
    """The matrices Y and Z of each pair of parameters.

    All derivatives are computed at construction: those of each site's delta and inputs with respect
    to the statistics, those of the normalized inputs with respect to everything before them, and
    those of dL/ds with respect to s. A derivative with respect to a weight has the layout of the
    values of a `lowrank.Side`, with one column per statistic.

    Parameters
    ----------
    loss, statistics : Tensor, Statistics
        The result of `lagrangian`.
    places : dict
        The site and delta = dL/dz of each parameter, by name.
    late : iterable of str
        The parameters that are second in some pair.
    memory : int
        The approximate number of bytes that may be used.
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
                raise NotSeparable("the batch statistics do not fit into the memory allowed")
        self.partial, self.inverse = self._sensitivities()
        self.nonzero = {name: _nonzero_columns(values) for name, values in self.partial.items()}
        self.mixed = {name: self._mixed(site, delta) for name, (site, delta) in places.items()}
        reached = [_nonzero_columns(self._S(name)) for name in late]
        self.curvature = self._curvature(loss, torch.stack(reached).any(0))

    def sides(self, early: str, late: str) -> tuple[Side, Side] | None:
        """Return Y of the early parameter and Z of the late one, or None if both are zero."""
        S = self._S(late)
        first, second = self.nonzero[early], _nonzero_columns(S)
        if not first.any() and not second.any():
            return None
        Y = _side_by_side((self.partial[early], first), (self.mixed[early], second))
        # S_early^T (L_s,late + L_ss S_late), where Z takes over the factor A^-T of S_early.
        propagated = (self.mixed[late] + S @ self.curvature) @ self.inverse.T
        Z = _side_by_side((propagated, first), (S, second))
        return self._side(early, Y), self._side(late, Z)

    def _side(self, name: str, values: Tensor) -> Side:
        return Dense(values) if self.dense[name] else Factored(values, self._inputs(name))

    def _inputs(self, name: str) -> Tensor:
        return self.sites[name].inputs.detach()

    def _S(self, name: str) -> Tensor:
        """Return ds/dW."""
        return self.partial[name] @ self.inverse

    def _sensitivities(self) -> tuple[dict[str, Tensor], Tensor]:
        """Return D and A^-T such that ds/dW = D A^-T.

        Differentiating s = (1/N) sum_n sigma_n(W, s) shows that D is the mean of d sigma_n/dW for
        given s, and that A = I - (1/N) sum_n d sigma_n/ds.
        """
        stats, sites = self.statistics, list(self.sites.values())
        partial = {site.name: self._empty(site) for site in sites}
        A = torch.eye(stats.count, dtype=torch.float64, device=stats.given[0].device)
        wanted = [*(site.perturbation for site in sites), *stats.expanded]
        numbers = sum(tensor.numel() for tensor in wanted)
        for input, given, place in zip(stats.inputs, stats.given, stats.places, strict=True):
            N, C = input.shape
            # d sigma = (dz, 2 (z - mean) dz); its dependence on the mean averages to zero.
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
        """Return d2L/dW ds = sum_n M_n b_n + delta_n db_n/ds, where M = d delta/ds."""
        stats, inputs = self.statistics, site.inputs.detach()
        mixed = self._empty(site)
        columns = [slice(means.start, variances.stop) for means, variances in stats.places]
        at_once = tangents_at_once(stats.count * len(inputs), self.room)
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
        """Return zeros in the layout of the values of a side, with one column per statistic."""
        (N, R), s, c = site.perturbation.shape, site.inputs.shape[1], self.statistics.count
        return site.perturbation.new_zeros((R, s, c) if self.dense[site.name] else (N, R, c))

    def _curvature(self, loss: Tensor, needed: Tensor) -> Tensor:
        """Return the symmetric L_ss, with zeros in rows and columns that no late S multiplies."""
        stats = self.statistics
        curvature = stats.given[0].new_zeros(stats.count, stats.count)
        slopes = torch.autograd.grad(
            loss, stats.given, create_graph=True, allow_unused=True, materialize_grads=True
        )
        at_once = tangents_at_once(stats.count * len(stats.inputs[0]), self.room)
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
    """Concatenate the chosen columns of several tensors."""
    return torch.cat([v if chosen.all() else v[..., chosen] for v, chosen in parts], dim=-1)


def _nonzero_columns(values: Tensor) -> Tensor:
    """Tell which columns, along the last dimension, are not zero."""
    return values.flatten(0, 1).abs().amax(0) > 0
