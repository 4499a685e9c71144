"""Lengths and directions of weights: their start, changes from outside, half precision."""

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from optim_training import METRICS, batches, network, run, step  # noqa: E402
from polarstep.optim import Adam, AdamW, Covariance, LengthDirection  # noqa: E402


@pytest.mark.parametrize("metric", METRICS)
def test_weights_changed_between_steps_are_noticed(metric):
    model = network()
    optimizer = LengthDirection(model, 1e-6, metric=metric, length=Adam(), others=AdamW(lr=0.0))
    x = torch.randn(20, 6)
    run(model, optimizer, x, steps=2)
    with torch.no_grad():
        model[2].weight[4] *= -3
        model[2].weight[5] = 0
        model[0].weight.clamp_(-0.1, 0.1)
    expected = [p.detach().clone() for p in model.parameters()]
    run(model, optimizer, x, steps=1)
    for p, wanted in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(p.detach(), wanted, rtol=1e-3, atol=1e-4)


def test_start_length_sets_the_size_of_pre_activations():
    torch.manual_seed(0)
    layers = [nn.Linear(6, 16, bias=False), nn.Tanh(), nn.Linear(16, 8, bias=False)]
    model = nn.Sequential(*layers).double()
    model[2].weight.data[3] = 0
    x = torch.randn(200, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64)
    hidden = model[:2](x).detach()
    optimizer = LengthDirection(
        model,
        0.0,
        metric=Covariance(damping=0.0, rows=0),
        length=Adam(lr=0.0),
        start_length=2.0,
        assign={"2.weight": "direction"},
    )
    before = [layers[k].weight.detach().clone() for k in (0, 2)]
    model(x).sum().backward()
    optimizer.step()
    for k, inputs, old in zip((0, 2), (x, hidden), before, strict=True):
        W = layers[k].weight.detach()
        sizes = (inputs @ W.T).square().mean(0).sqrt()
        rows = torch.ones(len(W), dtype=torch.bool)
        rows[3] = k == 0  # a row of zeros stays
        torch.testing.assert_close(sizes, 2.0 * rows.double())
        cosine = nn.functional.cosine_similarity(W[rows], old[rows], dim=1)
        torch.testing.assert_close(cosine, torch.ones_like(cosine))  # directions stay


def test_lengths_start_as_those_of_the_weights_by_default():
    model = network()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = LengthDirection(model, 0.0, length=Adam(lr=0.0), others=AdamW(lr=0.0))
    run(model, optimizer, torch.randn(20, 6), steps=2)
    for p, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(p.detach(), old, rtol=1e-4, atol=1e-6)


def test_half_precision_weights_keep_a_master_copy():
    """Steps that are far below the resolution of bfloat16 accumulate."""
    model = network(torch.bfloat16)
    optimizer = LengthDirection(model, 1e-5, metric="euclidean", others=AdamW(lr=0.0))
    x = batches(1, dtype=torch.bfloat16)[0]
    for _ in range(200):
        step(model, optimizer, x)
    state = optimizer.state[model[2].weight]
    assert state["direction"].dtype == torch.float32
    W = state["length"] * state["direction"]
    start = network(torch.bfloat16)[2].weight.float()
    turned = 1 - torch.cosine_similarity(W[0], start, dim=1)
    assert turned.mean() > 0.2 * 200**2 * 1e-10 / 2
    assert torch.equal(W[0].bfloat16(), model[2].weight)
