"""Parameters as stacks of matrices, and the table of an assignment."""

import math

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402

from optim_training import METRICS, run  # noqa: E402
from polarstep.optim import Assigned, Assignment, LengthDirection  # noqa: E402
from polarstep.optim.entries import multiplies_its_inputs  # noqa: E402


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_convolutions(metric, memory_format, groups):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(6, 12, 3, groups=groups), nn.ReLU(), nn.Conv2d(12, 2, 1), nn.Flatten()
    ).to(memory_format=memory_format)
    optimizer = LengthDirection(model, 0.05, metric=metric)
    x = torch.randn(4, 6, 6, 6)
    losses = run(model, optimizer, x, steps=20)
    assert losses[-1] < losses[0] / 2
    assert model[0].weight.is_contiguous(memory_format=memory_format)
    assert optimizer.assignment[0].shape == (groups, 12 // groups, 9 * 6 // groups)


def test_memory_formats_make_no_difference():
    ends = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 1), nn.Flatten())
        model = model.to(memory_format=memory_format).double()
        x = torch.randn(4, 3, 6, 6, dtype=torch.float64)
        run(model, LengthDirection(model, 0.05), x)
        ends.append(model[0].weight.detach())
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize(
    ("shape", "blocks", "transposed", "expected"),
    [
        ((6, 4), 1, False, (1, 6, 4)),
        ((6, 4), 3, False, (3, 2, 4)),
        ((6, 4, 3, 3), 2, False, (2, 3, 36)),
        ((5, 6, 2), 1, True, (1, 6, 10)),
    ],
)
def test_matrices_and_tensors_are_inverse(shape, blocks, transposed, expected):
    p = torch.arange(float(math.prod(shape))).reshape(shape)
    entry = Assigned("p", p, "direction", "", blocks, transposed)
    assert entry.shape == expected
    matrices = entry.matrices(p)
    assert matrices.shape == expected
    assert torch.equal(entry.tensor(matrices), p)


def test_the_table_has_a_line_for_each_entry():
    entries = Assignment(
        [
            Assigned("a.weight", torch.zeros(6, 4), "direction", "packed", blocks=2),
            Assigned("scale", torch.zeros(()), "adamw", "a bias or a gain"),
        ]
    )
    assert str(entries).splitlines() == [
        "parameter  shape  rule       matrices    why",
        "a.weight   6 x 4  direction  2 of 3 x 4  packed",
        "scale      1      adamw                  a bias or a gain",
    ]


def test_only_layers_that_multiply_their_inputs_are_watched():
    assert multiplies_its_inputs(nn.Linear(2, 2))
    assert multiplies_its_inputs(nn.Conv1d(2, 2, 1))
    assert not multiplies_its_inputs(nn.ConvTranspose1d(2, 2, 1))
    assert not multiplies_its_inputs(nn.MultiheadAttention(2, 1).out_proj)
