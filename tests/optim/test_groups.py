"""Param groups: the forms of parameters, groups added later, names of parameters."""

import math

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from optim_training import METRICS, network, run  # noqa: E402
from polarstep.optim import Adam, AdamW, Covariance, Euclidean, LengthDirection  # noqa: E402


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


def test_groups_set_options_by_name_or_by_object():
    model = network()
    optimizer = LengthDirection(
        [
            {"params": [model[0].weight], "metric": "euclidean", "length": Adam(lr=0.5)},
            {"params": [model[2].weight, model[2].bias], "metric": Covariance(damping=2.0)},
            {"params": [model[4].bias], "others": AdamW(lr=0.5, weight_decay=0.1)},
        ],
        model=model,
    )
    first, second, rest, other = optimizer.param_groups
    assert (first["metric"], first["length"]) == (Euclidean(), Adam(lr=0.5))
    assert (second["metric"], second["length"]) == (Covariance(damping=2.0), Adam(lr=0.01))
    assert (rest["rule"], rest["lr"]) == ("adamw", 0.01)
    assert (other["rule"], other["lr"]) == ("adamw", 0.5)
    before = [p.detach().clone() for p in model.parameters()]
    run(model, optimizer, torch.randn(20, 6), steps=1)
    moved = [not torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True)]
    assert moved == [True, False, True, True, False, True]


def test_parameters_may_be_tensors_pairs_and_groups():
    model = network()
    expected = ["0.weight", "2.weight"]
    pairs = [(name, p) for name, p in model.named_parameters() if name in expected]
    for params in (
        pairs,
        [p for _, p in pairs],
        [{"params": pairs}],
        [{"params": model[0].weight}, {"params": iter([model[2].weight])}],
    ):
        optimizer = LengthDirection(params, model=model)
        assert [entry.name for entry in optimizer.assignment] == expected
    without_model = LengthDirection([p for _, p in pairs], metric="euclidean")
    assert [entry.name for entry in without_model.assignment] == ["0", "1"]
