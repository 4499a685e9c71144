"""coupling's exact norms against Hessians in full."""

import copy

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from curvature_cases import (  # noqa: E402
    BATCH_NORMALIZED,
    BY_NAME,
    CASES,
    JACOBIANS,
    SEPARATE,
    assert_norms,
    draw,
    hessian,
    labels,
    norms,
    products_because,
    solved,
    spread,
)
from polarstep.curvature import coupling  # noqa: E402
from polarstep.curvature.directions import to_directions, units_of  # noqa: E402
from polarstep.nn import mlp  # noqa: E402

by_name = {"ids": lambda case: case.name}


def projected(blocks, model):
    """The blocks by the units' directions, on both sides; biases left out."""
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


# --- exact norms -------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, **by_name)
def test_blocks(case):
    model, loss_fn, batch, names, blocks = solved(case)
    c = coupling(model, loss_fn, batch, row=names, columns=names)
    assert c.how == case.how
    assert (c.n_products == 0) == (case.how == JACOBIANS)
    assert not c.stderr.any()
    assert_norms(c, norms(blocks))


@pytest.mark.parametrize("case", CASES, **by_name)
def test_blocks_by_directions(case):
    model, loss_fn, batch, _, blocks = solved(case)
    expected = norms(projected(blocks, model))
    names = list(dict.fromkeys(name for pair in expected for name in pair))
    c = coupling(model, loss_fn, batch, row=names, columns=names, directions=True)
    assert c.directions
    assert_norms(c, expected)


@pytest.mark.parametrize("case", [*SEPARATE, *BATCH_NORMALIZED], **by_name)
@pytest.mark.parametrize("directions", [False, True])
def test_single_precision(case, directions):
    """Against double precision at the same, rounded, weights and data."""
    model, loss_fn, (inputs, targets), *_ = solved(case)
    if targets.is_floating_point():
        targets = targets.float()
    single = copy.deepcopy(model).float()
    double = copy.deepcopy(single).double()
    names = [name for name, value in model.named_parameters() if value.ndim > 1]
    c = coupling(single, loss_fn, (inputs.float(), targets), directions=directions)
    assert c.how == JACOBIANS
    wide = targets.double() if targets.is_floating_point() else targets
    blocks = hessian(double, loss_fn, (inputs.float().double(), wide), names)
    if directions:
        blocks = projected(blocks, double)
    expected = norms(blocks)
    largest = max(expected.values())
    for pair, value in expected.items():
        assert abs(c[pair] - value) <= 1e-6 * value + 1e-9 * largest, (pair, c[pair] / value - 1)


@given(
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    samples=st.integers(1, 12),
    activation=st.sampled_from(["relu", "tanh"]),
    normalization=st.sampled_from([None, "batch"]),
    shift=st.booleans(),
    directions=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40)
def test_random_networks(sizes, samples, activation, normalization, shift, directions, seed):
    if normalization == "batch":  # of one or two samples, it leaves nothing to differentiate
        samples += 3
    model = mlp((*sizes, 3), activation, normalization, shift=shift, seed=seed)
    model = spread(model, seed)
    batch = draw(samples, sizes[0], seed=seed), labels(samples, 3, seed)
    blocks = hessian(
        model, cross_entropy, batch, [n for n, p in model.named_parameters() if p.ndim > 1]
    )
    largest = max(norms(blocks).values())
    if directions:
        blocks = projected(blocks, model)
    c = coupling(model, cross_entropy, batch, directions=directions)
    # A normalized unit that is on for one sample alone has a gradient of nothing but rounding.
    assert c.how == JACOBIANS or (normalization == "batch" and "acts beside" in c.how)
    for pair, value in norms(blocks).items():
        # A unit with one input has no tangent: what is left is the root of a square's rounding.
        assert c[pair] == pytest.approx(value, rel=1e-8, abs=1e-7 * largest), pair


@pytest.mark.parametrize("name", ["tanh", "2 norms, bias", "3 norms, wide", "lstm"])
@pytest.mark.parametrize("directions", [False, True])
def test_memory_changes_no_numbers(name, directions):
    model, loss_fn, batch, *_ = solved(BY_NAME[name])
    large = coupling(model, loss_fn, batch, directions=directions)
    # Room for nothing: one row, one vector at a time.
    small = coupling(model, loss_fn, batch, directions=directions, memory=1e-9)
    assert_norms(small, {pair: large[pair] for pair in large})


# --- directions --------------------------------------------------------------------------------


def test_directions_are_derivatives_on_the_sphere():
    """Along great circles through the units' directions, with the lengths as they are."""
    model, loss_fn, batch, _, blocks = solved(BY_NAME["tanh"])
    first, last = model.linear1.weight.detach(), model.linear2.weight.detach()
    tangent, other = draw(*first.shape, seed=3), draw(*last.shape, seed=4)

    def turned(weight, towards, angle):
        lengths, u = units_of(weight)
        towards = towards - (towards * u).sum(1, keepdim=True) * u
        speed = towards.norm(dim=1, keepdim=True)
        moved = torch.cos(angle * speed) * u + torch.sin(angle * speed) * towards / speed
        return lengths[:, None] * moved

    def f(s, t):
        weights = {
            "linear1.weight": turned(first, tangent, s),
            "linear2.weight": turned(last, other, t),
        }
        return loss_fn(torch.func.functional_call(model, weights, batch[0]), batch[1])

    zero = torch.zeros((), dtype=torch.float64)
    mixed = torch.autograd.functional.hessian(f, (zero, zero))[0][1]
    W = blocks["linear1.weight", "linear2.weight"]
    expected = torch.einsum(
        "ijkl,ij,kl->", W, to_directions(tangent, first), to_directions(other, last)
    )
    torch.testing.assert_close(mixed, expected, rtol=1e-10, atol=0)


def test_a_gradient_by_length_and_direction():
    """W = g u/||u||, written out, at ||u|| = 1."""
    weight = draw(3, 2, 2)
    lengths, u = units_of(weight)
    u.requires_grad_()
    gradient = draw(3, 2, 2, seed=1)
    (lengths[:, None] * u / u.norm(dim=1, keepdim=True)).flatten().dot(
        gradient.flatten()
    ).backward()
    torch.testing.assert_close(to_directions(gradient, weight), u.grad.view(3, 2, 2))
    stack = torch.stack([gradient, 2 * gradient])
    torch.testing.assert_close(to_directions(stack, weight)[1], 2 * u.grad.view(3, 2, 2))
    torch.testing.assert_close(lengths, weight.flatten(1).norm(dim=1))


def test_the_weight_itself_is_no_direction():
    weight = draw(4, 3)
    assert to_directions(weight, weight).abs().max() < 1e-14


@pytest.mark.parametrize("name", ["tanh", "1 norm", "1 norm, wide", "lstm"])
def test_a_unit_of_length_zero(name):
    case = BY_NAME[name]
    model, loss_fn, batch = case.build()
    weights = [p for p in model.parameters() if p.ndim > 1]
    with torch.no_grad():
        weights[-1][0] = 0.0
        if name == "tanh":
            weights[0][1] = 0.0
    names = [n for n, p in model.named_parameters() if p.ndim > 1]
    expected = norms(projected(hessian(model, loss_fn, batch, names), model))
    c = coupling(model, loss_fn, batch, directions=True)
    assert_norms(c, expected)


# --- what is computed, and on what -------------------------------------------------------------


def test_weights_are_the_default():
    model, loss_fn, batch, _, _ = solved(BY_NAME["tanh"])
    c = coupling(model, loss_fn, batch)
    assert c.rows == c.columns == ("linear1.weight", "linear2.weight")
    model, loss_fn, batch, _, _ = solved(BY_NAME["weight norm"])
    v = tuple(f"linear{k}.parametrizations.weight.original1" for k in (1, 2))
    assert coupling(model, loss_fn, batch).columns == v


def test_one_row_and_some_columns():
    model, loss_fn, batch, _, blocks = solved(BY_NAME["tanh, deep"])
    columns = ["linear1.bias", "linear4.weight"]
    for row in ("linear3.weight", ["linear3.weight"]):
        c = coupling(model, loss_fn, batch, row=row, columns=iter(columns))
        assert c.rows == ("linear3.weight",)
        assert c.columns == tuple(columns)
        expected = norms(blocks)
        assert_norms(c, {(c.rows[0], column): expected[c.rows[0], column] for column in columns})
        assert c.own == pytest.approx({c.rows[0]: expected[c.rows * 2]}, rel=1e-10)


def test_a_product_for_every_number_of_the_smaller_side():
    model, loss_fn, batch, _, blocks = solved(BY_NAME["lstm"])
    row, column = "last.bias", "lstm.weight_hh_l0"
    for a, b in ((row, column), (column, row)):
        c = coupling(model, loss_fn, batch, row=a, columns=b)
        assert c.n_products == model.last.bias.numel()
        assert c.own == {}
        assert_norms(c, {(a, b): norms(blocks)[a, b]})


class Several(nn.Module):
    """Two inputs; the second may be left out."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 3), nn.Linear(2, 3)

    def forward(self, x, z=None):
        return torch.tanh(self.left(x)) + (0.0 if z is None else torch.tanh(self.right(z)))


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
    """A penalty whose gradient is not zero is found beside the layer."""

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
    assert c.how.endswith("acts beside its linear layer)")
    assert_norms(c, norms(hessian(model, loss, batch, names)))


def test_a_batch_of_vectors_per_sample():
    """Linear layers over a sequence are used for every element of it."""
    model = spread(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(6, 3)))
    batch = draw(5, 2, 4), labels(5, 3)
    c = coupling(model, cross_entropy, batch)
    assert c.how == products_because("the inputs of layer '0' are not one vector per sample")
    assert_norms(c, norms(hessian(model, cross_entropy, batch, ["0.weight", "3.weight"])))


def test_samples_that_change_places_are_seen():
    class Flipped(nn.Module):
        def forward(self, x):
            return x.flip(0)

    model = spread(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), Flipped(), nn.Linear(3, 3)))
    batch = draw(6, 4), labels(6, 3)
    c = coupling(model, cross_entropy, batch)
    assert c.how == products_because("its samples influence one another")
    assert_norms(c, norms(hessian(model, cross_entropy, batch, ["0.weight", "3.weight"])))
