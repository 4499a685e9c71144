"""Derivatives with respect to directions, against derivatives along great circles."""

import pytest

torch = pytest.importorskip("torch", reason="polarstep.curvature needs PyTorch")

from torch.nn.functional import cross_entropy  # noqa: E402

from curvature_cases import (  # noqa: E402
    BY_NAME,
    assert_norms,
    draw,
    hessian,
    labels,
    norms,
    projected,
    solved,
    spread,
)
from polarstep.curvature import coupling  # noqa: E402
from polarstep.curvature.directions import to_directions, units_of  # noqa: E402
from polarstep.nn import mlp  # noqa: E402


def test_directions_are_derivatives_on_the_sphere():
    """The units move along great circles through their directions, at constant lengths."""
    model, loss_fn, batch, _, blocks = solved(BY_NAME["tanh"])
    first, last = model.linear1.weight.detach(), model.linear2.weight.detach()
    tangent, other = draw(*first.shape, seed=3), draw(*last.shape, seed=4)

    def turned(weight, towards, angle):
        lengths, u = units_of(weight)
        towards = towards - (towards * u).sum(1, keepdim=True) * u
        speed = towards.norm(dim=1, keepdim=True)
        moved = torch.cos(angle * speed) * u + torch.sin(angle * speed) * towards / speed
        return lengths[:, None] * moved

    def f(s, t):
        weights = {
            "linear1.weight": turned(first, tangent, s),
            "linear2.weight": turned(last, other, t),
        }
        return loss_fn(torch.func.functional_call(model, weights, batch[0]), batch[1])

    zero = torch.zeros((), dtype=torch.float64)
    mixed = torch.autograd.functional.hessian(f, (zero, zero))[0][1]
    W = blocks["linear1.weight", "linear2.weight"]
    expected = torch.einsum(
        "ijkl,ij,kl->", W, to_directions(tangent, first), to_directions(other, last)
    )
    torch.testing.assert_close(mixed, expected, rtol=1e-10, atol=0)


def test_a_gradient_by_length_and_direction():
    """The reference differentiates W = g u/||u|| at ||u|| = 1."""
    weight = draw(3, 2, 2)
    lengths, u = units_of(weight)
    u.requires_grad_()
    gradient = draw(3, 2, 2, seed=1)
    (lengths[:, None] * u / u.norm(dim=1, keepdim=True)).flatten().dot(
        gradient.flatten()
    ).backward()
    torch.testing.assert_close(to_directions(gradient, weight), u.grad.view(3, 2, 2))
    stack = torch.stack([gradient, 2 * gradient])
    torch.testing.assert_close(to_directions(stack, weight)[1], 2 * u.grad.view(3, 2, 2))
    torch.testing.assert_close(lengths, weight.flatten(1).norm(dim=1))


def test_the_weight_itself_is_no_direction():
    weight = draw(4, 3)
    assert to_directions(weight, weight).abs().max() < 1e-14


@pytest.mark.parametrize("name", ["tanh", "1 norm", "1 norm, wide", "lstm"])
def test_a_unit_of_length_zero(name):
    case = BY_NAME[name]
    model, loss_fn, batch = case.build()
    weights = [p for p in model.parameters() if p.ndim > 1]
    with torch.no_grad():
        weights[-1][0] = 0.0
        if name == "tanh":
            weights[0][1] = 0.0
    names = [n for n, p in model.named_parameters() if p.ndim > 1]
    expected = norms(projected(hessian(model, loss_fn, batch, names), model))
    c = coupling(model, loss_fn, batch, directions=True)
    assert_norms(c, expected)


def test_units_with_one_input_have_no_direction_to_move_in():
    """A unit with one input has no tangent, so that only rounding errors remain."""
    model, batch = spread(mlp((1, 5, 3), "tanh", seed=0)), (draw(6, 1), labels(6, 3))
    raw = coupling(model, cross_entropy, batch)["linear1.weight", "linear2.weight"]
    found = coupling(model, cross_entropy, batch, directions=True)
    assert found["linear1.weight", "linear2.weight"] < 1e-13 * raw
