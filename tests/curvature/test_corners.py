"""Networks at the edge of what coupling's fast ways are for: the numbers stay right."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="polarstep.curvature needs PyTorch")

from torch import nn  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402
from torch.nn.utils import prune  # noqa: E402

from curvature_cases import assert_norms, draw, hessian, labels, norms, spread  # noqa: E402
from polarstep.curvature import coupling  # noqa: E402
from polarstep.nn import mlp  # noqa: E402

BATCH = draw(6, 4), labels(6, 3)


def assert_exact(model, loss, names=None, batch=BATCH):
    """coupling between all the named parameters against the Hessian in full."""
    names = names or [name for name, value in model.named_parameters() if value.ndim > 1]
    found = coupling(model, loss, batch, row=names, columns=names)
    assert_norms(found, norms(hessian(model, loss, batch, names)))
    return found


def test_inputs_that_are_always_zero_are_not_counted_twice():
    """The range of the blocks is smaller than the basis that is looked for in it."""
    model, x = spread(mlp((10, 6, 3), "tanh", seed=0)), draw(35, 10)
    x[:, 6:] = 0.0
    batch = x, labels(35, 3)
    exact = coupling(model, cross_entropy, batch)
    sketch = coupling(model, cross_entropy, batch, method="sketch", rtol=1e-4)
    assert (np.abs(sketch.raw - exact.raw) <= 4 * sketch.stderr + 1e-8 * exact.raw).all()


class Penalized(nn.Module):
    """A penalty on a bias that is where the penalty has no slope, only curvature."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 3)
        nn.init.zeros_(self.a.bias)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x))), self.a.bias.square().sum()


def test_a_penalty_at_its_minimum():
    model = Penalized().double()
    found = assert_exact(model, lambda o, y: cross_entropy(o[0], y) + o[1], ["a.bias", "b.weight"])
    assert "beside" in found.how


class OneNorm(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)
        self.way = way

    def forward(self, x):
        h = torch.tanh(self.a(x))
        if self.way == "dropped":
            self.norm(h)
            return self.b(h)
        return self.b(self.norm(h.detach()))


@pytest.mark.parametrize("way", ["dropped", "detached"])
def test_statistics_without_a_gradient(way):
    found = assert_exact(spread(OneNorm(way)), cross_entropy)
    assert "Jacobians" in found.how or "part" in found.how


def test_batch_normalization_of_the_data():
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    found = assert_exact(spread(model), cross_entropy)
    assert "Jacobians" in found.how


class Cast(nn.Module):
    def forward(self, x):
        return x.float()


def test_layers_in_two_precisions():
    model = nn.Sequential(nn.Linear(4, 5).double(), nn.Tanh(), Cast(), nn.Linear(5, 3))
    names = [name for name, _ in model.named_parameters()]
    found = coupling(model, cross_entropy, BATCH, row=names, columns=names)
    assert "types of numbers" in found.how
    single = nn.Sequential(Cast(), *model).float()
    same = coupling(single, cross_entropy, BATCH, row=[f"1.{n[2:]}" for n in names[:2]])
    assert same["1.weight", "1.weight"] == pytest.approx(found["0.weight", "0.weight"], rel=1e-4)


def test_a_loss_in_double_precision_of_normalized_layers_in_single():
    model = mlp((4, 5, 3), "tanh", "batch", seed=0)
    batch = BATCH[0].float(), BATCH[1]
    found = coupling(model, lambda o, y: cross_entropy(o.double(), y), batch)
    np.testing.assert_allclose(found.raw, coupling(model, cross_entropy, batch).raw, rtol=1e-5)


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
def test_weight_normalization_by_a_hook_is_that_by_a_parametrization():
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
def test_hooks_that_compute_weights_leave_the_module_as_it_was(hook):
    model = spread(nn.Sequential(hook(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 3)))
    before = model[0].weight
    coupling(model, cross_entropy, BATCH, row="2.weight", columns="2.weight")
    assert model[0].weight is before


def test_a_pruned_bias():
    model = spread(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)))
    prune.random_unstructured(model[0], "bias", 0.5)
    assert_exact(model, cross_entropy, ["0.bias_orig", "2.weight"])


@pytest.mark.parametrize("name", ["row", "columns"])
def test_names_that_are_a_number(name):
    model = mlp((4, 3), seed=0).double()
    with pytest.raises(TypeError, match=f"coupling: `{name}` must be a name"):
        coupling(model, cross_entropy, BATCH, **{name: 5})


def test_a_loss_that_takes_parameters_past_the_model_is_refused():
    model = mlp((4, 5, 3), "tanh", seed=0).double()

    def penalized(output, targets):
        return cross_entropy(output, targets) + model.linear1.weight.square().sum()

    with pytest.raises(ValueError, match=r"`loss_fn` must .* from the model's forward"):
        coupling(model, penalized, BATCH)


def test_directions_on_a_sphere_of_one_point_move_nowhere():
    """A unit with one input has no tangent: what is left is rounding, and not its root."""
    model, batch = spread(mlp((1, 5, 3), "tanh", seed=0)), (draw(6, 1), BATCH[1])
    raw = coupling(model, cross_entropy, batch)["linear1.weight", "linear2.weight"]
    found = coupling(model, cross_entropy, batch, directions=True)
    assert found["linear1.weight", "linear2.weight"] < 1e-13 * raw
