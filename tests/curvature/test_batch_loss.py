"""The model is not changed, and wrong arguments are named."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="polarstep.curvature needs PyTorch")

from torch import nn  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from curvature_cases import (  # noqa: E402
    BATCH,
    BY_NAME,
    Several,
    assert_norms,
    convolutional,
    draw,
    hessian,
    labels,
    marked,
    normalized,
    norms,
    refused,
    solved,
    spread,
    state,
)
from polarstep.curvature import coupling  # noqa: E402
from polarstep.nn import mlp  # noqa: E402


class Failing(nn.Module):
    """A model whose forward pass fails in the call with the given number."""

    def __init__(self, at):
        super().__init__()
        self.net = normalized((4, 3), 6, 4)
        self.left = at

    def forward(self, x):
        output = self.net(x)
        self.left -= 1
        if self.left == 0:
            raise ZeroDivisionError("in forward")
        return output


MODELS = {
    "batch norm": (lambda: normalized((4, 3), 6, 4, bias=True), (6, 4)),
    "batch norm 2d": (lambda: convolutional(norm=True), (6, 1, 6, 6)),
    "spectral norm": (
        lambda: nn.Sequential(
            nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)), nn.Tanh(), nn.Linear(4, 3)
        ),
        (6, 4),
    ),
    "weight norm": (lambda: mlp((4, 4, 3), normalization="weight", seed=0), (6, 4)),
    "dropout in evaluation mode": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.Dropout().eval(), nn.Linear(3, 3)),
        (6, 4),
    ),
}


@pytest.mark.parametrize("directions", [False, True])
@pytest.mark.parametrize("method", ["exact", "sketch"])
@pytest.mark.parametrize("name", MODELS)
def test_nothing_changes(name, method, directions):
    make, shape = MODELS[name]
    model = marked(spread(make()))
    batch = draw(*shape), labels(shape[0], 3)
    kept = [value.clone() for value in batch]
    before = state(model)
    coupling(model, cross_entropy, batch, method=method, directions=directions, rtol=0.2)
    assert state(model) == before
    assert all(torch.equal(a, b) for a, b in zip(batch, kept, strict=True))
    assert not batch[0].requires_grad


@pytest.mark.parametrize("method", ["exact", "sketch"])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_nothing_changes_when_forward_fails(at, method):
    """The first calls are checks, and a later one runs with forward hooks."""
    model = marked(Failing(at).double())
    before = state(model)
    batch = draw(6, 4), labels(6, 3)
    names = ["net.0.weight", "net.3.weight"]
    if at > 3 and method == "sketch":
        at = 3
        model.left = at
    with pytest.raises(ZeroDivisionError, match="in forward"):
        coupling(model, cross_entropy, batch, row=names, columns=names, method=method)
    assert state(model) == before


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_nothing_changes_when_the_loss_fails(at):
    model = marked(spread(normalized((4, 3), 6, 4)))
    before, calls = state(model), []

    def loss(output, targets):
        calls.append(None)
        if len(calls) == at:
            raise ZeroDivisionError("in the loss")
        return cross_entropy(output, targets)

    names = ["0.weight", "3.weight"]
    with pytest.raises(ZeroDivisionError, match="in the loss"):
        coupling(model, loss, (draw(6, 4), labels(6, 3)), row=names, columns=names)
    assert state(model) == before


def test_frozen_parameters_have_blocks_and_stay_frozen():
    model, loss_fn, batch, *_ = solved(BY_NAME["frozen"])
    names = [name for name, value in model.named_parameters() if not value.requires_grad]
    assert names == ["linear1.weight", "linear1.bias", "linear2.weight"]
    c = coupling(model, loss_fn, batch, row=names, columns=names)
    assert (c.raw > 0).all()
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == names


@pytest.mark.parametrize("method", ["exact", "sketch"])
def test_gradients_may_be_switched_off(method):
    model, loss_fn, batch, *_ = solved(BY_NAME["2 norms, bias"])
    expected = coupling(model, loss_fn, batch, method=method)
    with torch.no_grad():
        before = state(model)
        c = coupling(model, loss_fn, batch, method=method)
        assert state(model) == before
    np.testing.assert_array_equal(c.raw, expected.raw)


def test_a_compiled_model_is_the_model():
    """The original module is called instead of the compiled one."""
    model, loss_fn, batch, *_ = solved(BY_NAME["tanh"])
    compiled = torch.compile(model, backend="eager")
    c = coupling(compiled, loss_fn, batch)
    assert c.columns == ("linear1.weight", "linear2.weight")
    np.testing.assert_array_equal(c.raw, coupling(model, loss_fn, batch).raw)


@pytest.mark.parametrize("normalization", [None, "batch"])
def test_inference_mode(normalization):
    model = spread(mlp((4, 5, 3), "tanh", normalization, seed=0))
    expected = coupling(model, cross_entropy, BATCH).raw
    with torch.inference_mode():
        np.testing.assert_array_equal(coupling(model, cross_entropy, BATCH).raw, expected)
        made = BATCH[0].clone(), BATCH[1].clone()
        np.testing.assert_array_equal(coupling(model, cross_entropy, made).raw, expected)
        inside = coupling(model, cross_entropy, ((made[0],), made[1])).raw
        np.testing.assert_array_equal(inside, expected)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
def test_weight_normalization_by_hook_and_by_parametrization_agree():
    torch.manual_seed(0)
    plain = [nn.Linear(4, 5).double(), nn.Tanh(), nn.Linear(5, 3).double()]
    by_hook = nn.Sequential(nn.utils.weight_norm(plain[0]), *plain[1:])
    new = nn.Linear(4, 5).double()
    new.load_state_dict({"weight": by_hook[0].weight.detach(), "bias": by_hook[0].bias})
    by_parametrization = nn.Sequential(nn.utils.parametrizations.weight_norm(new), *plain[1:])
    names = [
        ["0.weight_g", "0.weight_v", "2.weight"],
        [f"0.parametrizations.weight.original{k}" for k in (0, 1)] + ["2.weight"],
    ]
    found = [
        coupling(model, cross_entropy, BATCH, row=n, columns=n)
        for model, n in zip((by_hook, by_parametrization), names, strict=True)
    ]
    np.testing.assert_allclose(found[0].raw, found[1].raw, rtol=1e-10)


@pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")
@pytest.mark.parametrize("hook", [nn.utils.weight_norm, nn.utils.spectral_norm])
def test_weights_computed_by_hooks_stay_the_same_objects(hook):
    model = spread(nn.Sequential(hook(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 3)))
    before = model[0].weight
    coupling(model, cross_entropy, BATCH, row="2.weight", columns="2.weight")
    assert model[0].weight is before


def test_a_loss_that_bypasses_the_model_is_refused():
    model = mlp((4, 5, 3), "tanh", seed=0).double()

    def penalized(output, targets):
        return cross_entropy(output, targets) + model.linear1.weight.square().sum()

    with pytest.raises(ValueError, match=r"`loss_fn` must .* in the model's forward"):
        coupling(model, penalized, BATCH)


@pytest.mark.parametrize("name", ["row", "columns"])
def test_a_number_is_no_name(name):
    model = mlp((4, 3), seed=0).double()
    with pytest.raises(TypeError, match=f"coupling: `{name}` must be a name"):
        coupling(model, cross_entropy, BATCH, **{name: 5})


def test_weights_are_the_default():
    model, loss_fn, batch, _, _ = solved(BY_NAME["tanh"])
    c = coupling(model, loss_fn, batch)
    assert c.rows == c.columns == ("linear1.weight", "linear2.weight")
    model, loss_fn, batch, _, _ = solved(BY_NAME["weight norm"])
    v = tuple(f"linear{k}.parametrizations.weight.original1" for k in (1, 2))
    assert coupling(model, loss_fn, batch).columns == v


def test_tuples_and_dicts_of_inputs():
    model, x, z, y = spread(Several()), draw(6, 4), draw(6, 2), labels(6, 3)
    names = ["left.weight", "right.weight"]
    one = coupling(model, cross_entropy, ((x, z), y))
    other = coupling(model, cross_entropy, [{"z": z, "x": x}, y])

    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, both):
            return self.inner(both[:, :4], both[:, 4:])

    batch = torch.cat([x, z], 1), y
    blocks = hessian(Joined(), cross_entropy, batch, [f"inner.{name}" for name in names])
    expected = {
        (a.removeprefix("inner."), b.removeprefix("inner.")): value
        for (a, b), value in norms(blocks).items()
    }
    assert_norms(one, expected)
    assert_norms(other, expected)


# --- errors ------------------------------------------------------------------------------------


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return x[:, :3]


def summed(output, targets):
    return cross_entropy(output, targets, reduction="none")


WRONG = {
    "no module": (
        {"model": "a model"},
        TypeError,
        r"coupling: `model` must be a torch\.nn\.Module; got a str\.$",
    ),
    "a function": (
        {"model": torch.tanh},
        TypeError,
        r"coupling: `model` must be a torch\.nn\.Module; got a builtin_function_or_method",
    ),
    "no parameters": (
        {"model": nn.Sequential(nn.ReLU())},
        ValueError,
        r"coupling: `model` must have parameters; got a model without any",
    ),
    "loss by name": (
        {"loss_fn": "cross_entropy"},
        TypeError,
        r"coupling: `loss_fn` must be a function of \(model output, targets\); got a str",
    ),
    "inputs alone": (
        {"batch": draw(6, 4)},
        TypeError,
        r"coupling: `batch` must be a pair \(inputs, targets\); got a Tensor",
    ),
    "a triple": (
        {"batch": (1, 2, 3)},
        TypeError,
        r"coupling: `batch` must be a pair \(inputs, targets\); got 3 items",
    ),
    "loss per sample": (
        {"loss_fn": summed},
        ValueError,
        r"coupling: `loss_fn` must return a scalar tensor; got shape \(6,\)\. "
        r"Average or sum it: reduction='mean' or 'sum'\.",
    ),
    "loss of one entry": (
        {"loss_fn": lambda output, y: cross_entropy(output, y)[None]},
        ValueError,
        r"coupling: `loss_fn` must return a scalar tensor; got shape \(1,\)",
    ),
    "a number": (
        {"loss_fn": lambda output, y: cross_entropy(output, y).item()},
        ValueError,
        r"coupling: `loss_fn` must return a scalar tensor; got a float",
    ),
    "a detached loss": (
        {"loss_fn": lambda output, y: cross_entropy(output, y).detach()},
        ValueError,
        r"coupling: `loss_fn` must depend on the model's parameters through differentiable "
        r"operations; "
        r"got a loss without a gradient",
    ),
    "nothing used": (
        {"model": Constant().double()},
        ValueError,
        r"coupling: `loss_fn` must depend on the model's parameters",
    ),
    "NaN": (
        {"batch": (draw(6, 4).fill_(torch.nan), labels(6, 3))},
        ValueError,
        r"coupling: `loss_fn` must return a finite loss; got nan\. "
        r"Check the batch and the weights for NaN and infinity\.",
    ),
    "infinity": (
        {"loss_fn": lambda output, y: cross_entropy(output, y) / 0.0},
        ValueError,
        r"coupling: `loss_fn` must return a finite loss; got inf",
    ),
    "dropout": (
        {"model": nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 3)).double()},
        ValueError,
        r"coupling: `model` must always give the same loss on the same batch; got \S+ and \S+\. "
        r"Switch off random modules such as dropout: call eval\(\) on the model",
    ),
    "unknown row": (
        {"row": "linear2.wieght"},
        ValueError,
        r"coupling: `row` must be one of 'linear1\.bias', .*; got 'linear2\.wieght'\. "
        r"Did you mean 'linear2\.weight'\?",
    ),
    "unknown column": (
        {"columns": ["linear1.weight", "norm1.bias"]},
        ValueError,
        r"coupling: `columns` must be one of .*; got 'norm1\.bias'\.",
    ),
    "a buffer": (
        {"model": normalized((4,), 6, 4).double(), "row": "1.running_mean"},
        ValueError,
        r"coupling: `row` must be one of .*; got '1\.running_mean'\.",
    ),
    "no row": (
        {"row": []},
        ValueError,
        r"coupling: `row` must name at least one parameter, and none twice; got \[\]",
    ),
    "a row twice": (
        {"columns": ["linear1.weight", "linear2.weight", "linear1.weight"]},
        ValueError,
        r"coupling: `columns` must name at least one parameter, and none twice; got \['linear1",
    ),
    "no weights": (
        {"model": nn.LayerNorm(4).double()},
        ValueError,
        r"coupling: `row` must name parameters, because the model has no weights of two or more "
        r"dimensions; got None",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_refused(name):
    arguments, error, says = WRONG[name]
    refused(arguments, error, says)


def test_dropout_of_one_module_may_be_switched_off():
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 3)).double()
    model[1].eval()
    c = coupling(model, cross_entropy, (draw(6, 4), labels(6, 3)))
    assert (c.raw > 0).all()
