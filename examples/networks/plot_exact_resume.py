"""
Resuming a training run exactly
===============================

A checkpoint holds the model's and the optimizer's ``state_dict``, as for every PyTorch optimizer.
This example interrupts a training run half-way, loads the checkpoint into new objects, and shows
that the resumed run ends at exactly the weights of the uninterrupted one.
"""

# %%
import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import mse_loss

from polarstep.optim import LengthDirection


def setting() -> tuple[nn.Module, LengthDirection]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)
    )
    return model, LengthDirection(model, lr=0.02, start_length=1.0)


def run(model: nn.Module, optimizer: LengthDirection, first: int, last: int) -> None:
    """Take the steps first, ..., last - 1, each on a batch that its number determines."""
    for step in range(first, last):
        x = torch.randn(32, 8, generator=torch.Generator().manual_seed(step))
        y = torch.sin(x.sum(dim=1, keepdim=True))
        optimizer.zero_grad()
        mse_loss(model(x), y).backward()
        optimizer.step()


# %%
# One run takes 40 steps without interruption; the other one stops after 17 of them. The number 17
# is deliberate: the optimizer is then in the middle of gathering covariances of the inputs, which
# are part of the checkpoint.

whole, optimizer = setting()
run(whole, optimizer, 0, 40)

first_half, optimizer = setting()
run(first_half, optimizer, 0, 17)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "checkpoint.pt"
    torch.save({"model": first_half.state_dict(), "optimizer": optimizer.state_dict()}, path)
    checkpoint = torch.load(path, weights_only=True)

resumed, optimizer = setting()
resumed.load_state_dict(checkpoint["model"])
optimizer.load_state_dict(checkpoint["optimizer"])
run(resumed, optimizer, 17, 40)

# %%
# The weights are equal bit by bit, not merely close.

same = [torch.equal(p, q) for p, q in zip(whole.parameters(), resumed.parameters(), strict=True)]
print("parameters with identical bits:", sum(same), "of", len(same))
assert all(same)
