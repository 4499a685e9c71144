"""
A transformer and its assignment table
======================================

In a transformer, not every parameter is a matrix whose rows should turn: embeddings, the head,
gains and biases are left to AdamW. ``LengthDirection`` decides for each parameter and gives the
reason. Packed projections of queries, keys and values are split.
"""

# %%
# The model
# ---------
#
# A small decoder that predicts the next token of sequences in which each token is the sum of the
# two before it, modulo ten.

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from polarstep.optim import LengthDirection

width, heads, context, tokens = 32, 2, 16, 10


class Attention(nn.Module):
    """Causal self-attention with one packed projection."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, heads, -1).permute(2, 0, 3, 1, 4)
        y = scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(n, t, width))


class Block(nn.Module):
    """Attention and a two-layer perceptron, each on a normalized residual stream."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention()
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


class Decoder(nn.Module):
    """Embeddings, two blocks, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(tokens, width)
        self.places = nn.Embedding(context, width)
        self.blocks = nn.Sequential(Block(), Block())
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, tokens, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        embedded = self.tokens(x) + self.places.weight[: x.shape[1]]
        return self.head(self.norm(self.blocks(embedded)))


torch.manual_seed(0)
model = Decoder()

# %%
# The assignment
# --------------
#
# ``chunks`` names the parameters that hold several matrices. ``assign`` would override the table.

optimizer = LengthDirection(model, lr=0.04, start_length=1.0, chunks={"*.qkv.weight": 3})
print(optimizer.assignment)

# %%
# The training
# ------------

generator = torch.Generator().manual_seed(1)


def batch(n: int = 64) -> Tensor:
    rows = torch.randint(tokens, (n, 2), generator=generator)
    while rows.shape[1] <= context:
        rows = torch.cat([rows, (rows[:, -1:] + rows[:, -2:-1]) % tokens], dim=1)
    return rows


losses = []
for _ in range(200):
    rows = batch()
    optimizer.zero_grad()
    # The first two tokens are random, so that only the later ones can be predicted.
    scores = model(rows[:, :-1])[:, 1:]
    loss = cross_entropy(scores.flatten(0, 1), rows[:, 2:].flatten())
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print(f"first loss {losses[0]:.2f}, last loss {losses[-1]:.4f}")

figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
axis.semilogy(losses)
axis.set_xlabel("step")
axis.set_ylabel("training loss in nats")
plt.show()

# %%
# The lengths of a matrix can be read, and set, by the name of the parameter.

lengths = optimizer.lengths("blocks.0.up.weight")
print(f"{lengths.numel()} units, lengths from {lengths.min():.2f} to {lengths.max():.2f}")
