"""coupling leaves everything as it was, and says what is wrong with its arguments."""

import random
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from curvature_cases import (  # noqa: E402
    BY_NAME,
    convolutional,
    draw,
    labels,
    normalized,
    solved,
    spread,
)
from polarstep.curvature import coupling  # noqa: E402
from polarstep.nn import mlp  # noqa: E402

HOOKS = [
    name
    for name, value in vars(nn.Linear(1, 1)).items()
    if "hooks" in name and hasattr(value, "keys")
]


def state(model):
    """Everything about a model, and about the process, that a call might change."""
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
    """With some gradients, some frozen parameters, and mixed flags."""
    parameters = list(model.parameters())
    for parameter in parameters[::2]:
        parameter.grad = torch.full_like(parameter, 0.5)
    parameters[0].requires_grad_(False)
    last = list(model.modules())[-1]
    last.train(not last.training)
    return model


class Failing(nn.Module):
    """Fails in one of its calls, late in the forward pass."""

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
    """In the checks, in the recorded call with its hooks."""
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


def test_frozen_parameters_are_asked_about_and_stay_frozen():
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
    """It is not compiled at all: what it stands for is called."""
    model, loss_fn, batch, *_ = solved(BY_NAME["tanh"])
    compiled = torch.compile(model, backend="eager")
    c = coupling(compiled, loss_fn, batch)
    assert c.columns == ("linear1.weight", "linear2.weight")
    np.testing.assert_array_equal(c.raw, coupling(model, loss_fn, batch).raw)


def test_progress_is_shown_on_demand(capsys):
    model, loss_fn, batch, *_ = solved(BY_NAME["tanh"])
    for method in ("exact", "sketch"):
        coupling(model, loss_fn, batch, method=method)
        assert capsys.readouterr().err == ""
        coupling(model, loss_fn, batch, method=method, progress=True)
        assert "coupling" in capsys.readouterr().err


def test_without_torch_the_error_says_what_to_install():
    code = "import sys; sys.modules['torch'] = None; import polarstep.curvature"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip().splitlines()[-1] == (
        "ModuleNotFoundError: polarstep.curvature needs PyTorch, which is not installed. "
        "Run: pip install 'polarstep[torch]'"
    )


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
        r"coupling: `batch` must be a pair \(inputs, targets\); got <class 'torch\.Tensor'>",
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
        r"coupling: `loss_fn` must return a scalar tensor; got <class 'float'>",
    ),
    "a detached loss": (
        {"loss_fn": lambda output, y: cross_entropy(output, y).detach()},
        ValueError,
        r"coupling: `loss_fn` must depend on the model's parameters by differentiable operations; "
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
        r"coupling: `model` must give the same loss twice on one batch; got \S+ and \S+\. "
        r"Switch off what is random, such as dropout: call model\.eval\(\)",
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
    "the direction of a bias": (
        {"row": "linear1.bias", "directions": True},
        ValueError,
        r"coupling: `row or columns` must name weights of two or more dimensions when directions "
        r"are asked for; got 'linear1\.bias' of shape \(5,\)",
    ),
    "the direction of a bias among columns": (
        {"columns": ["linear1.weight", "linear2.bias"], "directions": True, "method": "sketch"},
        ValueError,
        r"when directions are asked for; got 'linear2\.bias' of shape \(3,\)",
    ),
    "rtol of zero": ({"rtol": 0.0}, ValueError, r"coupling: `rtol` must be .* > 0; got 0\.0"),
    "rtol by name": ({"rtol": "small"}, TypeError, r"coupling: `rtol` must be .*; got 'small'"),
    "rtol of NaN": ({"rtol": np.nan}, ValueError, r"coupling: `rtol` must be .*; got nan"),
    "no memory": ({"memory": 0}, ValueError, r"coupling: `memory` must be .* > 0; got 0\.0"),
    "all memory": ({"memory": np.inf}, ValueError, r"coupling: `memory` must be a finite number"),
    "one product": (
        {"max_products": 1},
        ValueError,
        r"coupling: `max_products` must be a whole number >= 2; got 1",
    ),
    "half a product": (
        {"max_products": 2.5},
        TypeError,
        r"coupling: `max_products` must be a whole number >= 2; got 2\.5",
    ),
    "seed": ({"seed": -1}, ValueError, r"coupling: `seed` must be a whole number >= 0; got -1"),
    "a generator": (
        {"seed": np.random.default_rng(0)},
        TypeError,
        r"coupling: `seed` must be a whole number >= 0; got Generator",
    ),
    "method": (
        {"method": "skech"},
        ValueError,
        r"coupling: `method` must be one of 'exact', 'sketch'; got 'skech'\. Did you mean 'sketch'",
    ),
    "scale": (
        {"scale": "relativ"},
        ValueError,
        r"coupling: `scale` must be one of 'own', 'raw', 'relative'; got 'relativ'\. Did you mean",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_arguments_that_do_not_fit(name):
    arguments, error, says = WRONG[name]
    arguments = {
        "model": spread(mlp((4, 5, 3), "tanh", seed=0)),
        "loss_fn": cross_entropy,
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


def test_dropout_of_one_module_may_be_switched_off():
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 3)).double()
    model[1].eval()
    c = coupling(model, cross_entropy, (draw(6, 4), labels(6, 3)))
    assert (c.raw > 0).all()
