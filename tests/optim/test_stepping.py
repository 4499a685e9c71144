"""The matrices of a param group: frozen parameters, their own counts, lengths that are set."""

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from optim_training import network, run  # noqa: E402
from polarstep.optim import LengthDirection, stepping  # noqa: E402


def test_a_length_of_zero_keeps_its_direction():
    model = nn.Linear(4, 3, bias=False)
    optimizer = LengthDirection(model, 0.05, metric="euclidean")
    before = model.weight.detach().clone()
    lengths = optimizer.lengths("weight")
    optimizer.set_lengths("weight", 0.0)
    assert (model.weight == 0).all()
    optimizer.set_lengths("weight", lengths)
    torch.testing.assert_close(model.weight.detach(), before)


def test_frozen_parameters_stay_until_they_are_unfrozen():
    model = network()
    model[2].weight.requires_grad_(False)
    optimizer = LengthDirection(model, 0.05)
    before = model[2].weight.detach().clone()
    x = torch.randn(20, 6)
    run(model, optimizer, x, steps=3)
    assert torch.equal(model[2].weight, before)
    model[2].weight.requires_grad_(True)
    run(model, optimizer, x, steps=3)
    assert not torch.equal(model[2].weight, before)


def test_each_parameter_counts_its_own_steps():
    model = network()
    optimizer = LengthDirection(model, 0.05)
    x = torch.randn(20, 6)
    run(model, optimizer, x, steps=2)
    optimizer.zero_grad()
    model(x).square().mean().backward()
    model[2].weight.grad = None
    optimizer.step()
    run(model, optimizer, x, steps=1)
    assert optimizer.state[model[2].weight]["step"] == 3
    assert optimizer.state[model[0].weight]["step"] == 4


def test_matrices_of_one_shape_take_the_same_steps_together_and_apart(monkeypatch):
    ends = []
    for largest in (stepping.LARGEST_STACK, 0):
        monkeypatch.setattr(stepping, "LARGEST_STACK", largest)
        torch.manual_seed(0)
        model = nn.Sequential(*[nn.Linear(6, 6) for _ in range(4)]).double()
        x = torch.randn(20, 6, dtype=torch.float64)
        run(model, LengthDirection(model, 0.05), x)
        ends.append([p.detach() for p in model.parameters()])
    torch.testing.assert_close(*ends)


def test_lengths_that_are_set_change_the_weights_at_once():
    model = network()
    optimizer = LengthDirection(model, 0.05, metric="euclidean")
    before = model[2].weight.detach().clone()
    factors = torch.linspace(0.5, 2, 16)[:, None]
    optimizer.set_lengths("2.weight", factors * optimizer.lengths("2.weight"))
    torch.testing.assert_close(model[2].weight.detach(), factors * before)


def test_angles_are_recorded_on_request_only():
    model = network()
    optimizer = LengthDirection(model, 0.02, direction="sgd")
    x = torch.randn(20, 6)
    run(model, optimizer, x, steps=1)
    assert optimizer._stepper.angles is None
    optimizer._stepper.angles = {}
    run(model, optimizer, x, steps=1)
    assert {name: turned.shape for name, turned in optimizer._stepper.angles.items()} == {
        "0.weight": (1, 16, 1),
        "2.weight": (1, 16, 1),
    }
