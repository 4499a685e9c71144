"""LengthDirection where there is little to go by: zeros, ties, frozen and odd parameters."""

import gc
import math

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from polarstep.optim import (  # noqa: E402
    Adam,
    AdamW,
    Covariance,
    Diagnostics,
    LengthDirection,
    assignment,
)

METRICS = ["covariance", "euclidean", "frobenius"]
from polarstep.optim.covariance import patches  # noqa: E402

DIRECTIONS = ["polar", "adam", "sgd"]


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3)
    )


def run(model, optimizer, x, steps=5, target=None):
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        out = model(x)
        loss = (out - (1.0 if target is None else target)).square().mean()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert all(p.isfinite().all() for p in model.parameters())
    return losses


# --- zeros -------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_zero_gradients_change_nothing(metric, direction):
    model = network()
    optimizer = LengthDirection(model, 0.05, metric=metric, direction=direction)
    before = [p.detach().clone() for p in model.parameters()]
    for _ in range(3):
        for p in model.parameters():
            p.grad = torch.zeros_like(p)
        optimizer.step()
    for p, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(p.detach(), old, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("where", ["row", "all"])
def test_rows_of_zeros_start_downhill(metric, direction, where):
    model = network()
    with torch.no_grad():
        (model[2].weight[3] if where == "row" else model[2].weight).zero_()
        model[2].bias.zero_()
    optimizer = LengthDirection(
        model, 0.05, metric=metric, direction=direction, others=AdamW(lr=0.0)
    )
    losses = run(model, optimizer, torch.randn(20, 6), steps=20)
    row = model[2].weight[3]
    assert losses[-1] < losses[0]
    assert row.norm() > 0.01


@pytest.mark.parametrize("metric", METRICS)
def test_inputs_of_zeros(metric):
    model = network()
    optimizer = LengthDirection(model, 0.05, metric=metric)
    run(model, optimizer, torch.zeros(20, 6))


def test_a_length_of_zero_keeps_its_direction():
    model = nn.Linear(4, 3, bias=False)
    optimizer = LengthDirection(model, 0.05, metric="euclidean")
    before = model.weight.detach().clone()
    lengths = optimizer.lengths("weight")
    optimizer.set_lengths("weight", 0.0)
    assert (model.weight == 0).all()
    optimizer.set_lengths("weight", lengths)
    torch.testing.assert_close(model.weight.detach(), before)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_gradients_of_any_scale(scale, direction):
    model = nn.Linear(4, 3, bias=False)
    optimizer = LengthDirection(
        model, 0.05, metric="euclidean", direction=direction, length="fixed"
    )
    before = model.weight.detach().clone()
    model.weight.grad = torch.randn(3, 4) * scale
    optimizer.step()
    if direction != "adam":  # which squares the gradient, as everywhere
        turned = torch.cosine_similarity(before, model.weight.detach()).acos()
        assert (turned > 0.01).all()
    assert model.weight.isfinite().all()


# --- batches -----------------------------------------------------------------------------------


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
    """The covariance has rank one."""
    model = network()
    optimizer = LengthDirection(model, 0.05, metric=metric, direction=direction)
    for _ in range(10):
        run(model, optimizer, torch.randn(1, 6), steps=1)


def test_empty_batches():
    model = network()
    optimizer = LengthDirection(model, 0.05)
    model(torch.zeros(0, 6))
    run(model, optimizer, torch.randn(8, 6))


def test_inputs_of_very_different_scales():
    model = network()
    optimizer = LengthDirection(model, 0.05, metric=Covariance(refresh_every=1))
    run(model, optimizer, torch.randn(20, 6) * torch.logspace(-8, 8, 6), steps=20)


# --- parameters --------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_tied_weights_move_once_and_see_all_inputs(metric):
    model = network()
    model[0] = nn.Linear(16, 16)
    model[2].weight = model[0].weight
    chosen = Covariance(rows=0) if metric == "covariance" else metric
    optimizer = LengthDirection(model, 0.05, metric=chosen)
    x = torch.randn(20, 16)
    hidden = torch.tanh(model[0](x)).detach()
    optimizer.zero_grad()
    for inputs in optimizer._watcher.inputs.values():
        inputs.clear()
    run(model, optimizer, x, steps=1)
    assert model[2].weight is model[0].weight
    if metric == "covariance":
        S = optimizer.state[model[0].weight]["covariance"][0]
        torch.testing.assert_close(S, (x.T @ x + hidden.T @ hidden) / 40)


def test_a_head_tied_to_an_embedding_goes_by_adamw():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(7, 4)
            self.hidden = nn.Linear(4, 4)
            self.head = nn.Linear(4, 7, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, x):
            return self.head(torch.tanh(self.hidden(self.embedding(x))))

    model = Tied()
    rules = {entry.name: entry.rule for entry in assignment(model)}
    assert rules == {
        "embedding.weight": "adamw",
        "hidden.weight": "direction",
        "hidden.bias": "adamw",
    }
    run(model, LengthDirection(model, 0.05), torch.arange(7))


def test_frozen_parameters_stay_until_they_are_free():
    model = network()
    model[2].weight.requires_grad_(False)
    optimizer = LengthDirection(model, 0.05)
    before = model[2].weight.detach().clone()
    x = torch.randn(20, 6)
    run(model, optimizer, x, steps=3)
    assert torch.equal(model[2].weight, before)
    model[2].weight.requires_grad_(True)
    run(model, optimizer, x, steps=3)
    assert not torch.equal(model[2].weight, before)


def test_parameters_without_a_gradient_catch_up_with_their_own_count():
    model = network()
    optimizer = LengthDirection(model, 0.05)
    x = torch.randn(20, 6)
    run(model, optimizer, x, steps=2)
    optimizer.zero_grad()
    model(x).square().mean().backward()
    model[2].weight.grad = None
    optimizer.step()
    run(model, optimizer, x, steps=1)
    assert optimizer.state[model[2].weight]["step"] == 3
    assert optimizer.state[model[0].weight]["step"] == 4


@pytest.mark.parametrize("metric", METRICS)
def test_groups_that_are_added_later(metric):
    first, second = network(), network(seed=1)
    both = nn.ModuleList([first, second])
    optimizer = LengthDirection(first.parameters(), 0.05, metric=metric, model=both)
    optimizer.add_param_group({"params": second.parameters(), "lr": 0.1, "direction": "adam"})
    assert [(g["rule"], g["lr"]) for g in optimizer.param_groups] == [
        ("direction", 0.05),
        ("adamw", 0.01),
        ("direction", 0.1),
        ("adamw", 0.01),
    ]
    before = [p.detach().clone() for p in both.parameters()]
    run(nn.Sequential(first, nn.Linear(3, 6), second), optimizer, torch.randn(20, 6))
    for p, old in zip(both.parameters(), before, strict=True):
        assert not torch.equal(p, old)


def test_sparse_gradients_are_refused():
    model = nn.Embedding(5, 4, sparse=True)
    optimizer = LengthDirection(model, 0.05, metric="euclidean")
    model(torch.tensor([1])).sum().backward()
    with pytest.raises(ValueError, match=r"dense.*'weight'"):
        optimizer.step()


# --- layers ------------------------------------------------------------------------------------

CONVOLUTIONS = [
    nn.Conv1d(6, 8, 3, stride=2, padding=1),
    nn.Conv2d(6, 9, (3, 2), padding="same", dilation=2),
    nn.Conv2d(6, 8, 3, groups=2, padding=1, padding_mode="reflect"),
    nn.Conv2d(6, 6, 3, groups=6),
    nn.Conv3d(6, 4, 2, stride=2, padding_mode="circular", padding=1),
]


@pytest.mark.parametrize("convolution", CONVOLUTIONS, ids=str)
def test_patches_are_what_a_convolution_multiplies(convolution):
    from polarstep.optim.covariance import _window

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
def test_at_most_so_many_patches_are_taken(limit):
    taken = patches(torch.randn(6, 2, 5, 5), [3, 3], [1, 1], [1, 1], [0] * 4, limit=limit)
    assert taken.shape[1] == min(limit, 54)


def test_every_position_of_a_sequence_has_its_share():
    layer, length = nn.Linear(8, 8), 8
    model = nn.Sequential(layer, nn.Linear(8, 1))
    optimizer = LengthDirection(model, metric=Covariance(rows=32))
    model(torch.eye(length).expand(64, length, 8))  # x says where it stands
    torch.testing.assert_close(optimizer._watcher.inputs[layer.weight].total[0], 4 * torch.eye(8))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_convolutions(metric, memory_format, groups):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(6, 12, 3, groups=groups), nn.ReLU(), nn.Conv2d(12, 2, 1), nn.Flatten()
    ).to(memory_format=memory_format)
    optimizer = LengthDirection(model, 0.05, metric=metric)
    x = torch.randn(4, 6, 6, 6)
    losses = run(model, optimizer, x, steps=20)
    assert losses[-1] < losses[0] / 2
    assert model[0].weight.is_contiguous(memory_format=memory_format)
    assert optimizer.assignment[0].shape == (groups, 12 // groups, 9 * 6 // groups)


def test_memory_formats_make_no_difference():
    ends = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 1), nn.Flatten())
        model = model.to(memory_format=memory_format).double()
        x = torch.randn(4, 3, 6, 6, dtype=torch.float64)
        run(model, LengthDirection(model, 0.05), x)
        ends.append(model[0].weight.detach())
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize("metric", METRICS)
def test_attention_recurrent_and_transposed_layers(metric):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
            self.lstm = nn.LSTM(6, 5, batch_first=True)
            self.up = nn.ConvTranspose1d(5, 6, 3)
            self.head = nn.Linear(6, 2)

        def forward(self, x):
            x = x + self.attention(x, x, x)[0]
            return self.head(self.up(self.lstm(x)[0].mT).mT)

    model = Network()
    optimizer = LengthDirection(model, 0.05, metric=metric)
    shapes = {
        entry.name: entry.shape for entry in optimizer.assignment if entry.rule == "direction"
    }
    assert shapes == {
        "attention.in_proj_weight": (3, 6, 6),
        "attention.out_proj.weight": (1, 6, 6),
        "lstm.weight_ih_l0": (4, 5, 6),
        "lstm.weight_hh_l0": (4, 5, 5),
        "up.weight": (1, 6, 15),
    }
    losses = run(model, optimizer, torch.randn(4, 7, 6), steps=20)
    assert losses[-1] < losses[0] / 2


@pytest.mark.parametrize("metric", METRICS)
def test_packed_matrices_move_as_if_they_were_apart(metric):
    torch.manual_seed(0)
    packed = nn.Linear(5, 12, bias=False).double()
    apart = nn.ModuleList(nn.Linear(5, 4, bias=False).double() for _ in range(3))
    for layer, rows in zip(apart, packed.weight.detach().split(4), strict=True):
        layer.weight.data.copy_(rows)
    a = LengthDirection(packed, 0.05, metric=metric, chunks={"weight": 3})
    b = LengthDirection(apart, 0.05, metric=metric, assign={"*": "direction"})
    x, y = torch.randn(20, 5).double(), torch.randn(20, 12).double()
    for _ in range(5):
        for optimizer, out in ((a, packed(x)), (b, torch.cat([layer(x) for layer in apart], 1))):
            optimizer.zero_grad()
            (out - y).square().mean().backward()
            optimizer.step()
    torch.testing.assert_close(packed.weight, torch.cat([layer.weight for layer in apart]))


# --- weights that somebody else changes --------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_weights_changed_between_steps_are_taken_over(metric):
    model = network()
    optimizer = LengthDirection(model, 1e-6, metric=metric, length=Adam(), others=AdamW(lr=0.0))
    x = torch.randn(20, 6)
    run(model, optimizer, x, steps=2)
    with torch.no_grad():
        model[2].weight[4] *= -3
        model[2].weight[5] = 0
        model[0].weight.clamp_(-0.1, 0.1)
    expected = [p.detach().clone() for p in model.parameters()]
    run(model, optimizer, x, steps=1)
    for p, wanted in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(p.detach(), wanted, rtol=1e-3, atol=1e-4)


def test_lengths_may_start_as_batch_normalizations_gains_do():
    torch.manual_seed(0)
    layers = [nn.Linear(6, 16, bias=False), nn.Tanh(), nn.Linear(16, 8, bias=False)]
    model = nn.Sequential(*layers).double()
    model[2].weight.data[3] = 0
    x = torch.randn(200, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64)
    hidden = model[:2](x).detach()
    optimizer = LengthDirection(
        model,
        0.0,
        metric=Covariance(damping=0.0, rows=0),
        length=Adam(lr=0.0),
        start_length=2.0,
        assign={"2.weight": "direction"},
    )
    before = [layers[k].weight.detach().clone() for k in (0, 2)]
    model(x).sum().backward()
    optimizer.step()
    for k, inputs, old in zip((0, 2), (x, hidden), before, strict=True):
        W = layers[k].weight.detach()
        sizes = (inputs @ W.T).square().mean(0).sqrt()
        rows = torch.ones(len(W), dtype=torch.bool)
        rows[3] = k == 0  # a row of zeros stays
        torch.testing.assert_close(sizes, 2.0 * rows.double())
        cosine = nn.functional.cosine_similarity(W[rows], old[rows], dim=1)
        torch.testing.assert_close(cosine, torch.ones_like(cosine))  # directions stay


def test_lengths_start_as_they_are_where_nobody_says_otherwise():
    model = network()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = LengthDirection(model, 0.0, length=Adam(lr=0.0), others=AdamW(lr=0.0))
    run(model, optimizer, torch.randn(20, 6), steps=2)
    for p, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(p.detach(), old, rtol=1e-4, atol=1e-6)


def test_layers_of_many_inputs_are_stepped_in_the_euclidean_metric():
    def ended(**options):
        model = network()
        run(model, LengthDirection(model, 0.05, **options), torch.randn(20, 6), steps=3)
        return [p.detach().clone() for p in model.parameters()]

    torch.manual_seed(0)
    euclidean = ended(metric="euclidean")
    torch.manual_seed(0)
    limited = ended(metric=Covariance(max_inputs=5))
    torch.manual_seed(0)
    whole = ended(metric=Covariance(max_inputs=0))
    torch.testing.assert_close(limited, euclidean)
    assert not torch.allclose(whole[0], euclidean[0])


def test_lengths_start_when_inputs_were_seen_and_not_by_a_step_of_zero():
    model = network()
    optimizer = LengthDirection(
        model, 0.0, length=Adam(lr=0.0), others=AdamW(lr=0.0), start_length=1.0
    )
    before = model[2].weight.detach().clone()
    optimizer.lengths("2.weight")  # begins the state
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    torch.testing.assert_close(model[2].weight.detach(), before)
    x = torch.randn(50, 6)
    run(model, optimizer, x, steps=1)
    sizes = (model[:2](x) @ model[2].weight.T).square().mean(0).sqrt()
    assert (sizes - 1).abs().max() < 0.6  # other inputs than those that were seen, and damping
    assert optimizer.lengths("2.weight").eq(1.0).all()


def test_inputs_that_are_never_seen_are_spoken_of_once():
    model = network()
    optimizer = LengthDirection(model, 0.05)
    model.eval()  # hooks count calls in training mode only
    with pytest.warns(UserWarning, match="no layer's inputs were seen") as caught:
        run(model, optimizer, torch.randn(20, 6), steps=3)
    assert len(caught) == 1
    model.train()
    run(model, optimizer, torch.randn(20, 6), steps=1)
    assert optimizer.state[model[2].weight]["covariance_weight"] > 0  # from now on they are


def test_growing_vectors_turn_less_and_less():
    model = network()
    optimizer = LengthDirection(model, 0.5, metric=Covariance(refresh_every=2), retraction="none")
    watch = Diagnostics(optimizer)
    x, seen = torch.randn(20, 6), []
    for _ in range(12):
        run(model, optimizer, x, steps=1)
        seen.append(watch.read()["2.weight"]["angle_mean"])
    assert seen[0] == pytest.approx(math.atan(0.5), rel=0.5)  # of vectors of norm one
    assert seen[-1] < 0.5 * seen[0]


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "covarianze"}, "Did you mean 'covariance'"),
        ({"direction": "muon"}, "'adam', 'polar', 'sgd'"),
        ({"length": None}, "`length` must"),
        ({"lr": -1.0}, "`lr` must be a finite number >= 0"),
        ({"metric": "euclidean", "gains": "matrix"}, "every row has a length"),
        ({"gains": "both"}, "another metric"),
        ({"assign": {"7.weight": "adamw"}}, "`assign` must be one of"),
        ({"assign": {"0.weight": "sgd"}}, "'adamw', 'direction'"),
        ({"assign": {"0.bias": "direction"}}, "rows of real numbers"),
        ({"chunks": {"0.weight": 3}}, "divide the outputs"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        LengthDirection(network(), **options)


def test_bad_parameters_are_refused():
    with pytest.raises(ValueError, match="Pass the model"):
        LengthDirection(network().parameters())
    with pytest.raises(ValueError, match="hold parameters; got none"):
        LengthDirection([], metric="euclidean")
    with pytest.raises(TypeError, match="an iterable of parameters"):
        LengthDirection(torch.zeros(2, 2), metric="euclidean")
    model = network()
    with torch.no_grad():
        model[0].weight[0, 0] = math.nan
    with pytest.raises(ValueError, match=r"NaN or infinity in '0.weight'"):
        LengthDirection(model)
    with pytest.raises(ValueError, match=r"`name` must be one of '0.weight', '2.weight'"):
        LengthDirection(network()).lengths("4.weight")


def test_a_refused_optimizer_leaves_no_hooks():
    model = network()
    with pytest.raises(ValueError, match="retraction"):
        LengthDirection(
            [{"params": [model[0].weight]}, {"params": [model[2].weight], "retraction": "no"}],
            model=model,
        )
    gc.collect()
    assert not model[0]._forward_pre_hooks
