"""LengthDirection among the other tools: checkpoints, copies, schedulers, scalers, compilers."""

import copy
import io
import itertools
import math

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from polarstep.optim import Adam, AdamW, Covariance, LengthDirection  # noqa: E402

METRICS = ["covariance", "euclidean", "frobenius"]


def network(dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3)
    ).to(dtype)


def batches(count, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(24, 6, generator=generator).to(dtype) for _ in range(count)]


def loss_of(model, x):
    return (model(x) - torch.sin(x[:, :3])).float().square().mean()


def step(model, optimizer, *xs):
    """One step on the gradients of some batches, added up."""
    optimizer.zero_grad()
    for x in xs:
        loss_of(model, x).backward()
    optimizer.step()


def weights(model):
    return [p.detach().clone() for p in model.parameters()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


def through_disk(content):
    file = io.BytesIO()
    torch.save(content, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


# --- checkpoints -------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["polar", "adam", "sgd"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_resumed_training_comes_to_the_same_bits(metric, direction, dtype):
    options = {"metric": metric, "direction": direction}
    if metric == "covariance":
        options["metric"] = Covariance(refresh_every=3)
    xs = batches(11, dtype=dtype)
    whole = network(dtype)
    optimizer = LengthDirection(whole, 0.05, **options)
    for k, x in enumerate(xs):
        if k == 5:
            saved = through_disk({"model": whole.state_dict(), "optimizer": optimizer.state_dict()})
        step(whole, optimizer, x)

    resumed = network(dtype, seed=1)
    other = LengthDirection(resumed, 0.05, **options)
    step(resumed, other, xs[0])  # what it knew is forgotten
    resumed.load_state_dict(saved["model"])
    other.load_state_dict(saved["optimizer"])
    for x in xs[5:]:
        step(resumed, other, x)
    assert same(whole, resumed)


def test_a_checkpoint_amid_accumulation_holds_what_was_gathered():
    first, second, third = batches(3)
    whole = network()
    optimizer = LengthDirection(whole, 0.05)
    loss_of(whole, first).backward()
    saved = through_disk(
        {
            "model": whole.state_dict(),
            "optimizer": optimizer.state_dict(),
            "gradients": [p.grad for p in whole.parameters()],
        }
    )
    resumed = network(seed=1)
    other = LengthDirection(resumed, 0.05)
    resumed.load_state_dict(saved["model"])
    other.load_state_dict(saved["optimizer"])
    for p, gradient in zip(resumed.parameters(), saved["gradients"], strict=True):
        p.grad = gradient
    for model, o in ((whole, optimizer), (resumed, other)):
        loss_of(model, second).backward()
        o.step()
        step(model, o, third)
    assert same(whole, resumed)
    lost = network()
    without = LengthDirection(lost, 0.05)
    step(lost, without, second)
    assert not torch.equal(
        without.state[lost[0].weight]["covariance"], other.state[resumed[0].weight]["covariance"]
    )


def test_half_precision_weights_keep_a_master_copy():
    """Steps far below bfloat16's resolution add up."""
    model = network(torch.bfloat16)
    optimizer = LengthDirection(model, 1e-5, metric="euclidean", others=AdamW(lr=0.0))
    x = batches(1, dtype=torch.bfloat16)[0]
    for _ in range(200):
        step(model, optimizer, x)
    state = optimizer.state[model[2].weight]
    assert state["direction"].dtype == torch.float32
    W = state["length"] * state["direction"]
    start = network(torch.bfloat16)[2].weight.float()
    turned = 1 - torch.cosine_similarity(W[0], start, dim=1)
    assert turned.mean() > 0.2 * 200**2 * 1e-10 / 2
    assert torch.equal(W[0].bfloat16(), model[2].weight)


# --- copies and pickles ------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_copies_of_the_model_know_nothing_of_the_optimizer(way):
    model = network()
    optimizer = LengthDirection(model, 0.05)
    if way == "deepcopy":
        other = copy.deepcopy(model)
    else:
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        other = torch.load(file, weights_only=False)
    loss_of(other, batches(1)[0]).backward()
    loss_of(other.train(), batches(1)[0])
    assert all(inputs.rows == 0 for inputs in optimizer._watcher.inputs.values())
    loss_of(model, batches(1)[0]).backward()
    assert all(inputs.rows == 24 for inputs in optimizer._watcher.inputs.values())


def test_the_optimizer_itself_is_not_copied():
    with pytest.raises(TypeError, match="state_dict"):
        copy.deepcopy(LengthDirection(network(), 0.05))


def test_an_optimizer_that_is_gone_leaves_no_hooks():
    model = network()
    optimizer = LengthDirection(model, 0.05)
    assert len(model[0]._forward_pre_hooks) == 1
    step(model, optimizer, batches(1)[0])
    del optimizer
    assert len(model[0]._forward_pre_hooks) == 0


# --- what is gathered --------------------------------------------------------------------------


def test_only_training_with_gradients_is_gathered():
    model = network()
    optimizer = LengthDirection(model, 0.05)
    x, y = batches(2)
    rows = optimizer._watcher.inputs[model[0].weight].rows
    with torch.no_grad():
        model(x)
    model.eval()
    model(x)
    assert rows == 0
    model.train()
    model(x)
    model(y)
    assert rows == 48
    total = optimizer._watcher.inputs[model[0].weight].total
    torch.testing.assert_close(total[0], x.T @ x + y.T @ y)


def test_nothing_is_gathered_between_refreshes():
    model = network()
    optimizer = LengthDirection(model, 0.05, metric=Covariance(refresh_every=3))
    S = []
    for x in batches(7):
        step(model, optimizer, x)
        S.append(optimizer.state[model[0].weight]["covariance"].clone())
    changes = [not torch.equal(a, b) for a, b in itertools.pairwise(S)]
    assert changes == [False, False, True, False, False, True]


def test_a_batch_that_is_not_finite_does_not_spoil_the_covariance():
    model = network()
    optimizer = LengthDirection(model, 0.05)
    bad, good = batches(2)
    bad[0, 0] = math.inf
    model(bad)
    step(model, optimizer, good)
    torch.testing.assert_close(
        optimizer.state[model[0].weight]["covariance"][0], good.T @ good / 24
    )


def test_accumulated_gradients_are_one_batch():
    xs = batches(4)
    joint, parts = network(torch.float64), network(torch.float64)
    a = LengthDirection(joint, 0.05, metric=Covariance(rows=0))
    b = LengthDirection(parts, 0.05, metric=Covariance(rows=0))
    for _ in range(3):
        a.zero_grad()
        (4 * loss_of(joint, torch.cat(xs).double())).backward()
        a.step()
        step(parts, b, *[x.double() for x in xs])
    for p, q in zip(weights(joint), weights(parts), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-6)  # the loss is taken in float32


# --- schedulers, clipping, scalers, compilers --------------------------------------------------


def test_schedulers_scale_directions_lengths_and_the_rest():
    model = network()
    optimizer = LengthDirection(model, 0.05, length=Adam(lr=0.02), others=AdamW(lr=0.01))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.0 if t else 1.0)
    x = batches(1)[0]
    before = weights(model)
    step(model, optimizer, x)
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.0, 0.0]
    after = weights(model)
    assert not any(torch.equal(p, q) for p, q in zip(before, after, strict=True))
    step(model, optimizer, x)
    for p, q in zip(after, weights(model), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-6)


def test_clipped_gradients_do_not_change_the_direction_of_polar_steps():
    a, b = network(), network()
    x = batches(1)[0]
    for model, limit in ((a, None), (b, 1e-3)):
        optimizer = LengthDirection(model, 0.05, length="fixed", others=AdamW(lr=0.0))
        loss_of(model, x).backward()
        if limit:
            nn.utils.clip_grad_norm_(model.parameters(), limit)
        optimizer.step()
    for p, q in zip(weights(a), weights(b), strict=True):
        torch.testing.assert_close(p, q)


def test_a_gradient_scaler_skips_and_unscales():
    plain, scaled = network(), network()
    a, b = LengthDirection(plain, 0.05), LengthDirection(scaled, 0.05)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    x = batches(1)[0]
    for factor in (1.0, math.inf, 1.0):
        b.zero_grad()
        scaler.scale(loss_of(scaled, x) * factor).backward()
        before = weights(scaled)
        scaler.step(b)
        scaler.update()
        moved = not all(torch.equal(p, q) for p, q in zip(before, weights(scaled), strict=True))
        assert moved == (factor == 1.0)
        if factor == 1.0:
            step(plain, a, x)
    for p, q in zip(weights(plain), weights(scaled), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_autocast(metric):
    model = network()
    optimizer = LengthDirection(model, 0.05, metric=metric)
    x = batches(1)[0]
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(model, x)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    if metric == "covariance":  # the sums are not in bfloat16
        S = optimizer.state[model[0].weight]["covariance"][0]
        torch.testing.assert_close(S, x.T @ x / 24)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_models_are_gathered_from_and_compiled_once(backend):
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
