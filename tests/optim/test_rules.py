"""The rules for directions and lengths: momentum, Adam, learning rates of lengths."""

import math

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from polarstep.optim import SGD, Adam, Fixed, LengthDirection, Polar  # noqa: E402
from polarstep.optim.rules import DIRECTIONS, LENGTHS  # noqa: E402


def compare(rule, peer):
    """Compare the sum of the rule's updates with the parameter of a torch optimizer of rate 1."""
    p = nn.Parameter(torch.zeros(1, 2, 2, dtype=torch.float64))
    optimizer = peer([p])
    moments = [torch.zeros_like(p) for _ in rule.moments]
    ours = torch.zeros_like(p)
    for k in range(4):
        p.grad = torch.full_like(p, math.cos(k))
        optimizer.step()
        update, moments = rule.update(p.grad, moments, k + 1)
        assert len(moments) == len(rule.moments)
        ours = ours - update
    torch.testing.assert_close(ours.detach(), p.detach())


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.9, True), (0.9, False), (0.0, False)])
def test_momentum_is_that_of_torchs_sgd(momentum, nesterov):
    options = {"momentum": momentum, "nesterov": nesterov}
    compare(SGD(**options), lambda p: torch.optim.SGD(p, 1.0, **options))
    compare(Polar(**options), lambda p: torch.optim.SGD(p, 1.0, **options))


def test_adam_is_torchs():
    options = {"betas": (0.8, 0.95), "eps": 1e-3}
    compare(Adam(**options), lambda p: torch.optim.Adam(p, 1.0, **options))


def test_the_rate_of_lengths_follows_that_of_the_directions():
    assert Adam(lr=0.01).rate(0.04, 0.04) == 0.01
    assert Adam(lr=0.01).rate(0.02, 0.04) == pytest.approx(0.005)
    assert SGD(lr=0.01).rate(0.0, 0.0) == 0.01
    assert SGD().rate(0.03, 0.04) == 0.03


def test_fixed_lengths_stay():
    layer = nn.Linear(3, 2, bias=False)
    before = layer.weight.detach().norm(dim=1)
    optimizer = LengthDirection(layer, 0.1, metric="euclidean", length=Fixed())
    layer(torch.randn(5, 3)).square().sum().backward()
    optimizer.step()
    torch.testing.assert_close(layer.weight.detach().norm(dim=1), before)


def test_names_stand_for_the_rules_that_the_documentation_says():
    assert DIRECTIONS["sgd"] == SGD(momentum=0.9, nesterov=True)
    assert DIRECTIONS["adam"] == Adam()
    assert LENGTHS["sgd"] == SGD(lr=0.01)
    assert LENGTHS["adam"] == Adam(lr=0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Polar(momentum=1.0), "Polar: `momentum` must be a number < 1"),
        (lambda: Polar(steps=0), "`steps` must be a whole number >= 1"),
        (lambda: Polar(iteration="newton"), "'exact', 'muon', 'polar express'"),
        (lambda: Polar(dtype=torch.int32), r"`dtype` must be a floating-point torch.dtype"),
        (lambda: SGD(nesterov=None), "SGD: `nesterov` must be True or False"),
        (lambda: SGD(lr=-1.0), "SGD: `lr` must be a finite number >= 0"),
        (lambda: Adam(eps=0.0), "Adam: `eps` must be a finite number > 0"),
        (lambda: Adam(betas=(0.9, 1.5)), "Adam: `betas` must"),
        (lambda: Adam(betas=0.9), "`betas` must be two numbers"),
    ],
)
def test_bad_values_are_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
