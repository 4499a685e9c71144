"""Covariances of layers' inputs: patches of convolutions, subsamples, degenerate batches."""

import math

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from optim_training import DIRECTIONS, METRICS, batches, network, run, step, weights  # noqa: E402
from polarstep.optim import Covariance, LengthDirection  # noqa: E402
from polarstep.optim.covariance import _window, damped, factor, patches  # noqa: E402

CONVOLUTIONS = [
    nn.Conv1d(6, 8, 3, stride=2, padding=1),
    nn.Conv2d(6, 9, (3, 2), padding="same", dilation=2),
    nn.Conv2d(6, 8, 3, groups=2, padding=1, padding_mode="reflect"),
    nn.Conv2d(6, 6, 3, groups=6),
    nn.Conv3d(6, 4, 2, stride=2, padding_mode="circular", padding=1),
]


@pytest.mark.parametrize("convolution", CONVOLUTIONS, ids=str)
def test_a_convolution_multiplies_its_weight_by_the_patches(convolution):
    axes = len(convolution.kernel_size)
    x = torch.randn(2, 6, *[7] * axes)
    groups = convolution.groups
    found = patches(x, *_window(convolution), groups=groups)
    W = convolution.weight.reshape(groups, -1, found.shape[2])
    out = (found @ W.mT).reshape(groups, 2, -1, W.shape[1])  # groups, samples, places, outputs
    out = out.permute(1, 0, 3, 2).reshape(2, convolution.out_channels, -1)
    expected = convolution(x).flatten(2) - convolution.bias[:, None]
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("limit", [1, 5, 30, 1000])
def test_patches_are_limited(limit):
    taken = patches(torch.randn(6, 2, 5, 5), [3, 3], [1, 1], [1, 1], [0] * 4, limit=limit)
    assert taken.shape[1] == min(limit, 54)


def test_a_subsample_uses_all_positions_of_a_sequence_alike():
    layer, length = nn.Linear(8, 8), 8
    model = nn.Sequential(layer, nn.Linear(8, 1))
    optimizer = LengthDirection(model, metric=Covariance(rows=32))
    model(torch.eye(length).expand(64, length, 8))  # each input encodes its position
    torch.testing.assert_close(optimizer._watcher.inputs[layer.weight].total[0], 4 * torch.eye(8))


@pytest.mark.parametrize("metric", METRICS)
def test_inputs_of_zeros_leave_the_first_matrix_alone(metric):
    """The biases are trained all the same."""
    model = network()
    before = model[0].weight.detach().clone()
    optimizer = LengthDirection(model, 0.05, metric=metric)
    losses = run(model, optimizer, torch.zeros(20, 6))
    assert losses[-1] < losses[0]
    torch.testing.assert_close(model[0].weight.detach(), before)


@pytest.mark.parametrize(
    "metric",
    [
        Covariance(damping=0.1, refresh_every=1),
        Covariance(damping=0.0, refresh_every=1),
        "euclidean",
        "frobenius",
    ],
)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_batches_of_one(metric, direction):
    """The covariance has rank one; weights stay finite, also without damping."""
    model = network()
    optimizer = LengthDirection(model, 0.05, metric=metric, direction=direction)
    x = torch.randn(1, 6)
    losses = [run(model, optimizer, x, steps=1)[0] for _ in range(10)]
    assert min(losses) < losses[0] / 2


def test_empty_batches_do_not_count():
    model = network()
    optimizer = LengthDirection(model, 0.05)
    x = torch.randn(8, 6)
    model(torch.zeros(0, 6))
    run(model, optimizer, x, steps=1)
    torch.testing.assert_close(optimizer.state[model[0].weight]["covariance"][0], x.T @ x / 8)


def test_inputs_of_very_different_scales():
    model = network()
    optimizer = LengthDirection(model, 0.05, metric=Covariance(refresh_every=1))
    x = torch.randn(20, 6) * torch.logspace(-8, 8, 6)
    losses = run(model, optimizer, x, steps=20)
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_factors_are_those_of_the_damped_covariance(damping):
    x = torch.randn(2, 50, 4, dtype=torch.float64)
    S = x.mT @ x / 50
    L, R = factor(S, damping)
    mean = S.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    expected = S + damping * mean * torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(L @ L.mT, expected)
    torch.testing.assert_close(
        R.mT @ expected @ R, torch.eye(4, dtype=torch.float64).expand(2, 4, 4)
    )
    assert torch.equal(damped(torch.zeros(1, 4, 4), damping)[0], torch.eye(4))


def test_batches_that_are_not_finite_are_left_out_of_the_covariance():
    model = network()
    optimizer = LengthDirection(model, 0.05)
    bad, good = batches(2)
    bad[0, 0] = math.inf
    model(bad)
    step(model, optimizer, good)
    torch.testing.assert_close(
        optimizer.state[model[0].weight]["covariance"][0], good.T @ good / 24
    )


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_inputs_of_compiled_models_are_gathered_without_compiling_again(backend):
    torch.compiler.reset()
    compilations = []

    def counting(graph, example):
        compilations.append(graph)
        return torch._dynamo.lookup_backend(backend)(graph, example)

    plain, inner = network(), network()
    compiled = torch.compile(inner, backend=counting, fullgraph=True)
    a = LengthDirection(plain, 0.05, metric=Covariance(refresh_every=2))
    b = LengthDirection(compiled, 0.05, metric=Covariance(refresh_every=2))
    for x in batches(6):
        step(plain, a, x)
        step(compiled, b, x)
    assert len(compilations) == 1
    for p, q in zip(weights(plain), weights(inner), strict=True):
        torch.testing.assert_close(p, q)
    S, T = (o.state[m[2].weight]["covariance"] for o, m in ((a, plain), (b, inner)))
    torch.testing.assert_close(S, T)
