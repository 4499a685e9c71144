"""The exact norms of coupling, against full Hessians."""

import copy
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from curvature_cases import (  # noqa: E402
    BATCH_NORMALIZED,
    BY_NAME,
    CASES,
    JACOBIANS,
    SEPARATE,
    assert_norms,
    draw,
    hessian,
    labels,
    norms,
    projected,
    refused,
    solved,
    spread,
)
from polarstep.curvature import coupling  # noqa: E402
from polarstep.nn import mlp  # noqa: E402

by_name = {"ids": lambda case: case.name}


# --- exact norms -------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, **by_name)
def test_blocks(case):
    model, loss_fn, batch, names, blocks = solved(case)
    c = coupling(model, loss_fn, batch, row=names, columns=names)
    assert c.how == case.how
    assert (c.n_products == 0) == (case.how == JACOBIANS)
    assert not c.stderr.any()
    assert_norms(c, norms(blocks))


@pytest.mark.parametrize("case", CASES, **by_name)
def test_blocks_by_directions(case):
    model, loss_fn, batch, _, blocks = solved(case)
    expected = norms(projected(blocks, model))
    names = list(dict.fromkeys(name for pair in expected for name in pair))
    c = coupling(model, loss_fn, batch, row=names, columns=names, directions=True)
    assert c.directions
    assert_norms(c, expected)


@pytest.mark.parametrize("case", [*SEPARATE, *BATCH_NORMALIZED], **by_name)
@pytest.mark.parametrize("directions", [False, True])
def test_single_precision(case, directions):
    """The reference is double precision at the same weights and data, rounded to single."""
    model, loss_fn, (inputs, targets), *_ = solved(case)
    if targets.is_floating_point():
        targets = targets.float()
    single = copy.deepcopy(model).float()
    double = copy.deepcopy(single).double()
    names = [name for name, value in model.named_parameters() if value.ndim > 1]
    c = coupling(single, loss_fn, (inputs.float(), targets), directions=directions)
    assert c.how == JACOBIANS
    wide = targets.double() if targets.is_floating_point() else targets
    blocks = hessian(double, loss_fn, (inputs.float().double(), wide), names)
    if directions:
        blocks = projected(blocks, double)
    expected = norms(blocks)
    largest = max(expected.values())
    for pair, value in expected.items():
        assert abs(c[pair] - value) <= 1e-6 * value + 1e-9 * largest, (pair, c[pair] / value - 1)


@given(
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    samples=st.integers(1, 12),
    activation=st.sampled_from(["relu", "tanh"]),
    normalization=st.sampled_from([None, "batch"]),
    shift=st.booleans(),
    directions=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40)
def test_random_networks(sizes, samples, activation, normalization, shift, directions, seed):
    if normalization == "batch":  # of one or two samples, it leaves nothing to differentiate
        samples += 3
    model = mlp((*sizes, 3), activation, normalization, shift=shift, seed=seed)
    model = spread(model, seed)
    batch = draw(samples, sizes[0], seed=seed), labels(samples, 3, seed)
    blocks = hessian(
        model, cross_entropy, batch, [n for n, p in model.named_parameters() if p.ndim > 1]
    )
    largest = max(norms(blocks).values())
    if directions:
        blocks = projected(blocks, model)
    c = coupling(model, cross_entropy, batch, directions=directions)
    # If a normalized unit is active for one sample only, its gradient consists of rounding errors.
    assert c.how == JACOBIANS or (normalization == "batch" and "outside of its" in c.how)
    for pair, value in norms(blocks).items():
        # A unit with one input has no tangent; the root of a rounding error remains.
        assert c[pair] == pytest.approx(value, rel=1e-8, abs=1e-7 * largest), pair


@pytest.mark.parametrize("name", ["tanh", "2 norms, bias", "3 norms, wide", "lstm"])
@pytest.mark.parametrize("directions", [False, True])
def test_memory_changes_no_numbers(name, directions):
    model, loss_fn, batch, *_ = solved(BY_NAME[name])
    large = coupling(model, loss_fn, batch, directions=directions)
    # With this little memory, rows and vectors are processed one at a time.
    small = coupling(model, loss_fn, batch, directions=directions, memory=1e-9)
    assert_norms(small, {pair: large[pair] for pair in large})


# --- options -----------------------------------------------------------------------------------


def test_one_row_and_some_columns():
    model, loss_fn, batch, _, blocks = solved(BY_NAME["tanh, deep"])
    columns = ["linear1.bias", "linear4.weight"]
    for row in ("linear3.weight", ["linear3.weight"]):
        c = coupling(model, loss_fn, batch, row=row, columns=iter(columns))
        assert c.rows == ("linear3.weight",)
        assert c.columns == tuple(columns)
        expected = norms(blocks)
        assert_norms(c, {(c.rows[0], column): expected[c.rows[0], column] for column in columns})
        assert c.own == pytest.approx({c.rows[0]: expected[c.rows * 2]}, rel=1e-10)


def test_progress_is_shown_on_demand(capsys):
    model, loss_fn, batch, *_ = solved(BY_NAME["tanh"])
    for method in ("exact", "sketch"):
        coupling(model, loss_fn, batch, method=method)
        assert capsys.readouterr().err == ""
        coupling(model, loss_fn, batch, method=method, progress=True)
        assert "coupling" in capsys.readouterr().err


def test_without_torch_the_error_says_what_to_install():
    code = "import sys; sys.modules['torch'] = None; import polarstep.curvature"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip().splitlines()[-1] == (
        "ModuleNotFoundError: polarstep.curvature needs PyTorch, which is not installed. "
        "Run: pip install 'polarstep[torch]'"
    )


# --- errors ------------------------------------------------------------------------------------


WRONG = {
    "the direction of a bias": (
        {"row": "linear1.bias", "directions": True},
        ValueError,
        r"coupling: `row or columns` must name weights of two or more dimensions if "
        r"directions=True; got 'linear1\.bias' of shape \(5,\)",
    ),
    "the direction of a bias among columns": (
        {"columns": ["linear1.weight", "linear2.bias"], "directions": True, "method": "sketch"},
        ValueError,
        r"if directions=True; got 'linear2\.bias' of shape \(3,\)",
    ),
    "rtol of zero": ({"rtol": 0.0}, ValueError, r"coupling: `rtol` must be .* > 0; got 0\.0"),
    "rtol by name": ({"rtol": "small"}, TypeError, r"coupling: `rtol` must be .*; got 'small'"),
    "rtol of NaN": ({"rtol": np.nan}, ValueError, r"coupling: `rtol` must be .*; got nan"),
    "no memory": ({"memory": 0}, ValueError, r"coupling: `memory` must be .* > 0; got 0\.0"),
    "all memory": ({"memory": np.inf}, ValueError, r"coupling: `memory` must be a finite number"),
    "one product": (
        {"max_products": 1},
        ValueError,
        r"coupling: `max_products` must be a whole number >= 2; got 1",
    ),
    "half a product": (
        {"max_products": 2.5},
        TypeError,
        r"coupling: `max_products` must be a whole number >= 2; got 2\.5",
    ),
    "seed": ({"seed": -1}, ValueError, r"coupling: `seed` must be a whole number >= 0; got -1"),
    "a generator": (
        {"seed": np.random.default_rng(0)},
        TypeError,
        r"coupling: `seed` must be a whole number >= 0; got Generator",
    ),
    "method": (
        {"method": "skech"},
        ValueError,
        r"coupling: `method` must be one of 'exact', 'sketch'; got 'skech'\. Did you mean 'sketch'",
    ),
    "scale": (
        {"scale": "relativ"},
        ValueError,
        r"coupling: `scale` must be one of 'own', 'raw', 'relative'; got 'relativ'\. Did you mean",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_refused(name):
    arguments, error, says = WRONG[name]
    refused(arguments, error, says)
