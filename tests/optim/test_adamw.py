"""AdamW for the parameters that are not hidden matrices."""

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from optim_training import batches, network, step, weights  # noqa: E402
from polarstep.optim import AdamW, LengthDirection  # noqa: E402


def test_the_other_parameters_take_the_steps_of_torchs_adamw():
    options = {"lr": 0.03, "betas": (0.8, 0.99), "eps": 1e-4, "weight_decay": 0.1}
    ours, theirs = network(), network()
    mine = LengthDirection(ours, assign={"*": "adamw"}, others=AdamW(**options))
    peer = torch.optim.AdamW(theirs.parameters(), **options)
    for x in batches(5):
        step(ours, mine, x)
        step(theirs, peer, x)
    for p, q in zip(weights(ours), weights(theirs), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-7)


def test_parameters_without_a_gradient_stay():
    p, q = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    p.grad = torch.ones(2)
    states = {p: {}, q: {}}
    with torch.no_grad():
        AdamW().step([p, q], 0.1, states)
        AdamW().step([q], 0.1, states)
    torch.testing.assert_close(p.detach(), torch.full((2,), 0.9))
    assert torch.equal(q.detach(), torch.ones(2))
    assert states[q] == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, "AdamW: `lr` must be a finite number >= 0"),
        ({"eps": "small"}, "`eps` must be a finite number"),
        ({"weight_decay": -0.1}, "`weight_decay` must be a finite number >= 0"),
        ({"betas": (0.9, 1.0)}, "`betas` must be a number < 1"),
    ],
)
def test_bad_values_are_refused(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        AdamW(**options)
