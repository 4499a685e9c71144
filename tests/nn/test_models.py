"""Networks built by `mlp`: names, initial weights, normalizations and second derivatives."""

import copy
import io

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402
from torch.func import functional_call  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from polarstep.nn import mlp  # noqa: E402
from small_networks import NORMALIZATIONS, double_data  # noqa: E402

KINDS = [
    (activation, normalization)
    for activation in ("relu", "tanh")
    for normalization in NORMALIZATIONS
]


def linears(model):
    return [layer for layer in model if isinstance(layer, nn.Linear)]


@pytest.mark.parametrize(("activation", "normalization"), KINDS)
def test_names_and_shapes(activation, normalization):
    model = mlp([6, 5, 4, 3], activation, normalization, seed=0)
    norm = ["norm"] if normalization == "batch" else []
    hidden = ["linear", *norm, "activation"]
    names = [f"{kind}{k}" for k in (1, 2) for kind in hidden] + ["linear3"]
    assert [name for name, _ in model.named_children()] == names
    assert model.linear2.weight.shape == (4, 5)
    assert isinstance(model.activation1, {"relu": nn.ReLU, "tanh": nn.Tanh}[activation])
    has_bias = [layer.bias is not None for layer in linears(model)]
    assert has_bias == ([False, False, True] if normalization == "batch" else [True] * 3)
    assert model(torch.randn(7, 6)).shape == (7, 3)


def test_a_linear_model_is_a_network_without_hidden_layers():
    model = mlp([4, 2], normalization="batch", seed=0)
    assert [name for name, _ in model.named_parameters()] == ["linear1.weight", "linear1.bias"]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_initial_weights_do_not_depend_on_the_normalization(activation):
    plain, batch, weight = (mlp([6, 8, 8, 3], activation, n, seed=3) for n in NORMALIZATIONS)
    for one, two, three in zip(linears(plain), linears(batch), linears(weight), strict=True):
        assert torch.equal(one.weight, two.weight)
        assert torch.equal(one.weight, three.weight)
    x = torch.randn(5, 6)
    assert torch.equal(plain(x), weight(x))


def test_weight_normalization_agrees_with_torch():
    ours = mlp([6, 5, 3], normalization="weight", seed=0)
    theirs = mlp([6, 5, 3], seed=1)
    for layer in linears(theirs):
        nn.utils.parametrizations.weight_norm(layer)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(4, 6)
    torch.testing.assert_close(ours(x), theirs(x))


def test_the_same_seed_gives_the_same_weights():
    def first(seed):
        return mlp([3, 2, 1], seed=seed).linear1.weight

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))
    assert not torch.equal(first(None), first(None))


@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_the_global_random_state_is_not_touched(normalization, seed):
    before = torch.get_rng_state()
    mlp([6, 5, 3], normalization=normalization, seed=seed)
    assert torch.equal(torch.get_rng_state(), before)


def test_variance_of_the_initial_weights():
    # Five standard errors of the variance of 300 * 500 draws are less than 2%.
    relu, tanh = (mlp([300, 500, 1], a, seed=0).linear1 for a in ("relu", "tanh"))
    assert relu.weight.var().item() == pytest.approx(2 / 300, rel=0.02)
    assert tanh.weight.var().item() == pytest.approx(2 / 800, rel=0.02)
    assert tanh.weight.abs().max() <= (6 / 800) ** 0.5
    assert not relu.bias.any()
    assert not tanh.bias.any()


@pytest.mark.parametrize("shift", [True, False])
def test_batch_norm_trains_and_evaluates(shift):
    model = mlp([6, 5, 4, 3], normalization="batch", shift=shift, seed=0).double()
    x, y = double_data()
    assert type(model.norm1) is nn.BatchNorm1d
    assert (model.norm2.bias is not None) == shift
    model.norm1.weight.data.uniform_(0.5, 2)
    h = model.linear1(x)
    expected = model.norm1.weight * (h - h.mean(0)) / (h.var(0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(model.norm1(h), expected)
    cross_entropy(model(x), y).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())

    model.eval()
    one_by_one = torch.cat([model(sample[None]) for sample in x])
    torch.testing.assert_close(model(x), one_by_one)

    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    again = mlp([6, 5, 4, 3], normalization="batch", shift=shift, seed=1).double()
    again.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(again.eval()(x), model(x))
    assert torch.equal(copy.deepcopy(model)(x), model(x))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("normalization", "shift"), [(None, True), ("batch", True), ("batch", False), ("weight", True)]
)
def test_second_derivatives(normalization, shift, training):
    model = mlp([3, 4, 2], "tanh", normalization, shift=shift, seed=0).double().train(training)
    x = double_data(samples=5, inputs=3)[0]
    names = [name for name, _ in model.named_parameters()]
    values = [p.detach().requires_grad_() for p in model.parameters()]

    def f(*parameters):
        return (
            functional_call(model, dict(zip(names, parameters, strict=True)), (x,)).square().sum()
        )

    assert torch.autograd.gradcheck(f, values)
    assert torch.autograd.gradgradcheck(f, values)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"sizes": [3]}, ValueError, r"`sizes` must list the units .*; got \[3\]\. For instance"),
        ({"sizes": 3}, TypeError, "`sizes` must list the units .*; got 3"),
        ({"sizes": [3, 0, 2]}, ValueError, r"`sizes\[1\]` must be a whole number >= 1; got 0"),
        ({"sizes": [3, 2.0]}, TypeError, r"`sizes\[1\]` must be a whole number"),
        ({"activation": "rleu"}, ValueError, "one of 'relu', 'tanh'; got 'rleu'. Did you mean 're"),
        ({"normalization": "layer"}, ValueError, "be None, 'batch' or 'weight'; got 'layer'"),
        ({"seed": -1}, ValueError, "`seed` must be a whole number >= 0; got -1"),
        ({"seed": "a"}, TypeError, "`seed` must be a whole number"),
    ],
)
def test_invalid_arguments_of_mlp_are_refused(arguments, error, says):
    with pytest.raises(error, match=f"mlp: {says}" if says[0] == "`" else says):
        mlp(**{"sizes": [3, 2], **arguments})
