"""The arithmetic of a step: spheres, polar factors, momentum and Adam.

All tensors hold stacks of matrices, shape (matrices, rows, columns). A sphere is that of a row, or
that of a whole matrix (``whole``: the Frobenius norm).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Coefficients (a, b, c) of X <- a X + b (X X^T) X + c (X X^T)^2 X, one triple per iteration; the
# last one is repeated.
#   muon           K. Jordan et al., Muon (2024), the default of torch.optim.Muon
#   polar express  N. Amsel et al., The Polar Express (2025, arXiv 2505.16932), as in AngularMuown
POLAR: dict[str, list[tuple[float, float, float]]] = {
    "muon": [(3.4445, -4.7750, 2.0315)],
    "polar express": [
        (8.237312490495555, -23.157747414558198, 16.680568411445915),
        (4.082441999064836, -2.8930477353325887, 0.5252849256975651),
        (3.9263479922546556, -2.8547468034765293, 0.5318022422894989),
        (3.2982187133085143, -2.4245419810267062, 0.48632008358844075),
        (2.320007312889811, -1.6862169729967622, 0.42068027340235137),
    ],
    "exact": [],
}
_SLACK = {"polar express": 1.01}  # its polynomials expect a spectral norm below one


def inner(A: Tensor, B: Tensor, *, whole: bool) -> Tensor:
    """<A, B> of each row, or of each whole matrix; broadcasts against them."""
    product = A * B
    return product.sum((-2, -1), keepdim=True) if whole else product.sum(-1, keepdim=True)


def norm(A: Tensor, *, whole: bool) -> Tensor:
    """Euclidean norm of each row, or of each whole matrix; broadcasts against them."""
    return torch.linalg.vector_norm(A, dim=(-2, -1) if whole else -1, keepdim=True)


def unit(A: Tensor, *, whole: bool) -> Tensor:
    """Rows (or whole matrices) of norm one; what is zero stays zero, and nothing underflows."""
    largest = A.abs().amax((-2, -1) if whole else -1, keepdim=True)
    A = A / largest.clamp_min(torch.finfo(A.dtype).tiny)
    length = norm(A, whole=whole)
    return A / length.where(length > 0, 1)


def tangent(C: Tensor, V: Tensor, radius: Tensor | float, *, whole: bool) -> Tensor:
    """C without its part along V, where V has the norm ``radius``."""
    return torch.addcmul(C, V, inner(C, V, whole=whole) / radius**2, value=-1)


def polar_factor(
    M: Tensor, *, iteration: str = "muon", steps: int = 5, dtype: torch.dtype | None = None
) -> Tensor:
    """The factor P Q^T of each matrix M = P diag(s) Q^T, approximately; zero for zero.

    Parameters
    ----------
    M : Tensor
        Shape (matrices, rows, columns).
    iteration : "muon", "polar express" or "exact"
        "muon" takes singular values to somewhere between 0.7 and 1.2, on purpose: its slope at zero
        is steep. "polar express" comes closer to one. "exact" is a singular value decomposition.
    steps : int
        How often the polynomial is applied.
    dtype : torch.dtype, optional
        What to compute in, for instance ``torch.bfloat16``. Default: that of M.

    Sources: K. Jordan et al., Muon (2024); N. Amsel et al. (2025, arXiv 2505.16932).
    """
    if iteration == "exact":
        P, s, Qt = torch.linalg.svd(M, full_matrices=False)
        kept = s > s[..., :1] * max(M.shape[-2:]) * torch.finfo(M.dtype).eps
        return (P * kept.unsqueeze(-2)) @ Qt
    tall = M.shape[-2] > M.shape[-1]
    X = unit(M.mT if tall else M, whole=True).to(dtype or M.dtype)
    if iteration in _SLACK:
        X = X / _SLACK[iteration]
    table = POLAR[iteration]
    for k in range(steps):
        a, b, c = table[min(k, len(table) - 1)]
        A = torch.bmm(X, X.mT)
        B = torch.baddbmm(A, A, A, beta=b, alpha=c)
        X = torch.baddbmm(X, B, X, beta=a)
    return (X.mT if tall else X).to(M.dtype)


def with_momentum(C: Tensor, M: Tensor, momentum: float, nesterov: bool) -> tuple[Tensor, Tensor]:
    """(update, next M): M <- momentum M + C; the update is M, or C + momentum M (Nesterov).

    In torch.optim.SGD's form.
    """
    M = torch.add(C, M, alpha=momentum)
    return (torch.add(C, M, alpha=momentum) if nesterov else M), M


def adam(
    C: Tensor,
    mean: Tensor,
    square: Tensor,
    step: int,
    betas: tuple[float, float],
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """(update, next mean, next square) of Adam (Kingma and Ba 2015); steps count from one."""
    mean = torch.lerp(mean, C, 1 - betas[0])
    square = (betas[1] * square).addcmul_(C, C, value=1 - betas[1])
    root = (square / (1 - betas[1] ** step)).sqrt_().add_(eps)
    return mean / (1 - betas[0] ** step) / root, mean, square


def scaled(
    update: Tensor,
    angle: str,
    radius: Tensor | float,
    *,
    polar: tuple[int, int] | None,
    whole: bool,
) -> Tensor:
    """The update such that lr times it turns by lr, in the sense of ``angle``.

    "each": every row, or the whole matrix, by arctan(lr) where the update is tangent. "rms": in the
    root mean square over the rows; for a polar factor, whose norm is known, without measuring it:
    times sqrt(max(1, rows/columns)) for rows. "off": the update as it is. ``polar`` is the shape of
    the matrices whose polar factors these are.
    """
    if angle == "off":
        return update
    if angle == "each":
        return unit(update, whole=whole) * radius
    if polar:
        m, n = polar
        factor = 1 / math.sqrt(min(m, n)) if whole else math.sqrt(max(1.0, m / n))
        return update * (factor * radius)
    return unit(update, whole=True) * (radius if whole else math.sqrt(update.shape[-2]))
