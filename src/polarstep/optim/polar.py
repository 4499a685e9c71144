"""The orthogonal polar factor of matrices, by Newton-Schulz iterations or exactly."""

from __future__ import annotations

import torch
from torch import Tensor

from .spheres import MATRIX

# Coefficients (a, b, c) of X <- a X + b (X X^T) X + c (X X^T)^2 X, one triple for each iteration;
# the last triple is repeated.
#   muon           K. Jordan et al., Muon (2024), the default of torch.optim.Muon
#   polar express  N. Amsel et al., The Polar Express (2025, arXiv 2505.16932), as in AngularMuown
ITERATIONS: dict[str, list[tuple[float, float, float]]] = {
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


def polar_factor(
    M: Tensor, *, iteration: str = "muon", steps: int = 5, dtype: torch.dtype | None = None
) -> Tensor:
    """Approximate the factor P Q^T of each matrix M = P diag(s) Q^T; it is zero where M is zero.

    Parameters
    ----------
    M : Tensor of shape (matrices, rows, columns)
        The matrices.
    iteration : {"muon", "polar express", "exact"}, default="muon"
        "muon" maps singular values into about [0.7, 1.2], because its polynomial is chosen to be
        steep at zero rather than accurate. "polar express" maps them closer to one.
        "exact" computes a singular value decomposition.
    steps : int, default=5
        Number of times that the polynomial is applied.
    dtype : torch.dtype, optional
        Type of the arithmetic, for instance ``torch.bfloat16``. Default: that of M.

    Returns
    -------
    Tensor of shape (matrices, rows, columns)
        The polar factors, in the type of M.

    References
    ----------
    K. Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024.
    N. Amsel et al., The Polar Express, arXiv 2505.16932, 2025.
    """
    if iteration == "exact":
        P, s, Qt = torch.linalg.svd(M, full_matrices=False)
        kept = s > s[..., :1] * max(M.shape[-2:]) * torch.finfo(M.dtype).eps
        return (P * kept.unsqueeze(-2)) @ Qt
    tall = M.shape[-2] > M.shape[-1]
    X = MATRIX.unit(M.mT if tall else M).to(dtype or M.dtype)
    if iteration in _SLACK:
        X = X / _SLACK[iteration]
    table = ITERATIONS[iteration]
    for k in range(steps):
        a, b, c = table[min(k, len(table) - 1)]
        A = torch.bmm(X, X.mT)
        B = torch.baddbmm(A, A, A, beta=b, alpha=c)
        X = torch.baddbmm(X, B, X, beta=a)
    return (X.mT if tall else X).to(M.dtype)
