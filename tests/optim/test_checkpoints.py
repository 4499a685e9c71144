"""State dicts: training continues to the same bits."""

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from optim_training import METRICS, batches, loss_of, network, same, step, through_disk  # noqa: E402
from polarstep.optim import (  # noqa: E402
    SGD,
    Adam,
    AdamW,
    Angle,
    Covariance,
    Frobenius,
    Gains,
    LengthDirection,
    Polar,
)


@pytest.mark.parametrize("direction", ["polar", "adam", "sgd"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_resumed_run_ends_at_the_same_bits(metric, direction, dtype):
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
    step(resumed, other, xs[0])  # loading replaces this state
    resumed.load_state_dict(saved["model"])
    other.load_state_dict(saved["optimizer"])
    for x in xs[5:]:
        step(resumed, other, x)
    assert same(whole, resumed)


def test_a_checkpoint_during_accumulation_holds_the_gathered_inputs():
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


def written_before_options_were_objects(**options):
    """Return the options of a param group of that time, with the defaults of that time."""
    return {
        "metric": "covariance",
        "direction": "polar",
        "length": "adam",
        "length_lr": 0.01,
        "start_length": None,
        "gains": "row",
        "angle": "auto",
        "momentum": 0.9,
        "nesterov": True,
        "betas": (0.9, 0.95),
        "eps": 1e-8,
        "tangent": True,
        "retraction": "normalize",
        "largest_angle": None,
        "polar": "muon",
        "polar_steps": 5,
        "polar_dtype": None,
        "length_momentum": 0.0,
        "length_decay": 0.0,
        "positive": False,
        "precondition": True,
        "damping": 0.3,
        "covariance_decay": 0.9,
        "refresh_every": 10,
        "covariance_rows": 1024,
        "covariance_inputs": 1024,
        "rest_lr": 1e-2,
        "rest_betas": (0.9, 0.95),
        "rest_eps": 1e-8,
        "rest_weight_decay": 0.0,
        **options,
    }


# Options as objects, and as the keywords of that time.
BOTH_FORMS = {
    "defaults": ({}, {}),
    "covariance": (
        {
            "metric": Covariance(
                damping=1.0, decay=0.5, refresh_every=2, rows=16, max_inputs=9, precondition=False
            ),
            "direction": Adam(betas=(0.8, 0.9), eps=1e-6),
            "length": Adam(lr=0.02, betas=(0.8, 0.9), eps=1e-6),
            "start_length": 1.0,
        },
        {
            "damping": 1.0,
            "covariance_decay": 0.5,
            "refresh_every": 2,
            "covariance_rows": 16,
            "covariance_inputs": 9,
            "precondition": False,
            "direction": "adam",
            "betas": (0.8, 0.9),
            "eps": 1e-6,
            "length_lr": 0.02,
            "start_length": 1.0,
        },
    ),
    "euclidean": (
        {
            "metric": "euclidean",
            "direction": SGD(momentum=0.5),
            "length": SGD(lr=0.02, momentum=0.3),
            "gains": Gains("both", positive=True, decay=0.1),
            "angle": Angle("rms", largest=0.03),
            "others": AdamW(lr=0.003, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.1),
        },
        {
            "metric": "euclidean",
            "direction": "sgd",
            "momentum": 0.5,
            "nesterov": False,
            "length": "sgd",
            "length_lr": 0.02,
            "length_momentum": 0.3,
            "gains": "both",
            "positive": True,
            "length_decay": 0.1,
            "angle": "rms",
            "largest_angle": 0.03,
            "rest_lr": 0.003,
            "rest_betas": (0.8, 0.9),
            "rest_eps": 1e-6,
            "rest_weight_decay": 0.1,
        },
    ),
    "frobenius": (
        {
            "metric": Frobenius(tangent=False),
            "direction": Polar(4, "polar express", torch.bfloat16, momentum=0.95, nesterov=False),
            "length": "fixed",
            "retraction": "none",
        },
        {
            "metric": "frobenius",
            "gains": "matrix",
            "tangent": False,
            "polar": "polar express",
            "polar_steps": 4,
            "polar_dtype": torch.bfloat16,
            "momentum": 0.95,
            "nesterov": False,
            "length": "fixed",
            "length_lr": None,
            "retraction": "none",
        },
    ),
    "shared rate": ({"length": Adam()}, {"length_lr": None}),
}


@pytest.mark.parametrize(("objects", "keywords"), [*BOTH_FORMS.values()], ids=[*BOTH_FORMS])
def test_checkpoints_from_before_options_were_objects_continue_to_the_same_bits(objects, keywords):
    xs = batches(9)
    whole = network()
    optimizer = LengthDirection(whole, 0.05, **objects)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    for x in xs[:4]:
        step(whole, optimizer, x)
        scheduler.step()
    saved = through_disk({"model": whole.state_dict(), "optimizer": optimizer.state_dict()})
    of_the_run = ("params", "rule", "lr", "base_lr", "steps", "initial_lr")
    saved["optimizer"]["param_groups"] = [
        {key: group[key] for key in of_the_run} | written_before_options_were_objects(**keywords)
        for group in saved["optimizer"]["param_groups"]
    ]
    assert saved["optimizer"]["param_groups"] == optimizer.state_dict()["param_groups"]
    resumed = network(seed=1)
    metric = (
        optimizer.defaults["metric"] if optimizer.defaults["metric"].uses_inputs else "covariance"
    )
    other = LengthDirection(resumed, 0.2, metric=metric)  # all options are replaced
    resumed.load_state_dict(saved["model"])
    other.load_state_dict(saved["optimizer"])
    for mine, group in zip(other.param_groups, optimizer.param_groups, strict=True):
        assert {**mine, "params": None} == {**group, "params": None}
    for x in xs[4:]:
        step(whole, optimizer, x)
        step(resumed, other, x)
    assert same(whole, resumed)


def test_schedules_of_angles_stay_when_a_checkpoint_is_loaded():
    def schedule(t):
        return 0.5

    optimizer = LengthDirection(network(), angle=Angle(schedule=schedule))
    optimizer.load_state_dict(LengthDirection(network(), angle=Angle("each")).state_dict())
    assert [group["angle"] for group in optimizer.param_groups] == [
        Angle("each", None, schedule)
    ] * 2


def test_a_euclidean_checkpoint_stops_the_gathering_of_inputs():
    model, source = network(), network(seed=1)
    optimizer = LengthDirection(model)
    euclidean = LengthDirection(source, metric="euclidean")
    (x,) = batches(1)
    step(source, euclidean, x)
    optimizer.load_state_dict(euclidean.state_dict())
    step(model, optimizer, x)
    assert all("root" not in state for state in optimizer.state.values())
    assert all(inputs.rows == 0 for inputs in optimizer._watcher.inputs.values())


def test_the_state_of_another_optimizer_is_refused():
    model = network()
    saved = torch.optim.AdamW(model.parameters()).state_dict()
    with pytest.raises(ValueError, match="`state_dict` must come from a LengthDirection"):
        LengthDirection(model).load_state_dict(saved)
