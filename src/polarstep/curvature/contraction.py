"""Norms of Hessian blocks, computed from per-sample Jacobians.

An early linear layer has inputs b (s numbers) and pre-activations z (R units), a late one inputs a
(q numbers) and pre-activations zeta (p units). For each sample n let delta = dl/dzeta,
M = d delta/dz (the total derivative) and P = da/dz. The Hessian block between the weights is

    B[r, s, p, q] = sum_n T_n[r, p, q] b_n[s],     T_n = M_n[r, p] a_n[q] + P_n[r, q] delta_n[p].

Its squared norm is computed in the cheaper of two ways. The first way builds B, a few rows r at a
time. The second way sums <T_n, T_m> <b_n, b_m> over all pairs of samples (n, m), with

    <T_n, T_m> = <M_n, M_m> <a_n, a_m> + <P_n, P_m> <delta_n, delta_m>
                 + (sum_r (M_n delta_m)[r] (P_m a_n)[r]) + (the same with n and m exchanged).

The second way stores only matrices of size samples x samples, and is cheaper for wide inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

_TILE = 512  # samples; two tiles of a Gram matrix fit a core's second-level cache
# Measured costs of one multiplication, relative to one in a single large matrix product.
_DIRECT, _CROSS = 1.3, 1.5


@dataclass(frozen=True)
class Factors:
    """The factors of a block, or of some of its rows r, in the notation of this module.

    Shapes: M (R, N, p), P (R, N, q), delta (N, p), a (N, q), b (N, s). P is None if it is zero.
    """

    M: Tensor
    P: Tensor | None
    delta: Tensor
    a: Tensor
    b: Tensor

    def rows(self, chosen: slice) -> Factors:
        """Return the factors for some of the early units."""
        P = None if self.P is None else self.P[chosen]
        return replace(self, M=self.M[chosen], P=P)

    def double(self) -> Factors:
        """Return the factors in double precision."""
        P = None if self.P is None else self.P.double()
        rest = (self.delta.double(), self.a.double(), self.b.double())
        return Factors(self.M.double(), P, *rest)

    def scaled(self, late: Tensor, early: Tensor) -> Factors:
        """Return the factors of the block whose entries are multiplied by early[r] late[p]."""
        rows = early[:, None, None]
        P = None if self.P is None else rows * self.P
        return Factors(rows * self.M * late, P, self.delta * late, self.a, self.b)


def squared_norm(f: Factors, memory: int) -> float:
    """Return ||B||_F^2, computed in the cheaper way."""
    R, N, p = f.M.shape
    q, s = f.a.shape[1], f.b.shape[1]
    terms = 1 if f.P is None else 2
    direct = _DIRECT * terms * N * p * q * R * s
    pairs = N * N * (R * p / 2 + s + q)
    if f.P is not None:
        pairs += N * N * (R * q / 2 + (R * p if _is_diagonal(f.P) else _CROSS * R * (p + q)))
    return _by_pairs(f) if pairs < direct else _directly(f, memory)


def block(f: Factors) -> Tensor:
    """Build B as a contiguous tensor of shape (R, s, p, q)."""
    R, N, p = f.M.shape
    q, s = f.a.shape[1], f.b.shape[1]
    ba = (f.b[:, :, None] * f.a[:, None, :]).reshape(N, s * q)
    B = (f.M.transpose(1, 2).reshape(R * p, N) @ ba).view(R, p, s, q).transpose(1, 2)
    if f.P is None:
        return B.contiguous()
    bd = (f.b[:, :, None] * f.delta[:, None, :]).reshape(N, s * p)
    by_P = (f.P.transpose(1, 2).reshape(R * q, N) @ bd).view(R, q, s, p).permute(0, 2, 3, 1)
    return torch.add(B, by_P, out=B.new_empty(R, s, p, q))


def _directly(f: Factors, memory: int) -> float:
    """Build the block in parts that fit the memory, and add up their squared norms."""
    R, N, p = f.M.shape
    q, s = f.a.shape[1], f.b.shape[1]
    room = memory // (4 * f.a.element_size())  # the block, its two terms and a permuted copy
    inputs = max(1, min(s, room // (p * q + N * max(p, q))))
    rows = max(1, min(R, room // (p * q * inputs)))
    total = 0.0
    for r in range(0, R, rows):
        some = f.rows(slice(r, r + rows))
        for i in range(0, s, inputs):
            total += square(block(replace(some, b=f.b[:, i : i + inputs])))
    return total


def _by_pairs(f: Factors) -> float:
    """Sum over all pairs of samples, one tile of pairs at a time."""
    R, N, _ = f.M.shape
    flat_M = f.M.transpose(0, 1).reshape(N, -1)
    diagonal = f.P is not None and _is_diagonal(f.P)
    flat_P = None
    if f.P is not None and not diagonal:
        flat_P = f.P.transpose(0, 1).reshape(N, -1)
    elif f.P is not None:
        flat_P = f.P.diagonal(dim1=0, dim2=2).contiguous()  # (N, R)
        weighted_M = (f.M * f.a.T[:, :, None]).transpose(0, 1).reshape(N, -1)
        weighted_delta = (flat_P[:, :, None] * f.delta[:, None, :]).reshape(N, -1)

    def cross(n: slice, m: slice) -> Tensor:
        """Return sum_r (M_n delta_m)[r] (P_m a_n)[r] for the pairs of a tile."""
        if diagonal:
            return weighted_M[n] @ weighted_delta[m].T
        assert f.P is not None
        delta, a = f.delta[m].T, f.a[n]
        total, left, right = (a.new_empty(len(a), delta.shape[1]) for _ in range(3))
        total.zero_()
        for r in range(R):
            torch.mm(f.M[r, n], delta, out=left)
            torch.mm(a, f.P[r, m].T, out=right)
            total.addcmul_(left, right)
        return total

    total = 0.0
    tiles = [slice(start, min(start + _TILE, N)) for start in range(0, N, _TILE)]
    for i, n in enumerate(tiles):
        for m in tiles[i:]:
            inner = (flat_M[n] @ flat_M[m].T).mul_(f.a[n] @ f.a[m].T)
            if flat_P is not None:
                inner += (flat_P[n] @ flat_P[m].T).mul_(f.delta[n] @ f.delta[m].T)
                # A tile on the diagonal contains both (n, m) and (m, n).
                inner += 2 * cross(n, m) if n == m else cross(n, m) + cross(m, n).T
            inner *= f.b[n] @ f.b[m].T
            total += (1 if n == m else 2) * inner.sum(dtype=torch.float64).item()
    return max(total, 0.0)


def radial_part(f: Factors, late: Tensor, early: Tensor, memory: int) -> float:
    """Return the part of ||B||^2 that is lost by projecting B onto the tangent spaces of the units.

    `late` (p, q) and `early` (R, s) hold directions v and u of norm 1. Both projections are
    orthogonal, so the lost part consists of the last three terms, with the opposite sign, of
    ||(I - v v^T) B (I - u u^T)||^2 = ||B||^2 - ||v^T B||^2 - ||B u||^2 + ||v^T B u||^2.
    """
    on_late, on_early = f.a @ late.T, f.b @ early.T  # (N, p), (N, R)
    along_late = f.M * on_late  # v^T B contracts the inputs q with the direction of unit p
    if f.P is not None:
        along_late = along_late + (f.P @ late.T) * f.delta
    ones = torch.ones_like(f.a[:, :1])
    late_part = squared_norm(Factors(along_late, None, f.delta, ones, f.b), memory)
    # B u contracts the inputs s with the direction of unit r, which weights the samples by r.
    weights = on_early.T[:, :, None]
    along_early = (f.M * weights).transpose(1, 2) @ f.a
    if f.P is not None:
        along_early = along_early + f.delta.T @ (f.P * weights)
    both = (along_late * weights).sum(1)
    return late_part + square(along_early) - square(both)


def _is_diagonal(P: Tensor) -> bool:
    """Tell whether unit r affects input r alone, as between neighbouring layers."""
    if P.shape[0] != P.shape[2]:
        return False
    moved = P.abs().amax(dim=1)
    return bool(moved.count_nonzero() == moved.diagonal().count_nonzero())


def square(values: Tensor) -> float:
    """Return the sum of squares, accumulated in double precision."""
    return float(torch.linalg.vector_norm(values, dtype=torch.float64)) ** 2
