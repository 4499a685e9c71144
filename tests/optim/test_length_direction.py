"""LengthDirection as a torch optimizer: training, schedulers, clipping, scalers, autocast."""

import copy
import math

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from optim_training import METRICS, batches, loss_of, network, step, weights  # noqa: E402
from polarstep.optim import Adam, AdamW, LengthDirection  # noqa: E402


def problem(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3)
    )
    x = torch.randn(64, 6) @ torch.randn(6, 6)
    return model, x, torch.sin(x[:, :3])


def train(model, optimizer, x, y, steps=60):
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    return losses


@pytest.mark.parametrize("metric", ["covariance", "euclidean", "frobenius"])
@pytest.mark.parametrize("direction", ["polar", "adam", "sgd"])
@pytest.mark.parametrize("length", ["adam", "sgd", "fixed"])
def test_every_combination_trains(metric, direction, length):
    model, x, y = problem()
    losses = train(
        model,
        LengthDirection(model, lr=0.02, metric=metric, direction=direction, length=length),
        x,
        y,
    )
    assert losses[-1] < losses[0] / 2


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


@pytest.mark.parametrize("name", ["cosine", "one cycle"])
def test_param_groups_follow_the_schedulers_of_torch(name):
    model = network()
    optimizer = LengthDirection(model, 0.04)
    if name == "cosine":
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4)
        expected = [0.04 * (1 + math.cos(math.pi * k / 4)) / 2 for k in range(4)]
    else:
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, [0.04, 0.01], total_steps=4, pct_start=0.5, cycle_momentum=False,
            anneal_strategy="linear", div_factor=4, final_div_factor=10,
        )  # fmt: skip
        expected = [0.01, 0.04, 0.0205, 0.001]
    for (x,), lr in zip((batches(1, seed=k) for k in range(4)), expected, strict=True):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(lr)
        step(model, optimizer, x)
        scheduler.step()


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


def test_sparse_gradients_are_refused():
    model = nn.Embedding(5, 4, sparse=True)
    optimizer = LengthDirection(model, 0.05, metric="euclidean")
    model(torch.tensor([1])).sum().backward()
    with pytest.raises(ValueError, match=r"dense.*'weight'"):
        optimizer.step()


def test_copying_the_optimizer_is_refused():
    with pytest.raises(TypeError, match="state_dict"):
        copy.deepcopy(LengthDirection(network(), 0.05))
