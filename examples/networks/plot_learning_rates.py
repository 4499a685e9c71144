"""
A sweep of learning rates
=========================

The learning rate of the directions is an angle: 0.04 turns a direction by about 0.04 radians a
step, whatever the size of the weights. A sweep over a few factors of two is therefore enough, and
its grid can be the same for every network. This example compares three ways to update the
directions.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

from polarstep.optim import Angle, LengthDirection

pixels, labels = load_digits(return_X_y=True)
pixels, labels = torch.tensor(pixels, dtype=torch.float32) / 16.0, torch.tensor(labels)
train, test = slice(0, 1_300), slice(1_300, None)


def final_loss(make_optimizer, seed: int, steps: int = 40) -> float:
    """Return the loss on the test images after `steps` steps of training."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    optimizer = make_optimizer(model)
    for _ in range(steps):
        rows = torch.randint(0, 1_300, (64,))
        optimizer.zero_grad()
        cross_entropy(model(pixels[rows]), labels[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        return cross_entropy(model(pixels[test]), labels[test]).item()


# %%
# In all three, AdamW updates the head and the biases at a separate rate, which the sweep does not
# change.

rates = 0.0025 * 2.0 ** np.arange(7)
variants = {
    "covariance metric": {"start_length": 1.0},
    "Euclidean metric": {"metric": "euclidean", "start_length": 1.0},
    "covariance metric, growing vectors": {
        "start_length": 1.0,
        "retraction": "none",
        "angle": Angle(largest=0.05),
    },
}
found = {
    name: np.array(
        [
            [final_loss(lambda m, r=rate, o=options: LengthDirection(m, lr=r, **o), seed)
             for seed in range(2)]
            for rate in rates
        ]
    )
    for name, options in variants.items()
}  # fmt: skip

# %%
# The band spans the two seeds. Differences smaller than its width are not meaningful.

figure, axis = plt.subplots(figsize=(7, 3.8), layout="constrained")
for marker, (name, losses) in zip("os^", found.items(), strict=True):
    (line,) = axis.semilogx(rates, losses.mean(axis=1), f"{marker}-", label=name)
    low, high = losses.min(axis=1), losses.max(axis=1)
    axis.fill_between(rates, low, high, color=line.get_color(), alpha=0.15)
    best = int(np.argmin(losses.mean(axis=1)))
    print(f"{name:35} best rate {rates[best]:.2f}, loss {losses[best].mean():.3f}")
axis.set_xticks(rates, [f"{rate:g}" for rate in rates])
axis.minorticks_off()
axis.set_ylim(bottom=0.0)
axis.set_xlabel("learning rate of the directions")
axis.set_ylabel("loss on test images after 40 steps")
axis.legend()
plt.show()
