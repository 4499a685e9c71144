"""Norms ||B + Y Z^T||_F of Hessian blocks to which a matrix of low rank is added.

B is a block in the notation of `contraction`, with indices (r, s) of the early layer and (p, q) of
the late one. Y has the indices (r, s, k) and Z the indices (p, q, k), where k is the rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from . import contraction
from .contraction import Factors, block, square

_SAMPLES = 256  # samples that are processed at a time
# If the sum is below this share of its largest term, too many digits have cancelled.
_SMALLEST_SHARE = 0.25


@dataclass(frozen=True)
class Dense:
    """Y or Z for some units, stored explicitly: `values` has the shape (R, s, k)."""

    values: Tensor

    def along(self, samples: slice, b: Tensor) -> Tensor:
        """Contract Y with the inputs b of some samples; the result has the shape (n, R, k)."""
        return (b[samples] @ self.values).transpose(0, 1)

    def gram(self, samples: slice, along: Tensor) -> Tensor:
        """Return the part of Y^T Y that some samples contribute: all of it for the first ones."""
        if samples.start:
            return self.values.new_zeros(())
        flat = self.values.flatten(0, 1)
        return flat.T @ flat

    def on_tangents(self, lengths: Tensor, directions: Tensor) -> Dense:
        """Convert Y to derivatives with respect to directions, as in `directions.to_directions`."""
        radial = (directions[:, None, :] @ self.values) * directions[:, :, None]
        return Dense(lengths[:, None, None] * (self.values - radial))

    def rows(self, chosen: slice) -> Dense:
        """Return Y for some of the units."""
        return Dense(self.values[chosen])

    def double(self) -> Dense:
        return Dense(self.values.double())


@dataclass(frozen=True)
class Factored:
    """Y or Z as a sum over samples, Y[r, s] = sum_n values_n[r] b_n[s], for wide inputs b.

    Shapes: values (N, R, k), b (N, s). After `on_tangents`, `radial` (N, R) holds the components
    b_n . u_r of the inputs along the directions of the units, which are subtracted.
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
    f: Factors,
    sides: tuple[Side, Side] | None,
    units: Sequence[tuple[Tensor, Tensor]] | None,
    memory: int,
) -> float:
    """Return ||B + Y Z^T||^2 for the block B of `f`, or ||B||^2 if `sides` is None.

    `sides` is the pair (Y, Z). If `units` holds the (lengths, directions) of the early and of the
    late units, the derivatives are those with respect to directions.

    The square is expanded where that is cheaper. If its terms cancel, as they do for a bias before
    a normalization, the block is built instead; if it is too large to build, the terms are computed
    in double precision.
    """
    if units is not None:
        f = f.scaled(units[1][0], units[0][0])
        if sides is not None:
            sides = sides[0].on_tangents(*units[0]), sides[1].on_tangents(*units[1])
    R, N, p = f.M.shape
    q, s = f.a.shape[1], f.b.shape[1]
    cost_of_building = cost_of_terms = 0.0
    if sides is not None:
        k = sides[0].values.shape[-1]
        cost_of_building = R * s * p * q * (2 * N + k)
        cost_of_terms = N * N * R * (p + q) * 1.5 + 3 * N * k * (R * s + p * q)
    dense = sides is None or all(isinstance(side, Dense) for side in sides)
    if cost_of_terms <= cost_of_building or not dense:
        total, largest = _by_terms(f, sides, units, memory)
        if total > _SMALLEST_SHARE * largest or (sides is None and units is None):
            return total
        if not dense:
            assert sides is not None
            both = sides[0].double(), sides[1].double()
            units = units and [(lengths.double(), u.double()) for lengths, u in units]
            return _by_terms(f.double(), both, units, memory)[0]
    return _built(f, sides, units, memory)


def _built(
    f: Factors,
    sides: tuple[Side, Side] | None,
    units: Sequence[tuple[Tensor, Tensor]] | None,
    memory: int,
) -> float:
    """Build the block a few rows at a time and add up the squared norms; both sides are dense."""
    (R, _, p), q, s = f.M.shape, f.a.shape[1], f.b.shape[1]
    rows = max(1, memory // (4 * s * p * q * f.a.element_size()))
    total = 0.0
    for start in range(0, R, rows):
        some = slice(start, start + rows)
        B = block(f.rows(some))  # (R, s, p, q)
        if units is not None:
            early, late = units[0][1][some], units[1][1]
            B -= torch.einsum("rs,rpq->rspq", early, torch.einsum("rspq,rs->rpq", B, early))
            B -= torch.einsum("pq,rsp->rspq", late, torch.einsum("rspq,pq->rsp", B, late))
        if sides is not None:
            Y, Z = (side.values for side in sides)
            B.view(-1, p * q).addmm_(Y[some].flatten(0, 1), Z.flatten(0, 1).T)
        total += square(B)
    return total


def _by_terms(
    f: Factors,
    sides: tuple[Side, Side] | None,
    units: Sequence[tuple[Tensor, Tensor]] | None,
    memory: int,
) -> tuple[float, float]:
    """Return the squared norm by expanding the square, and the largest term of the expansion.

    ||B + Y Z^T||^2 = ||B||^2 + 2 <B, Y Z^T> + <Y^T Y, Z^T Z>, where the radial part of B is
    subtracted if `units` are given.
    """
    total = largest = contraction.squared_norm(f, memory)
    if units is not None:
        total -= contraction.radial_part(f, units[1][1], units[0][1], memory)
    if sides is None:
        return total, largest
    Y, Z = sides
    k = Y.values.shape[-1]
    grams = [f.a.new_zeros(k, k, dtype=torch.float64) for _ in range(2)]
    for start in range(0, len(f.b), _SAMPLES):
        samples = slice(start, start + _SAMPLES)
        along_b, along_a = Y.along(samples, f.b), Z.along(samples, f.a)  # (n, R, k), (n, p, k)
        grams[0] += Y.gram(samples, along_b)
        grams[1] += Z.gram(samples, along_a)
        total += 2 * _inner(along_b @ along_a.transpose(1, 2), f.M[:, samples])
        if f.P is not None:
            # Z is dense wherever the inputs of the late layer depend on the early one.
            assert isinstance(Z, Dense)
            p, q, _ = Z.values.shape
            delta_Z = (f.delta[samples] @ Z.values.view(p, q * k)).view(-1, q, k)
            total += 2 * _inner(along_b @ delta_Z.transpose(1, 2), f.P[:, samples])
    return total + float((grams[0] * grams[1]).sum()), largest


def _inner(pairs: Tensor, jacobian: Tensor) -> float:
    return float((pairs * jacobian.transpose(0, 1)).sum(dtype=torch.float64))
