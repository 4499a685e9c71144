"""Small networks for the tests of polarstep.curvature, and their full Hessians."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from polarstep.curvature import coupling
from polarstep.curvature.directions import to_directions
from polarstep.nn import mlp

HOOKS = [
    name
    for name, value in vars(nn.Linear(1, 1)).items()
    if "hooks" in name and hasattr(value, "keys")
]
JACOBIANS = "exact, by per-sample Jacobians"


def products_because(reason):
    return f"exact, by Hessian-vector products ({reason})"


@dataclass(frozen=True)
class Case:
    """A model, a loss and a batch in double precision, which `build` returns.

    `how` is the attribute of the result if all of `names` are rows; by default these are all
    parameters. `forward` is a function of (model, parameters, inputs) for models whose own forward
    pass has wrong second derivatives.
    """

    name: str
    build: Callable
    how: str = JACOBIANS
    names: tuple[str, ...] | None = None
    forward: Callable | None = None

    def chosen(self, model):
        return list(self.names or (name for name, _ in model.named_parameters()))


def hessian(model, loss_fn, batch, names, forward=None):
    """Return all blocks d2f/dW_i dW_j between the named parameters, by pairs of names."""
    parameters = {name: value.detach() for name, value in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def f(*values):
        state = {**parameters, **dict(zip(names, values, strict=True))}
        if forward is not None:
            return loss_fn(forward(model, state, batch[0]), batch[1])
        state |= {name: value.clone() for name, value in buffers.items()}
        return loss_fn(functional_call(model, state, (batch[0],)), batch[1])

    with sdpa_kernel(SDPBackend.MATH):
        blocks = torch.autograd.functional.hessian(f, tuple(parameters[name] for name in names))
    return {(a, b): blocks[i][j] for i, a in enumerate(names) for j, b in enumerate(names)}


def norms(blocks):
    return {pair: float(torch.linalg.vector_norm(block.double())) for pair, block in blocks.items()}


@cache
def solved(case):
    """Return model, loss_fn, batch, names and blocks of a case; do not change the model."""
    with torch.random.fork_rng():
        torch.manual_seed(0)  # makes initial weights the same in every run
        model, loss_fn, batch = case.build()
    names = case.chosen(model)
    return model, loss_fn, batch, names, hessian(model, loss_fn, batch, names, case.forward)


def assert_norms(c, expected, rel=1e-10):
    """Check all norms to the relative error `rel`, and zero ones to the root of rounding errors."""
    largest = max(expected.values())
    for pair, value in expected.items():
        tolerance = rel * value if value > 1e-9 * largest else 1e-7 * largest
        assert abs(c[pair] - value) <= tolerance, (pair, c[pair], value, c[pair] / (value or 1) - 1)


def assert_exact(model, loss, names=None, batch=None):
    """Check coupling between all the named parameters against the full Hessian."""
    batch = batch or BATCH
    names = names or [name for name, value in model.named_parameters() if value.ndim > 1]
    found = coupling(model, loss, batch, row=names, columns=names)
    assert_norms(found, norms(hessian(model, loss, batch, names)))
    return found


def projected(blocks, model):
    """Convert blocks to derivatives with respect to directions; leave out biases."""
    parameters = dict(model.named_parameters())
    result = {}
    for (a, b), block in blocks.items():
        first, second = parameters[a], parameters[b]
        if min(first.ndim, second.ndim) < 2:
            continue
        right = to_directions(block.reshape(-1, *second.shape), second)
        left = right.reshape(first.numel(), -1).T.reshape(-1, *first.shape)
        result[a, b] = to_directions(left, first)
    return result


def state(model):
    """Return everything that a call might change in a model and in the process."""
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers()]
    return {
        "tensors": [(name, id(value), value.data_ptr()) for name, value in tensors],
        "bytes": [value.detach().numpy().tobytes() for _, value in tensors],
        "versions": [value._version for _, value in tensors],
        "grads": [
            None if p.grad is None else (id(p.grad), p.grad.numpy().tobytes())
            for p in model.parameters()
        ],
        "requires_grad": [value.requires_grad for _, value in tensors],
        "graphs": [value.grad_fn for _, value in tensors],
        "training": [module.training for module in model.modules()],
        "hooks": [[list(getattr(m, name)) for name in HOOKS] for m in model.modules()],
        "attributes": [sorted(vars(module)) for module in model.modules()],
        "random": (
            torch.get_rng_state().numpy().tobytes(),
            [part.tolist() if hasattr(part, "tolist") else part for part in np.random.get_state()],  # noqa: NPY002
            random.getstate(),
        ),
        "modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "dtype": torch.get_default_dtype(),
    }


def marked(model):
    """Give a model some gradients, a frozen parameter and mixed training flags."""
    parameters = list(model.parameters())
    for parameter in parameters[::2]:
        parameter.grad = torch.full_like(parameter, 0.5)
    parameters[0].requires_grad_(False)
    last = list(model.modules())[-1]
    last.train(not last.training)
    return model


def refused(arguments, error, says):
    """Check that coupling raises an error before it has changed anything."""
    arguments = {
        "model": spread(mlp((4, 5, 3), "tanh", seed=0)),
        "loss_fn": F.cross_entropy,
        "batch": (draw(6, 4), labels(6, 3)),
        **arguments,
    }
    model = arguments["model"]
    before = state(model) if isinstance(model, nn.Module) else None
    random_before = torch.get_rng_state()
    with pytest.raises(error, match=says):
        coupling(**arguments)
    assert torch.equal(torch.get_rng_state(), random_before)
    if before is not None:
        assert state(model) == before


# --- data and modules --------------------------------------------------------------------------


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def labels(samples, classes, seed=0):
    return torch.randint(classes, (samples,), generator=torch.Generator().manual_seed(seed))


def spread(model, seed=0):
    """Convert a model to double precision, and make all its parameters random."""
    generator = torch.Generator().manual_seed(seed)
    model = model.double()
    with torch.no_grad():
        for value in model.parameters():
            noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            if value.ndim < 2:
                value += 0.3 * noise
            else:
                value.copy_(noise / value[0].numel() ** 0.5)
    return model


BATCH = draw(6, 4), labels(6, 3)


class Several(nn.Module):
    """A model with two inputs, the second of which is optional."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 3), nn.Linear(2, 3)

    def forward(self, x, z=None):
        return torch.tanh(self.left(x)) + (0.0 if z is None else torch.tanh(self.right(z)))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.inner = nn.Linear(4, 5), nn.Linear(5, 5)
        self.last = nn.Linear(5, 3)

    def forward(self, x):
        h = self.first(x)
        h = h + torch.tanh(self.inner(torch.tanh(h)))
        return self.last(h + 0.5 * h.square())


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.left, self.right = nn.Linear(4, 4), nn.Linear(4, 3), nn.Linear(4, 3)
        self.last = nn.Linear(3, 3)

    def forward(self, x):
        h = torch.tanh(self.stem(x))
        return self.last(torch.tanh(self.left(h)) * torch.sigmoid(self.right(h)))


class Twice(nn.Module):
    """A model that uses one layer twice."""

    def __init__(self):
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        h = torch.tanh(self.inner(torch.tanh(self.first(x))))
        return self.last(torch.tanh(self.inner(h)))


class Tied(nn.Module):
    """A model with two layers that share one Parameter."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.last(torch.tanh(self.second(torch.tanh(self.first(x)))))


class Beside(nn.Module):
    """A model that uses a weight in its layer and also as a matrix."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        h = torch.tanh(self.first(x))
        return self.last(h) + torch.tanh(h @ self.first.weight)[:, :3]


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(6, 4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.last = nn.Linear(4, 3)

    def forward(self, tokens):
        h = self.embedding(tokens)
        h = h + self.attention(h, h, h, need_weights=False)[0]
        return self.last(h.mean(1))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.last = nn.LSTM(3, 3, batch_first=True), nn.Linear(3, 3)

    def forward(self, x):
        return self.last(self.lstm(x)[0][:, -1])


def contrastive(output, targets):
    """Compare each sample with all others of the batch."""
    similar = output @ output.T
    return (similar.logsumexp(1) - similar.gather(1, targets[:, None])[:, 0]).mean()


# --- cases -------------------------------------------------------------------------------------


def classified(make, samples=7, inputs=4, how=JACOBIANS, name="", loss=F.cross_entropy, **more):
    def build():
        return spread(make()), loss, (draw(samples, inputs), labels(samples, 3))

    return Case(name, build, how, **more)


def normalized(units, samples, inputs, *, bias=False, affine=True, shift=True, momentum=0.1):
    """Make linear layers, with batch normalization after each hidden one."""
    layers = []
    for before, after in zip((inputs, *units), units, strict=False):
        norm = nn.BatchNorm1d(after, affine=affine, momentum=momentum)
        if not shift:
            norm.register_parameter("bias", None)
        layers += [nn.Linear(before, after, bias=bias), norm, nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(units[-1], 3))


def linear_names(model):
    return tuple(
        f"{name}.{own}"
        for name, layer in model.named_modules()
        if type(layer) is nn.Linear
        for own, _ in layer.named_parameters()
    )


def batch_normalized(name, units, samples, inputs, **options):
    def make():
        return normalized(units, samples, inputs, **options)

    return classified(make, samples, inputs, name=name, names=linear_names(make()))


def torch_weight_norm():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))
    for k in (0, 2):
        nn.utils.parametrizations.weight_norm(model[k])
    return model


def written_out(model, parameters, x):
    """Evaluate a sequence of weight-normalized layers and activations."""
    for name, layer in model.named_children():
        if not hasattr(layer, "parametrizations"):
            x = layer(x)
            continue
        g, v = (parameters[f"{name}.parametrizations.weight.original{k}"] for k in (0, 1))
        x = x @ (g * v / v.square().sum(1, keepdim=True).sqrt()).T + parameters[f"{name}.bias"]
    return x


def convolutional(norm=False):
    layers = [nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2) if norm else nn.Identity(), nn.Tanh()]
    layers += [nn.AvgPool2d(2), nn.Conv2d(2, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(3, 3)]
    return nn.Sequential(*layers)


def images(model):
    return spread(model), F.cross_entropy, (draw(5, 1, 6, 6), labels(5, 3))


def with_targets(loss, targets):
    def build():
        return spread(mlp((4, 5, 3), "tanh", seed=0)), loss, (draw(6, 4), targets)

    return build


def frozen():
    model = mlp((4, 5, 5, 3), "tanh", seed=0)
    model.linear1.requires_grad_(False)
    model.linear2.weight.requires_grad_(False)
    return model


def evaluated(model):
    """Put a model into evaluation mode, with running statistics from other data."""
    model = spread(model)
    model(draw(20, 4, seed=5))
    return model.eval(), F.cross_entropy, (draw(6, 4), labels(6, 3))


SEPARATE = [
    classified(lambda: mlp((4, 3), seed=0), name="linear model"),
    classified(lambda: mlp((4, 6, 3), "relu", seed=0), name="relu"),
    classified(lambda: mlp((4, 5, 4, 5, 3), "relu", seed=0), name="relu, deep"),
    classified(lambda: mlp((4, 6, 3), "tanh", seed=0), name="tanh"),
    classified(lambda: mlp((4, 3, 5, 4, 3), "tanh", seed=0), name="tanh, deep"),
    classified(lambda: mlp((12, 3, 3), "tanh", seed=0), 5, 12, name="wide inputs"),
    classified(lambda: mlp((2, 3, 3), "tanh", seed=0), 40, 2, name="many samples"),
    classified(lambda: mlp((4, 5, 3), "tanh", seed=0), 1, name="one sample"),
    classified(Residual, name="residual"),
    classified(Branches, name="branches"),
    classified(frozen, name="frozen"),
    Case("mse, mean", with_targets(F.mse_loss, draw(6, 3, seed=1))),
    Case("mse, sum", with_targets(nn.MSELoss(reduction="sum"), draw(6, 3, seed=1))),
    Case("bce", with_targets(F.binary_cross_entropy_with_logits, draw(6, 3, seed=1).sigmoid())),
    classified(
        lambda: mlp((4, 5, 3), seed=0),
        name="cross entropy, sum",
        loss=nn.CrossEntropyLoss(reduction="sum"),
    ),
    classified(
        lambda: mlp((4, 5, 3), seed=0), name="linear loss", loss=lambda output, _: output.mean()
    ),
]

# The low-rank matrices have two forms, for more and for fewer samples than twice the inputs.
BATCH_NORMALIZED = [
    batch_normalized("1 norm", (5,), 9, 4),
    batch_normalized("1 norm, wide", (4,), 6, 12),
    batch_normalized("1 norm, wide, bias", (4,), 6, 12, bias=True),
    batch_normalized("2 norms, plain", (4, 5), 9, 4, affine=False),
    batch_normalized("2 norms, bias", (4, 3), 9, 4, bias=True),
    batch_normalized("2 norms, wide, no shift", (3, 4), 6, 10, shift=False),
    batch_normalized("3 norms, cumulative", (3, 4, 3), 10, 4, momentum=None),
    batch_normalized("3 norms, wide", (3, 4, 3), 5, 9),
    classified(
        lambda: mlp((4, 5, 4, 3), "relu", "batch", shift=False, seed=0),
        9,
        name="mlp, no shift",
        names=("linear1.weight", "linear2.weight", "linear3.weight", "linear3.bias"),
    ),
    Case(
        "evaluation",
        lambda: evaluated(normalized((4, 3), 6, 4)),
        names=linear_names(normalized((4, 3), 6, 4)),
    ),
    Case(
        "evaluation, without running statistics",
        lambda: evaluated(
            nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False))
        ),
        names=("0.weight", "0.bias"),
    ),
]

OTHERS = [
    Case(
        "convolutions",
        lambda: images(convolutional()),
        products_because("0.weight is not a parameter of a torch.nn.Linear"),
    ),
    Case(
        "convolutions, batch norm",
        lambda: images(convolutional(norm=True)),
        products_because("batch normalization has more than one vector per sample"),
    ),
    classified(
        lambda: normalized((4,), 7, 4),
        how=products_because("1.weight is not a parameter of a torch.nn.Linear"),
        name="gains and shifts",
    ),
    classified(
        torch_weight_norm,
        how=products_because("0.bias is not a parameter of a torch.nn.Linear"),
        name="torch's weight norm",
        forward=written_out,
    ),
    classified(
        lambda: mlp((4, 4, 3), "tanh", "weight", seed=0),
        how=products_because("linear1.bias is not a parameter of a torch.nn.Linear"),
        name="weight norm",
        forward=written_out,
    ),
    classified(
        lambda: nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 3)),
        how=products_because("1.weight is not a parameter of a torch.nn.Linear"),
        name="layer norm",
    ),
    classified(Twice, how=products_because("layer 'inner' is used more than once"), name="twice"),
    classified(Tied, how=products_because("first.weight is used in several places"), name="tied"),
    classified(
        Beside,
        how=products_because("first.weight also acts outside of its linear layer"),
        name="beside",
    ),
    Case(
        "attention",
        lambda: (
            spread(Attention()),
            F.cross_entropy,
            (labels(20, 6).view(5, 4), labels(5, 3)),
        ),
        products_because("embedding.weight is not a parameter of a torch.nn.Linear"),
    ),
    Case(
        "lstm",
        lambda: (spread(Recurrent()), F.cross_entropy, (draw(5, 4, 3), labels(5, 3))),
        products_because("lstm.weight_ih_l0 is not a parameter of a torch.nn.Linear"),
    ),
    Case(
        "contrastive",
        lambda: (spread(mlp((4, 5, 3), "tanh", seed=0)), contrastive, (draw(6, 4), labels(6, 6))),
        products_because("its samples depend on one another"),
    ),
]

CASES = [*SEPARATE, *BATCH_NORMALIZED, *OTHERS]
BY_NAME = {case.name: case for case in CASES}
