"""Networks, and the gradient split into directions and lengths."""

import copy
import io
import subprocess
import sys

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402
from torch.func import functional_call  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from polarstep.nn import GradientSplit, gradient_split, mlp  # noqa: E402

NORMALIZATIONS = [None, "batch", "weight"]
KINDS = [
    (activation, normalization)
    for activation in ("relu", "tanh")
    for normalization in NORMALIZATIONS
]


def data(samples=40, inputs=6, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, inputs, generator=generator, dtype=torch.float64)
    return x, torch.randint(classes, (samples,), generator=generator)


def linears(model):
    return [layer for layer in model if isinstance(layer, nn.Linear)]


# --- the extra ---------------------------------------------------------------------------------


def without_torch(code):
    code = f"import sys; sys.modules['torch'] = None; {code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_polarstep_needs_no_torch():
    done = without_torch("import polarstep as ps; print(ps.Halfspace.__name__)")
    assert done.stdout.strip() == "Halfspace"
    code = "import polarstep, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_torch_the_error_says_what_to_install():
    done = without_torch("import polarstep.nn")
    assert done.stderr.strip().splitlines()[-1] == (
        "ModuleNotFoundError: polarstep.nn needs PyTorch, which is not installed. "
        "Run: pip install 'polarstep[torch]'"
    )


def test_what_an_installed_torch_lacks_is_not_called_a_missing_torch(tmp_path):
    (tmp_path / "torch.py").write_text("import something_that_is_missing")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import polarstep.nn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "No module named 'something_that_is_missing'" in done.stderr
    assert "polarstep[torch]" not in done.stderr


# --- mlp ---------------------------------------------------------------------------------------


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


def test_weight_norm_is_torchs():
    ours = mlp([6, 5, 3], normalization="weight", seed=0)
    theirs = mlp([6, 5, 3], seed=1)
    for layer in linears(theirs):
        nn.utils.parametrizations.weight_norm(layer)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(4, 6)
    torch.testing.assert_close(ours(x), theirs(x))


def test_seeds():
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
    x, y = data()
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
    x = data(samples=5, inputs=3)[0]
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
def test_arguments_of_mlp_that_do_not_fit(arguments, error, says):
    with pytest.raises(error, match=f"mlp: {says}" if says[0] == "`" else says):
        mlp(**{"sizes": [3, 2], **arguments})


# --- gradient_split ----------------------------------------------------------------------------


def perturbed(normalization, activation="tanh", **options):
    """A network whose lengths, gains and biases are not those of the start."""
    model = mlp([6, 5, 4, 3], activation, normalization, seed=1, **options).double()
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        noise = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data.mul_(0.5 + noise).add_(noise, alpha=0.1)
    return model


def explicit(model, loss, lengths_of):
    """Norms by autograd in (g, u), a leaf each; `lengths_of` is a g from elsewhere, or None."""
    leaves, weights, lengths = [], {}, []
    for name, layer in model.named_children():
        if not isinstance(layer, nn.Linear):
            continue
        W = layer.weight.detach()
        g = W.norm(dim=1, keepdim=True)
        u = (W / g).requires_grad_()
        leaves.append(u)
        if lengths_of(name) is None:
            g.requires_grad_()
            lengths.append(g)
        else:
            lengths.append(lengths_of(name))
        weights[f"{name}.weight"] = g * u
    gradients = torch.autograd.grad(loss(weights), [*leaves, *lengths])
    du, dg = gradients[: len(leaves)], gradients[len(leaves) :]
    tangent = [d - (d * u).sum(1, keepdim=True) * u for d, u in zip(du, leaves, strict=True)]
    return [torch.cat([p.flatten() for p in parts]).norm().item() for parts in (tangent, dg)]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("normalization", [None, "weight"])
def test_the_split_is_autograd_in_lengths_and_directions(normalization, activation):
    model = perturbed(normalization, activation)
    x, y = data()
    cross_entropy(model(x), y).backward()

    plain = mlp([6, 5, 4, 3], activation).double()
    biases = {name: p for name, p in model.named_parameters() if name.endswith("bias")}
    expected = explicit(
        model,
        lambda weights: cross_entropy(functional_call(plain, {**weights, **biases}, (x,)), y),
        lambda name: None,
    )
    assert gradient_split(model) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shift", [True, False])
def test_a_batch_norms_gain_is_the_length(shift):
    model = perturbed("batch", shift=shift)
    model.norm1.eps = model.norm2.eps = 1e-14
    x, y = data()
    cross_entropy(model(x), y).backward()
    gains = {"linear1": model.norm1.weight, "linear2": model.norm2.weight}
    expected = explicit(
        model, lambda weights: cross_entropy(functional_call(model, weights, (x,)), y), gains.get
    )
    assert gradient_split(model) == pytest.approx(expected, rel=1e-12)


def test_batch_norm_in_eval_mode_is_a_constant_map():
    model = perturbed("batch").eval()
    x, y = data()
    cross_entropy(model(x), y).backward()
    expected = explicit(
        model,
        lambda weights: cross_entropy(functional_call(model, weights, (x,)), y),
        lambda name: None,
    )
    # The gains belong to no row, then, and count as little as biases do.
    assert gradient_split(model) == pytest.approx(expected, rel=1e-12)


def test_batch_norm_on_weight_norm_and_without_gains():
    x, _ = data()
    plain, weight = (mlp([6, 5, 3], normalization=n, seed=1).double() for n in (None, "weight"))
    splits = []
    for model in (plain, weight):
        norm = nn.BatchNorm1d(5, eps=1e-14, affine=False).double()
        model = nn.Sequential(model.linear1, norm, model.activation1, nn.Flatten())
        (model(x)[:, 0] ** 3).mean().backward()
        splits.append(gradient_split(model))
    assert splits[0].length == splits[1].length == 0
    # One unit alone: the gradient of its neighbours is zero.
    assert splits[0].direction == pytest.approx(splits[1].direction, rel=1e-6)


@pytest.mark.parametrize("normalized", [False, True])
def test_filters_are_rows(normalized):
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 3, 3).double()
    W = conv.weight.detach().flatten(1)
    model = nn.utils.parametrizations.weight_norm(conv) if normalized else conv
    model(torch.randn(4, 2, 5, 5, dtype=torch.float64)).sin().sum().backward()
    split = gradient_split(model)
    if not normalized:
        dW = conv.weight.grad.flatten(1)
        g = W.norm(dim=1, keepdim=True)
        length = (W / g * dW).sum(1, keepdim=True)
        assert split.length == pytest.approx(length.norm().item())
        assert split.direction**2 == pytest.approx(
            ((g * dW).square().sum() - (g * length).square().sum()).item()
        )
    else:
        torch.manual_seed(0)
        plain = nn.Conv2d(2, 3, 3).double()
        plain(torch.randn(4, 2, 5, 5, dtype=torch.float64)).sin().sum().backward()
        assert split == pytest.approx(gradient_split(plain))


def test_gradients_can_be_passed_and_zero_rows_count_as_zero():
    model = nn.Linear(2, 2, bias=False)
    model.weight.data = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    gradient = torch.tensor([[0.0, 10.0], [5.0, 5.0]])
    assert gradient_split(model, {"weight": gradient}) == GradientSplit(30.0, 8.0)
    assert model.weight.grad is None


def test_frozen_layers_and_shared_weights():
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[0].weight.requires_grad_(False)
    model(torch.ones(2, 3)).square().sum().backward()
    alone = gradient_split(model[1])
    assert gradient_split(model) == alone
    shared = nn.Sequential(model[1], nn.Linear(3, 3, bias=False))
    shared[1].weight = model[1].weight
    assert gradient_split(shared) == alone
    assert gradient_split(nn.PReLU(), {"weight": torch.ones(1)}) == (0.0, 0.0)


def test_models_that_cannot_be_split():
    with pytest.raises(
        ValueError, match=r"have gradients; got none\. Call loss\.backward\(\) first"
    ):
        gradient_split(mlp([3, 2]))
    model = nn.utils.parametrizations.orthogonal(nn.Linear(3, 3))
    model(torch.ones(1, 3)).sum().backward()
    with pytest.raises(ValueError, match=r"normalized by .*weight_norm; got .*weight with _Orth"):
        gradient_split(model)
