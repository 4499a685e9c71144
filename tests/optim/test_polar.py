"""Polar factors by iterations and by singular value decompositions."""

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from polarstep.optim import LengthDirection, Polar  # noqa: E402
from polarstep.optim.polar import polar_factor  # noqa: E402

SHAPES = [(2, 5, 3), (3, 3, 5), (1, 4, 4)]
# Largest distance from one of the factor's singular values, where those of M are at least 1/100 of
# the largest. Muon's iteration is not meant to converge.
CLOSE = {"muon": 0.35, "polar express": 0.15, "exact": 1e-12}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("iteration", CLOSE)
@pytest.mark.parametrize("scale", [1e-160, 1.0, 1e150])
def test_polar_factors_have_the_same_singular_vectors_and_values_near_one(shape, iteration, scale):
    generator = torch.Generator().manual_seed(0)
    M = torch.randn(shape, generator=generator, dtype=torch.float64)
    P, _, Qt = torch.linalg.svd(M, full_matrices=False)
    s = torch.logspace(0, -2, P.shape[-1], dtype=torch.float64)
    Q = polar_factor(scale * (P * s) @ Qt, iteration=iteration)
    values = P.mT @ Q @ Qt.mT
    diagonal = values.diagonal(dim1=-2, dim2=-1)
    assert (values - torch.diag_embed(diagonal)).abs().max() < 1e-9
    assert (diagonal - 1).abs().max() < CLOSE[iteration]


@pytest.mark.parametrize("iteration", CLOSE)
def test_the_polar_factor_of_zero_is_zero(iteration):
    M = torch.zeros(2, 4, 3)
    M[1, :, 0] = 2.0
    Q = polar_factor(M, iteration=iteration)
    assert (Q[0] == 0).all()
    assert (Q[1, :, 1:] == 0).all()
    assert Q[1, 0, 0] == pytest.approx(0.5, rel=CLOSE[iteration] + 1e-6)


def test_polar_factors_in_bfloat16():
    M = torch.randn(1, 6, 4, generator=torch.Generator().manual_seed(0))
    exact = polar_factor(M, iteration="polar express")
    rough = polar_factor(M, iteration="polar express", dtype=torch.bfloat16)
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).abs().max() < 0.05
    layer = nn.Linear(6, 4, bias=False)
    direction = Polar(dtype=torch.bfloat16)
    optimizer = LengthDirection(layer, metric="euclidean", direction=direction)
    layer(torch.randn(5, 6)).square().sum().backward()
    optimizer.step()
    assert layer.weight.isfinite().all()
