"""Models, functions and data that `train` refuses."""

import math

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from small_networks import X, Y, network, run  # noqa: E402

HOLE = X.clone()
HOLE[3, 1] = math.nan

WRONG = {
    "model": ({"model": 3}, TypeError, "`model` must be a torch Module; got an int"),
    "no parameters": ({"model": nn.ReLU()}, ValueError, "`model` must have parameters"),
    "loss_fn": (
        {"loss_fn": "mse"},
        TypeError,
        "`loss_fn` must be a function; got a str",
    ),
    "evaluate": (
        {"evaluate": 1},
        TypeError,
        "`evaluate` must be a function; got an int",
    ),
    "data": ({"data": X}, TypeError, "`data` must be a pair of tensors"),
    "arrays": (
        {"data": (X.numpy(), Y)},
        TypeError,
        "`data` must .*; got a pair with an ndarray",
    ),
    "lengths": ({"data": (X, Y[1:])}, ValueError, r"got shapes \(50, 6\) and \(49,\)"),
    "nan": ({"data": (HOLE, Y)}, ValueError, r"only finite numbers; got nan at inputs\[3, 1\]"),
    "one left": (
        {"model": network("batch"), "batch_size": 7},
        ValueError,
        "leave no mini-batch of a single sample .*; got 7 for 50 samples, with norm1",
    ),
}


@pytest.mark.parametrize(("options", "error", "says"), WRONG.values(), ids=WRONG)
def test_models_functions_and_data_that_do_not_fit_are_refused(options, error, says):
    options = {"model": network(), **options}
    with pytest.raises(error, match=f"train: .*{says}"):
        run(options.pop("model"), **options)


def test_a_batch_of_one_sample_is_accepted_without_batch_statistics():
    assert len(run(network(), batch_size=7)) == 12
    assert len(run(network("batch").eval(), batch_size=7)) == 12
