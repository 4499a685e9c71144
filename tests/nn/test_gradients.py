"""The gradient split by directions and lengths, against autograd in these coordinates."""

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402
from torch.func import functional_call  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from polarstep.nn import GradientSplit, gradient_split, mlp  # noqa: E402
from small_networks import double_data  # noqa: E402


def perturbed(normalization, activation="tanh", **options):
    """A network whose lengths, gains and biases have changed since the start."""
    model = mlp([6, 5, 4, 3], activation, normalization, seed=1, **options).double()
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        noise = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data.mul_(0.5 + noise).add_(noise, alpha=0.1)
    return model


def explicit(model, loss, lengths_of):
    """Norms by autograd with g and u as leaves; `lengths_of` gives the g of a layer, or None."""
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
    x, y = double_data()
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
    x, y = double_data()
    cross_entropy(model(x), y).backward()
    gains = {"linear1": model.norm1.weight, "linear2": model.norm2.weight}
    expected = explicit(
        model, lambda weights: cross_entropy(functional_call(model, weights, (x,)), y), gains.get
    )
    assert gradient_split(model) == pytest.approx(expected, rel=1e-12)


def test_batch_norm_in_eval_mode_is_a_constant_map():
    model = perturbed("batch").eval()
    x, y = double_data()
    cross_entropy(model(x), y).backward()
    expected = explicit(
        model,
        lambda weights: cross_entropy(functional_call(model, weights, (x,)), y),
        lambda name: None,
    )
    # In this mode the gains belong to no row, so they do not count, just like biases.
    assert gradient_split(model) == pytest.approx(expected, rel=1e-12)


def test_batch_norm_on_weight_norm_and_without_gains():
    x, _ = double_data()
    plain, weight = (mlp([6, 5, 3], normalization=n, seed=1).double() for n in (None, "weight"))
    splits = []
    for model in (plain, weight):
        norm = nn.BatchNorm1d(5, eps=1e-14, affine=False).double()
        model = nn.Sequential(model.linear1, norm, model.activation1, nn.Flatten())
        (model(x)[:, 0] ** 3).mean().backward()
        splits.append(gradient_split(model))
    assert splits[0].length == splits[1].length == 0
    # The loss depends on one unit only, so the gradients of the other units are zero.
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
