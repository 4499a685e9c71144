"""The arguments of `train`."""

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch.nn.functional import cross_entropy  # noqa: E402

from polarstep.nn import train  # noqa: E402
from small_networks import X, Y, network, run  # noqa: E402

WRONG = {
    "lr": ({"lr": 0.0}, ValueError, "`lr` must be a finite number > 0"),
    "lr(t)": ({"lr": lambda t: -1.0}, ValueError, r"`lr\(0\)` must be a finite number >= 0"),
    "steps": ({"steps": 0}, ValueError, "`steps` must be a whole number >= 1"),
    "batch_size": ({"batch_size": 51}, ValueError, "be at most the number of samples, 50; got 51"),
    "momentum": ({"momentum": 1.0}, ValueError, "`momentum` must be a number < 1; got 1.0"),
    "seed": ({"seed": None}, TypeError, "`seed` must be a whole number"),
    "every": ({"checkpoint_every": 0}, ValueError, "`checkpoint_every` must be a whole number"),
    "no folder": ({"checkpoint": "no/run.pt"}, ValueError, "be a file in a folder that exists"),
    "no path": ({"checkpoint": 3}, TypeError, "`checkpoint` must be a path or None; got 3"),
    "loss shape": (
        {"loss_fn": lambda out, t: out},
        ValueError,
        r"`loss_fn` must return a differentiable tensor with one element; got shape \(50, 3\)",
    ),
    "loss type": (
        {"loss_fn": lambda out, t: 1.0},
        ValueError,
        "with one element; got a float",
    ),
}


@pytest.mark.parametrize(("options", "error", "says"), WRONG.values(), ids=WRONG)
def test_invalid_options_are_refused(options, error, says):
    options = {"model": network(), **options}
    with pytest.raises(error, match=f"train: .*{says}"):
        run(options.pop("model"), **options)


def test_arguments_are_checked_before_the_first_record_is_asked_for():
    with pytest.raises(ValueError, match="`lr` must"):
        train(network(), cross_entropy, (X, Y), lr=-1, steps=3)
