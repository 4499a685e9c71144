"""The fully connected networks that the experiments train."""

from __future__ import annotations

ACTIVATIONS = ("relu", "tanh")
HIDDEN_LAYERS = 6
LAYERS = tuple(f"linear{k}.weight" for k in range(1, HIDDEN_LAYERS + 2))
CLASSES = 10  # of CIFAR-10 and of scikit-learn's digits


def layer_sizes(inputs: int, units: int) -> list[int]:
    """Return the sizes of all layers for `polarstep.nn.mlp`, with equal hidden layers."""
    return [inputs, *[units] * HIDDEN_LAYERS, CLASSES]
