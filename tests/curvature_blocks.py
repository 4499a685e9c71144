"""Random factors of Hessian blocks, and the blocks built from them by einsum."""

import pytest
import torch

from curvature_cases import draw
from polarstep.curvature.contraction import Factors

ROOMY = 2**30


def factors(N, R=3, p=4, q=5, s=2, kind="full", seed=0):
    if kind in ("square", "diagonal"):
        q = R
    P = None if kind == "none" else draw(R, N, q, seed=seed + 1)
    if kind == "diagonal":
        P = P * torch.eye(R, dtype=P.dtype)[:, None, :]
    M, delta, a, b = (
        draw(*shape, seed=seed + 2 + k)
        for k, shape in enumerate([(R, N, p), (N, p), (N, q), (N, s)])
    )
    return Factors(M, P, delta, a, b)


def built(f):
    B = torch.einsum("rnp,nq,ns->rspq", f.M, f.a, f.b)
    if f.P is not None:
        B = B + torch.einsum("rnq,np,ns->rspq", f.P, f.delta, f.b)
    return B


def unit(*shape, seed):
    directions = draw(*shape, seed=seed)
    return directions / directions.norm(dim=1, keepdim=True)


def on_tangents(B, early, late):
    """Return (I - v v^T) B (I - u u^T), unit by unit."""
    B = B - torch.einsum("rs,rt,rtpq->rspq", early, early, B)
    return B - torch.einsum("pq,pt,rspt->rspq", late, late, B)


def square(B):
    return pytest.approx(float(B.square().sum()), rel=1e-11)
