"""The spheres that directions lie on: one for each row of a matrix, or one for the whole matrix.

All tensors hold stacks of matrices, shape (matrices, rows, columns). Norms and inner products keep
the axes that they reduce, with size one, so that they broadcast against the matrices.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor


def nonzero(size: Tensor) -> Tensor:
    """Replace zeros by ones, so that dividing a zero vector by its norm leaves it zero."""
    return size.where(size > 0, 1)


class Sphere:
    """Unit vectors of a stack of matrices; the subclasses say what counts as one vector."""

    axes: ClassVar[tuple[int, ...]]
    gains: ClassVar[tuple[str, ...]]  # the kinds of gains that fit; the first is the default
    rows_are_independent: ClassVar[bool]

    def inner(self, A: Tensor, B: Tensor) -> Tensor:
        """Return the inner products <A, B> of corresponding vectors."""
        return (A * B).sum(self.axes, keepdim=True)

    def norm(self, A: Tensor) -> Tensor:
        """Return the Euclidean norm of each vector."""
        return torch.linalg.vector_norm(A, dim=self.axes, keepdim=True)

    def unit(self, A: Tensor) -> Tensor:
        """Scale each vector to norm one without underflow; zero vectors stay zero."""
        largest = A.abs().amax(self.axes, keepdim=True)
        A = A / largest.clamp_min(torch.finfo(A.dtype).tiny)
        return A / nonzero(self.norm(A))

    def project(self, C: Tensor, V: Tensor, radius: Tensor | float) -> Tensor:
        """Remove from C its component along V, where V has the norm ``radius``."""
        return torch.addcmul(C, V, self.inner(C, V) / radius**2, value=-1)

    def angles(self, A: Tensor, B: Tensor) -> Tensor:
        """Return the angles between corresponding vectors in radians, accurate for small ones."""
        gap = self.unit(A) - self.unit(B)
        return 2 * torch.asin((self.norm(gap) / 2).clamp_max(1))

    def any_zero(self, V: Tensor) -> bool:
        """Return whether any vector is zero and therefore has no direction."""
        return bool((self.norm(V) == 0).any())

    def split(self, V: Tensor) -> dict[str, Tensor]:
        """Return the "length" and the "direction" of V, and the "radius" unless it is one."""
        raise NotImplementedError

    def polar_scale(self, rows: int, columns: int) -> float:
        """Return the factor that gives a polar factor a root mean square norm of one."""
        raise NotImplementedError

    def rms_norm(self, rows: int, radius: Tensor | float) -> Tensor | float:
        """Return the norm of a matrix whose vectors have the root mean square ``radius``."""
        raise NotImplementedError


class RowSphere(Sphere):
    """The spheres of rows: each row of a matrix is a separate vector."""

    axes = (-1,)
    gains: ClassVar[tuple[str, ...]] = ("row", "both")
    rows_are_independent = True

    def split(self, V: Tensor) -> dict[str, Tensor]:
        return {"length": self.norm(V), "direction": self.unit(V)}

    def polar_scale(self, rows: int, columns: int) -> float:
        return math.sqrt(max(1.0, rows / columns))

    def rms_norm(self, rows: int, radius: Tensor | float) -> Tensor | float:
        return radius * math.sqrt(rows)


class MatrixSphere(Sphere):
    """The sphere of a matrix: the whole matrix is one vector with the Frobenius norm.

    The direction keeps the norm that the matrix has at the start, the radius, and lengths start at
    one (at zero for a matrix of zeros).
    """

    axes = (-2, -1)
    gains: ClassVar[tuple[str, ...]] = ("matrix", "row", "both")
    rows_are_independent = False

    def split(self, V: Tensor) -> dict[str, Tensor]:
        size = self.norm(V)
        return {
            "length": (size > 0).to(V.dtype),
            "direction": V.clone(),
            "radius": nonzero(size),
        }

    def polar_scale(self, rows: int, columns: int) -> float:
        return 1 / math.sqrt(min(rows, columns))

    def rms_norm(self, rows: int, radius: Tensor | float) -> Tensor | float:
        return radius


ROWS = RowSphere()
MATRIX = MatrixSphere()
