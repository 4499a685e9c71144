"""Which parameters are updated by length and direction, and which by AdamW."""

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from optim_training import METRICS, run  # noqa: E402
from polarstep.optim import LengthDirection, assignment  # noqa: E402


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


def test_a_head_tied_to_an_embedding_goes_by_adamw():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(7, 4)
            self.hidden = nn.Linear(4, 4)
            self.head = nn.Linear(4, 7, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, x):
            return self.head(torch.tanh(self.hidden(self.embedding(x))))

    model = Tied()
    rules = {entry.name: entry.rule for entry in assignment(model)}
    assert rules == {
        "embedding.weight": "adamw",
        "hidden.weight": "direction",
        "hidden.bias": "adamw",
    }
    run(model, LengthDirection(model, 0.05), torch.arange(7))


@pytest.mark.parametrize("metric", METRICS)
def test_attention_recurrent_and_transposed_layers(metric):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
            self.lstm = nn.LSTM(6, 5, batch_first=True)
            self.up = nn.ConvTranspose1d(5, 6, 3)
            self.head = nn.Linear(6, 2)

        def forward(self, x):
            x = x + self.attention(x, x, x)[0]
            return self.head(self.up(self.lstm(x)[0].mT).mT)

    model = Network()
    optimizer = LengthDirection(model, 0.05, metric=metric)
    shapes = {
        entry.name: entry.shape for entry in optimizer.assignment if entry.rule == "direction"
    }
    assert shapes == {
        "attention.in_proj_weight": (3, 6, 6),
        "attention.out_proj.weight": (1, 6, 6),
        "lstm.weight_ih_l0": (4, 5, 6),
        "lstm.weight_hh_l0": (4, 5, 5),
        "up.weight": (1, 6, 15),
    }
    losses = run(model, optimizer, torch.randn(4, 7, 6), steps=20)
    assert losses[-1] < losses[0] / 2
