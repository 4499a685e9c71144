"""LengthDirection: that it trains, and what goes where."""

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from polarstep.optim import LengthDirection, assignment  # noqa: E402


def problem(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3)
    )
    x = torch.randn(64, 6) @ torch.randn(6, 6)
    return model, x, torch.sin(x[:, :3])


def train(model, optimizer, x, y, steps=60):
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    return losses


@pytest.mark.parametrize("metric", ["covariance", "euclidean", "frobenius"])
@pytest.mark.parametrize("direction", ["polar", "adam", "sgd"])
@pytest.mark.parametrize("length", ["adam", "sgd", "fixed"])
def test_every_combination_trains(metric, direction, length):
    model, x, y = problem()
    losses = train(
        model,
        LengthDirection(model, lr=0.02, metric=metric, direction=direction, length=length),
        x,
        y,
    )
    assert losses[-1] < losses[0] / 2


def test_hidden_matrices_go_by_length_and_direction_and_the_rest_by_adamw():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(10, 6)
            self.qkv = nn.Linear(6, 18)
            self.conv = nn.Conv1d(18, 8, 3, groups=2)
            self.norm = nn.LayerNorm(8)
            self.scale = nn.Parameter(torch.ones(3, 3))
            self.head = nn.Linear(8, 10)

    model = Network()
    rules = {entry.name: (entry.rule, entry.blocks) for entry in assignment(model)}
    hidden = {"qkv.weight": 3, "conv.weight": 2}
    for name, (rule, blocks) in rules.items():
        assert rule == ("direction" if name in hidden else "adamw")
        assert blocks == hidden.get(name, 1)
