"""Layers whose parameters act in one place, and derivatives at these places."""

import pytest

torch = pytest.importorskip("torch", reason="polarstep.curvature needs PyTorch")

from torch import nn  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402
from torch.nn.utils import prune  # noqa: E402

from curvature_cases import (  # noqa: E402
    assert_exact,
    assert_norms,
    draw,
    hessian,
    labels,
    norms,
    products_because,
    spread,
)
from polarstep.curvature import coupling  # noqa: E402
from polarstep.curvature.sites import ranges, tangents, tangents_at_once  # noqa: E402


def test_a_batch_of_vectors_per_sample():
    """A linear layer over a sequence acts on each element of it."""
    model = spread(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(6, 3)))
    batch = draw(5, 2, 4), labels(5, 3)
    c = coupling(model, cross_entropy, batch)
    assert c.how == products_because("the inputs of layer '0' are not one vector per sample")
    assert_norms(c, norms(hessian(model, cross_entropy, batch, ["0.weight", "3.weight"])))


def test_a_pruned_bias():
    model = spread(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)))
    prune.random_unstructured(model[0], "bias", 0.5)
    assert_exact(model, cross_entropy, ["0.bias_orig", "2.weight"])


@pytest.mark.parametrize("room", [1, 10**9])
def test_tangents_are_rows_of_the_jacobian(room):
    x = draw(5, 3).requires_grad_()
    unrelated = draw(5, 2).requires_grad_()
    weight = draw(4, 3, seed=1)
    output = torch.tanh(x @ weight.T)
    found, nothing = tangents(output, [x, unrelated], range(1, 4), room)
    assert nothing is None
    slope = (1 - output.detach().square()).T[:, :, None]
    torch.testing.assert_close(found, (slope * weight[:, None, :])[1:4])
    assert tangents(output.detach(), [x, unrelated], range(4), room) == [None, None]


def test_ranges_and_batches_of_tangents():
    assert ranges(7, 3) == [range(3), range(3, 6), range(6, 7)]
    assert ranges(0, 3) == []
    assert tangents_at_once(10, 1) == 1
    assert tangents_at_once(10, 800) == 10
