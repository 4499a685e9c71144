"""
Swapping the optimizer of a convolutional network
=================================================

Only the line that makes the optimizer changes. The model, the training loop, the scheduler and the
checkpoints stay as they are. This example trains the same small convolutional network on
scikit-learn's digits with AdamW and with ``LengthDirection``.
"""

# %%
import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.functional import cross_entropy

from polarstep.optim import LengthDirection

pixels, labels = load_digits(return_X_y=True)
pixels = torch.tensor(pixels, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16.0
labels = torch.tensor(labels)
train, test = train_test_split(torch.arange(len(labels)), random_state=0, stratify=labels)


def network(normalized: bool = False) -> nn.Module:
    """Make three convolutions and a linear head, optionally with batch normalization."""
    torch.manual_seed(0)
    layers = []
    for before, after in ((1, 16), (16, 16), (16, 32)):
        layers.append(nn.Conv2d(before, after, 3, padding=1))
        layers += [nn.BatchNorm2d(after)] if normalized else []
        layers.append(nn.ReLU())
    layers.insert(-3 if normalized else -2, nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


# %%
# The training loop does not know which optimizer it drives.

epochs, batch = 5, 64


def train_with(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[float]:
    """Return the loss on the test images after every epoch."""
    steps = epochs * (len(train) // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = []
    for epoch in range(epochs):
        order = train[torch.randperm(len(train), generator=torch.Generator().manual_seed(epoch))]
        for rows in order.split(batch)[: len(train) // batch]:
            optimizer.zero_grad()
            cross_entropy(model(pixels[rows]), labels[rows]).backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            losses.append(cross_entropy(model(pixels[test]), labels[test]).item())
        model.train()
    return losses


# %%
# Every contestant is shown at four learning rates, a factor of two apart, because a comparison at
# one rate says little. AdamW also gets the network with batch normalization: ``start_length`` gives
# ``LengthDirection`` the well-scaled start that normalization would provide, and part of its lead
# over AdamW on the plain network is that start.


def adamw(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=rate)


def length_direction(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    return LengthDirection(model, lr=rate, start_length=1.0)


contestants = {
    "AdamW": (adamw, False, (0.002, 0.004, 0.008, 0.016)),
    "AdamW, with batch normalization": (adamw, True, (0.008, 0.016, 0.032, 0.064)),
    "LengthDirection": (length_direction, False, (0.01, 0.02, 0.04, 0.08)),
}
colours = ("tab:red", "tab:green", "tab:blue")
figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
for colour, (name, (make, normalized, rates)) in zip(colours, contestants.items(), strict=True):
    curves = []
    for rate in rates:
        model = network(normalized)
        curves.append(train_with(model, make(model, rate)))
        print(f"{name:32} lr {rate:<6g} test loss {curves[-1][-1]:.3f}")
    best = min(range(len(rates)), key=lambda k: curves[k][-1])
    for k, curve in enumerate(curves):
        label = f"{name} (best: {rates[best]:g})" if k == best else None
        alpha = 1.0 if k == best else 0.25
        axis.semilogy(range(1, epochs + 1), curve, "o-", color=colour, alpha=alpha, label=label)
axis.set_xticks(range(1, epochs + 1))
axis.set_xlabel("epoch")
axis.set_ylabel("loss on test images")
axis.legend()
plt.show()

# %%
# Each parameter is either updated by length and direction or left to AdamW. The table gives the
# reason.

model = network()
print(LengthDirection(model).assignment)
