"""The arithmetic of a step: polar factors, units, scales."""

import math

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from polarstep.optim import LengthDirection, rules  # noqa: E402

SHAPES = [(2, 5, 3), (3, 3, 5), (1, 4, 4)]
# How far from one the singular values of a factor may be, for those of M down to 1/100 of the
# largest: Muon's iteration is not meant to converge.
CLOSE = {"muon": 0.35, "polar express": 0.15, "exact": 1e-12}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("iteration", CLOSE)
@pytest.mark.parametrize("scale", [1e-160, 1.0, 1e150])
def test_polar_factors_have_the_same_singular_vectors_and_values_near_one(shape, iteration, scale):
    generator = torch.Generator().manual_seed(0)
    M = torch.randn(shape, generator=generator, dtype=torch.float64)
    P, _, Qt = torch.linalg.svd(M, full_matrices=False)
    s = torch.logspace(0, -2, P.shape[-1], dtype=torch.float64)
    Q = rules.polar_factor(scale * (P * s) @ Qt, iteration=iteration)
    values = P.mT @ Q @ Qt.mT
    diagonal = values.diagonal(dim1=-2, dim2=-1)
    assert (values - torch.diag_embed(diagonal)).abs().max() < 1e-9
    assert (diagonal - 1).abs().max() < CLOSE[iteration]


@pytest.mark.parametrize("iteration", CLOSE)
def test_the_polar_factor_of_nothing_is_nothing(iteration):
    M = torch.zeros(2, 4, 3)
    M[1, :, 0] = 2.0
    Q = rules.polar_factor(M, iteration=iteration)
    assert (Q[0] == 0).all()
    assert (Q[1, :, 1:] == 0).all()
    assert Q[1, 0, 0] == pytest.approx(0.5, rel=CLOSE[iteration] + 1e-6)


def test_polar_factors_in_bfloat16():
    M = torch.randn(1, 6, 4, generator=torch.Generator().manual_seed(0))
    exact = rules.polar_factor(M, iteration="polar express")
    rough = rules.polar_factor(M, iteration="polar express", dtype=torch.bfloat16)
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).abs().max() < 0.05
    layer = nn.Linear(6, 4, bias=False)
    optimizer = LengthDirection(layer, metric="euclidean", polar_dtype=torch.bfloat16)
    layer(torch.randn(5, 6)).square().sum().backward()
    optimizer.step()
    assert layer.weight.isfinite().all()


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_angles_are_measured_as_said(whole, shape):
    generator = torch.Generator().manual_seed(0)
    update = torch.randn(shape, generator=generator, dtype=torch.float64)
    _, m, n = shape

    def sizes(A):
        return rules.norm(A, whole=whole)

    each = rules.scaled(update, "each", 2.0, polar=None, whole=whole)
    torch.testing.assert_close(sizes(each), torch.full_like(sizes(each), 2.0))
    exact = rules.polar_factor(update, iteration="exact")
    for rms in (
        rules.scaled(update, "rms", 2.0 if whole else 1.0, polar=None, whole=whole),
        rules.scaled(exact, "rms", 2.0 if whole else 1.0, polar=(m, n), whole=whole),
    ):
        mean = sizes(rms).square().mean(-2).sqrt()
        torch.testing.assert_close(mean, torch.full_like(mean, 2.0 if whole else 1.0))
    assert rules.scaled(update, "off", 2.0, polar=None, whole=whole) is update


def test_units_do_not_underflow():
    A = torch.tensor([[[3e-30, 4e-30], [0.0, 0.0], [3e30, 4e30]]])
    wanted = torch.tensor([[[0.6, 0.8], [0.0, 0.0], [0.6, 0.8]]])
    torch.testing.assert_close(rules.unit(A, whole=False), wanted)
    assert rules.norm(rules.unit(A, whole=True), whole=True).item() == pytest.approx(1)


def test_the_decay_of_lengths_is_decoupled():
    """Without gradients lengths shrink by lr times the decay, and directions stay."""
    layer = nn.Linear(3, 2, bias=False, dtype=torch.float64)
    before = layer.weight.detach().clone()
    optimizer = LengthDirection(
        layer, 0.1, metric="euclidean", length_lr=0.2, length_decay=0.5, direction="sgd"
    )
    for _ in range(3):
        layer.weight.grad = torch.zeros_like(layer.weight)
        optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), before * (1 - 0.2 * 0.5) ** 3)


def test_momentum_is_that_of_torchs_sgd():
    p = nn.Parameter(torch.zeros(1, 2, 2, dtype=torch.float64))
    sgd = torch.optim.SGD([p], 1.0, momentum=0.9, nesterov=True)
    M, ours = torch.zeros_like(p), torch.zeros_like(p)
    for k in range(4):
        p.grad = torch.full_like(p, math.cos(k))
        sgd.step()
        update, M = rules.with_momentum(p.grad, M, 0.9, nesterov=True)
        ours = ours - update
    torch.testing.assert_close(ours.detach(), p.detach())
