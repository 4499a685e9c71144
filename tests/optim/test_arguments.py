"""Names, objects and keywords of LengthDirection."""

import re

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

import polarstep.optim  # noqa: E402
from optim_training import network  # noqa: E402
from polarstep.optim import (  # noqa: E402
    Adam,
    Fixed,
    Gains,
    LengthDirection,
    Polar,
)
from polarstep.optim.arguments import CHOICES, resolve  # noqa: E402
from polarstep.optim.flat_options import PLACES  # noqa: E402

DEFAULTS = LengthDirection(network()).defaults
MOVED_KEYWORDS = {
    "length": ["length_lr", "length_momentum"],
    "gains": ["length_decay", "positive"],
    "angle": ["angle_schedule", "largest_angle"],
    "direction": ["momentum", "nesterov", "betas", "eps", "polar", "polar_steps", "polar_dtype"],
    "metric": [
        *["tangent", "precondition", "damping", "covariance_decay"],
        *["refresh_every", "covariance_rows", "covariance_inputs"],
    ],
    "others": ["rest_lr", "rest_betas", "rest_eps", "rest_weight_decay"],
}


@pytest.mark.parametrize(
    ("option", "name"), [(key, name) for key, names in MOVED_KEYWORDS.items() for name in names]
)
def test_keywords_that_moved_say_where_they_went(option, name):
    """The advice names an option, an object for it, and a field of the object."""
    with pytest.raises(TypeError, match=f"LengthDirection: `{name}` moved: pass ") as caught:
        LengthDirection(network(), **{name: 0.3})
    found, kind, argument = re.match(
        r"(\w+)=(\w+)\((\w+)=", str(caught.value).split("pass ")[1]
    ).groups()
    assert found == option
    assert argument in getattr(polarstep.optim, kind).__dataclass_fields__


def test_every_keyword_of_earlier_versions_is_known():
    assert set(PLACES) == {name for names in MOVED_KEYWORDS.values() for name in names}


def test_the_advice_repeats_the_value():
    with pytest.raises(TypeError, match=r"pass metric=Covariance\(damping=0.3\)\.$"):
        LengthDirection(network(), damping=0.3)
    with pytest.raises(TypeError, match=r"pass angle=Angle\(schedule=\.\.\.\)"):
        LengthDirection(network(), angle_schedule=lambda t: 1.0)


def test_keywords_of_param_groups_that_moved_say_where_they_went():
    model = network()
    with pytest.raises(TypeError, match=r"`momentum` moved: pass direction=Polar\(momentum=0.5\)"):
        LengthDirection([{"params": [model[0].weight], "momentum": 0.5}], model=model)


def test_unknown_keywords_and_keys_are_refused():
    model = network()
    with pytest.raises(TypeError, match=r"`keyword` must be one of.*Did you mean 'direction'"):
        LengthDirection(model, directions="polar")
    with pytest.raises(TypeError, match=r"param group: `key` must be one of .*; got 'weight_dec"):
        LengthDirection([{"params": [model[0].weight], "weight_decay": 0.1}], model=model)


@pytest.mark.parametrize("argument", CHOICES)
def test_a_name_stands_for_an_object(argument):
    for name, value in CHOICES[argument].items():
        if (argument, name) in (("gains", "matrix"), ("gains", "both")):
            options = {**DEFAULTS, "metric": "frobenius"}
        else:
            options = DEFAULTS
        assert resolve({**options, argument: name})[argument] == value
        assert resolve({**options, argument: value})[argument] == value


def test_the_default_of_gains_fits_the_metric():
    for metric, axes in [("covariance", "row"), ("euclidean", "row"), ("frobenius", "matrix")]:
        assert resolve({**DEFAULTS, "metric": metric})["gains"] == Gains(axes)
    positive = resolve({**DEFAULTS, "metric": "frobenius", "gains": Gains(positive=True)})
    assert positive["gains"] == Gains("matrix", positive=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "covarianze"}, "Did you mean 'covariance'"),
        ({"direction": "muon"}, "'adam', 'polar', 'sgd'"),
        ({"length": None}, "`length` must"),
        ({"gains": "rows"}, "`gains` must be one of 'both', 'matrix', 'row'"),
        ({"angle": "all"}, "`angle` must be one of 'auto', 'each', 'off', 'rms'"),
        ({"retraction": "no"}, "`retraction` must be one of 'none', 'normalize'"),
        ({"lr": -1.0}, "`lr` must be a finite number >= 0"),
        ({"metric": "euclidean", "gains": "matrix"}, "every row has a length"),
        ({"gains": "both"}, "another metric"),
        (
            {"metric": Adam()},
            r"`metric` must be a name or an object \((Covariance, Euclidean, Frobenius)\)",
        ),
        ({"direction": Fixed()}, r"`direction` must be a name or an object \((Adam, Polar, SGD)\)"),
        ({"length": Polar()}, r"`length` must be a name or an object \((Adam, Fixed, SGD)\)"),
        ({"direction": Adam(lr=0.1)}, "`direction` must have no learning rate"),
        ({"others": torch.optim.AdamW}, "`others` must be an AdamW object"),
        ({"start_length": 0.0}, "`start_length` must be a finite number > 0"),
        ({"metric": "frobenius", "start_length": 1.0}, "in which gains start at one"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        LengthDirection(network(), **options)
