"""Options as single values side by side."""

import itertools

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from optim_training import network  # noqa: E402
from polarstep.optim import (  # noqa: E402
    SGD,
    Adam,
    AdamW,
    Angle,
    Covariance,
    Fixed,
    Frobenius,
    Gains,
    LengthDirection,
    Polar,
)
from polarstep.optim.flat_options import PLACES, flattened, restored  # noqa: E402

DIRECTIONS = [Polar(3, "exact", momentum=0.0), Adam(betas=(0.5, 0.6), eps=1e-3), SGD(momentum=0.2)]
LENGTHS = [
    *(Adam(betas=(0.5, 0.6), eps=1e-3), Adam(lr=0.3), Adam(lr=0.3, betas=(0.1, 0.2))),
    *(SGD(lr=0.1), SGD(momentum=0.9, nesterov=True), Fixed()),
]


def groups(**options):
    return LengthDirection(network(), **options).param_groups


@pytest.mark.parametrize(
    ("direction", "length"), [*itertools.product(DIRECTIONS, LENGTHS)], ids=str
)
def test_all_pairs_of_rules_are_restored(direction, length):
    for group in groups(direction=direction, length=length):
        assert restored(flattened(group)) == group


@pytest.mark.parametrize(
    "options",
    [
        {"metric": Covariance(tangent=False, damping=0.1, max_inputs=7)},
        {"metric": Frobenius(tangent=False), "gains": Gains("both", decay=0.2)},
        {"metric": "euclidean", "gains": Gains(positive=True), "angle": Angle("off", 0.1)},
        {"others": AdamW(0.3, (0.1, 0.2), 1e-3, 0.4), "start_length": 2.0, "retraction": "none"},
    ],
    ids=str,
)
def test_other_options_are_restored(options):
    for group in groups(**options):
        assert restored(flattened(group)) == group


def test_values_are_plain_and_schedules_are_left_out():
    (first, *_) = groups(angle=Angle("each", schedule=lambda t: 0.5))
    flat = flattened(first)
    plain = (bool, int, float, str, type(None), tuple)
    assert all(isinstance(value, plain) for key, value in flat.items() if key != "params")
    assert restored(flat) == {**first, "angle": Angle("each")}


def test_keys_do_not_depend_on_the_options():
    """torch.distributed.checkpoint loads only keys that the optimizer has already."""
    keys = [
        set(flattened(group))
        for options in ({}, {"metric": "frobenius", "direction": "adam", "length": "fixed"})
        for group in groups(**options)
    ]
    assert all(each == keys[0] for each in keys)
    assert set(PLACES) - keys[0] == {"angle_schedule"}
