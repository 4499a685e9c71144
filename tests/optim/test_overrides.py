"""The user's changes to an assignment: rules, and packed matrices."""

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from optim_training import METRICS, network  # noqa: E402
from polarstep.optim import LengthDirection, assignment  # noqa: E402


@pytest.mark.parametrize("metric", METRICS)
def test_packed_matrices_take_the_steps_of_separate_ones(metric):
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


def test_the_last_pattern_that_matches_counts():
    model = network()
    for assign in (
        {"*.weight": "adamw", "2.*": "direction", "2.bias": "adamw"},
        lambda name, p: "direction" if name == "2.weight" else "adamw",
    ):
        rules = [entry.rule for entry in assignment(model, assign=assign)]
        assert rules == ["adamw", "adamw", "direction", "adamw", "adamw", "adamw"]
    unchanged = assignment(model, assign=lambda name, p: None)
    assert [e.rule for e in unchanged] == [e.rule for e in assignment(model)]


def test_a_rule_that_is_asked_for_finds_the_layers():
    model = network()
    (entry,) = [e for e in assignment(model, assign={"4.weight": "direction"}) if e.name[0] == "4"][
        :1
    ]
    assert entry.layers == (model[4],)
    assert entry.why == "as requested"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"assign": {"7.weight": "adamw"}}, "`assign` must be one of"),
        ({"assign": {"0.weight": "sgd"}}, "'adamw', 'direction'"),
        ({"assign": {"0.bias": "direction"}}, "rows of real numbers"),
        ({"assign": "adamw"}, "`assign` must be a dict of patterns and rules, or a function"),
        ({"chunks": {"0.weight": 3}}, "divide the outputs"),
        ({"chunks": {"7.weight": 2}}, "`chunks` must be one of"),
        ({"chunks": {"0.weight": 0}}, "must be a whole number >= 1"),
    ],
)
def test_bad_changes_are_refused(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        LengthDirection(network(), **options)
