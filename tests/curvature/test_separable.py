"""The check that a network is separable, on networks that are and that are not."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="polarstep.curvature needs PyTorch")

from torch import nn  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from curvature_cases import (  # noqa: E402
    BATCH,
    JACOBIANS,
    Several,
    assert_exact,
    assert_norms,
    draw,
    hessian,
    labels,
    norms,
    products_because,
    spread,
)
from polarstep.curvature import coupling  # noqa: E402
from polarstep.nn import mlp  # noqa: E402


class Penalized(nn.Module):
    """A penalty on a bias at its minimum, where it has curvature but no slope."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 3)
        nn.init.zeros_(self.a.bias)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x))), self.a.bias.square().sum()


def test_a_penalty_at_its_minimum():
    model = Penalized().double()
    found = assert_exact(model, lambda o, y: cross_entropy(o[0], y) + o[1], ["a.bias", "b.weight"])
    assert "outside of its" in found.how


class Cast(nn.Module):
    def forward(self, x):
        return x.float()


def test_layers_in_two_precisions():
    model = nn.Sequential(nn.Linear(4, 5).double(), nn.Tanh(), Cast(), nn.Linear(5, 3))
    names = [name for name, _ in model.named_parameters()]
    found = coupling(model, cross_entropy, BATCH, row=names, columns=names)
    assert "data type" in found.how
    single = nn.Sequential(Cast(), *model).float()
    same = coupling(single, cross_entropy, BATCH, row=[f"1.{n[2:]}" for n in names[:2]])
    assert same["1.weight", "1.weight"] == pytest.approx(found["0.weight", "0.weight"], rel=1e-4)


def test_a_layer_that_is_not_used():
    model, x, y = spread(Several()), draw(6, 4), labels(6, 3)
    c = coupling(model, cross_entropy, (x, y))
    assert c.how == products_because("right.weight is not used")
    assert c["right.weight", "left.weight"] == c["right.weight", "right.weight"] == 0.0
    used = coupling(model, cross_entropy, (x, y), row="left.weight", columns="left.weight")
    assert used.how == JACOBIANS
    assert used["left.weight", "left.weight"] == pytest.approx(
        c["left.weight", "left.weight"], rel=1e-10
    )
    assert used["left.weight", "left.weight"] > 0


def test_a_loss_in_double_precision_of_a_model_in_single():
    model = mlp((4, 5, 3), "tanh", seed=0)
    x, y = draw(7, 4).float(), labels(7, 3)
    c = coupling(model, lambda output, y: cross_entropy(output.double(), y), (x, y))
    expected = coupling(copy.deepcopy(model).double(), cross_entropy, (x.double(), y))
    assert_norms(c, {pair: expected[pair] for pair in expected}, rel=1e-6)


def test_weight_decay_inside_the_model():
    """A penalty with a gradient makes the weights act outside their layers."""

    class Decayed(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp((4, 5, 3), "tanh", seed=0)

        def forward(self, x):
            return self.net(x), sum(p.square().sum() for p in self.net.parameters())

    model, batch = spread(Decayed()), (draw(6, 4), labels(6, 3))

    def loss(output, y):
        return cross_entropy(output[0], y) + output[1]

    names = [name for name, _ in model.named_parameters()]
    c = coupling(model, loss, batch, row=names, columns=names)
    assert c.how.endswith("also acts outside of its linear layer)")
    assert_norms(c, norms(hessian(model, loss, batch, names)))


def test_permuted_samples_are_detected():
    class Flipped(nn.Module):
        def forward(self, x):
            return x.flip(0)

    model = spread(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), Flipped(), nn.Linear(3, 3)))
    batch = draw(6, 4), labels(6, 3)
    c = coupling(model, cross_entropy, batch)
    assert c.how == products_because("its samples depend on one another")
    assert_norms(c, norms(hessian(model, cross_entropy, batch, ["0.weight", "3.weight"])))
