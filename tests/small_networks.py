"""A small network, its data, and runs of its training, for the tests of `polarstep.nn`."""

import torch
from torch.nn.functional import cross_entropy

from polarstep.nn import mlp, train

NORMALIZATIONS = [None, "batch", "weight"]
BATCHES = [None, 16]
X = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
Y = torch.randint(3, (50,), generator=torch.Generator().manual_seed(1))


def network(normalization=None, seed=0, **options):
    return mlp([6, 5, 4, 3], normalization=normalization, seed=seed, **options)


def run(model, *, stop_after=None, loss_fn=cross_entropy, data=(X, Y), **options):
    """Return the records of a training, which may be closed after a given step."""
    options = {"lr": 0.2, "steps": 12, **options}
    records = train(model, loss_fn, data, **options)
    seen = []
    for record in records:
        seen.append(record)
        if record.index == stop_after:
            records.close()
    return seen


def same_state(one, two):
    return all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    )


def double_data(samples=40, inputs=6, classes=3, seed=0):
    """Return inputs in float64, and class labels."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, inputs, generator=generator, dtype=torch.float64)
    return x, torch.randint(classes, (samples,), generator=generator)
