"""Estimates are unbiased, covered by their standard errors, and within the allowed products."""

import warnings
from functools import cache

import numpy as np
import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

from torch import nn  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from curvature_cases import draw, labels, normalized, spread  # noqa: E402
from polarstep.curvature import coupling  # noqa: E402
from polarstep.curvature.products import Products  # noqa: E402
from polarstep.curvature.sketch import Estimate  # noqa: E402
from polarstep.nn import mlp  # noqa: E402


def convolutional():
    layers = [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Conv2d(4, 3, 3), nn.Tanh()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(12, 3))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.last = nn.LSTM(4, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x):
        return self.last(self.lstm(x)[0][:, -1])


MODELS = {
    "relu": (lambda: mlp((9, 8, 8, 3), "relu", seed=0), (12, 9)),
    "tanh": (lambda: mlp((9, 8, 8, 3), "tanh", seed=0), (12, 9)),
    "batch norm": (lambda: normalized((8, 7), 12, 9), (12, 9)),
    "convolutions": (convolutional, (6, 2, 6, 6)),
    "lstm": (Recurrent, (5, 4, 4)),
}


@cache
def problem(name):
    make, shape = MODELS[name]
    model = spread(make())
    return model, cross_entropy, (draw(*shape), labels(shape[0], 3))


@cache
def truth(name, directions=False):
    return coupling(*problem(name), directions=directions)


def first_weight(name):
    return truth(name).rows[0]


@pytest.mark.parametrize("directions", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_within_four_standard_errors(name, directions):
    c = coupling(*problem(name), method="sketch", rtol=0.03, directions=directions, seed=1)
    exact = truth(name, directions)
    assert c.how == "sketch"
    assert (c.rows, c.columns, c.sizes) == (exact.rows, exact.columns, exact.sizes)
    assert (np.abs(c.raw - exact.raw) <= 4 * c.raw_stderr + 1e-10 * exact.raw).all()
    assert c.raw_stderr.any()
    np.testing.assert_array_equal(c.raw, c.raw.T)
    assert c.own.keys() == set(c.rows)


# 12 products are all probes. Of 100 products, a basis of 32 vectors takes 64.
FIXED = [("relu", 12), ("batch norm", 12), ("tanh", 100), ("batch norm", 100)]


@cache
def at_fixed_products(name, max_products, seeds):
    row = first_weight(name)

    def estimate(seed):
        options = {"rtol": 1e-9, "max_products": max_products, "seed": seed}
        with pytest.warns(RuntimeWarning, match="Increase max_products or rtol"):
            return coupling(*problem(name), row=row, method="sketch", **options)

    results = [estimate(seed) for seed in range(seeds)]
    assert {c.n_products for c in results} == {max_products}
    norms, errors = (np.array([getattr(c, part)[0] for c in results]) for part in ("raw", "stderr"))
    return truth(name).raw[0], norms, errors


@pytest.mark.parametrize(("name", "max_products"), FIXED)
def test_unbiased(name, max_products):
    exact, norms, _ = at_fixed_products(name, max_products, 100)
    squares = norms**2
    error = squares.std(axis=0, ddof=1) / np.sqrt(len(squares))
    assert (error > 0).all()
    assert (np.abs(squares.mean(axis=0) - exact**2) < 4 * error).all()


@pytest.mark.parametrize(("name", "max_products"), FIXED)
def test_coverage_at_fixed_products(name, max_products):
    exact, norms, errors = at_fixed_products(name, max_products, 100)
    covered = (np.abs(norms - exact) <= 2 * errors).mean(axis=0)
    assert (covered >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 100)).all(), covered
    # The standard errors are not too wide either: typical errors have their size.
    assert (np.abs(norms - exact).mean(axis=0) > 0.2 * errors.mean(axis=0)).all()


@pytest.mark.parametrize(("name", "rtol"), [("tanh", 0.03), ("tanh", 0.1), ("batch norm", 0.1)])
def test_coverage_with_the_stopping_rule(name, rtol):
    row, seeds = first_weight(name), 100
    exact = truth(name).raw[0]
    covered = np.zeros_like(exact)
    for seed in range(seeds):
        c = coupling(*problem(name), row=row, method="sketch", rtol=rtol, seed=seed)
        assert (c.stderr <= rtol * c.values).all()
        covered += np.abs(c.values[0] - exact) <= 2 * c.stderr[0]
    assert (covered / seeds >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / seeds)).all(), covered


def test_a_looser_tolerance_takes_fewer_products():
    spent = [
        coupling(
            *problem("tanh"), row="linear1.weight", method="sketch", rtol=rtol, max_products=5000
        ).n_products
        for rtol in (0.3, 0.03, 0.003)
    ]
    assert spent == sorted(set(spent))
    assert spent[-1] < 5000


@pytest.mark.parametrize("max_products", [2, 3, 8, 9, 40, 80, 81, 90, 250])
def test_never_more_products_than_allowed(max_products):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        options = {"method": "sketch", "rtol": 1e-3, "max_products": max_products}
        c = coupling(*problem("tanh"), row="linear1.weight", **options)
        both = coupling(*problem("tanh"), row=["linear1.weight", "linear2.weight"], **options)
    assert c.n_products <= max_products
    assert both.n_products <= 2 * max_products
    assert np.isfinite(both.stderr).all()


@pytest.mark.parametrize("rtol", [0.2, 0.01, 1e-7])
def test_products_are_counted(monkeypatch, rtol):
    """Each vector in a backward pass through the graph of the gradient is one product."""
    spent, backward = [], Products._backward

    def counted(self, outputs, inputs, vectors):
        spent.append(len(vectors[0]))
        return backward(self, outputs, inputs, vectors)

    monkeypatch.setattr(Products, "_backward", counted)
    c = coupling(*problem("tanh"), method="sketch", rtol=rtol)
    assert c.n_products == sum(spent)


def test_the_warning_names_the_least_accurate_norm():
    text = (
        r"^coupling: \d of 3 norms have a standard error above rtol = 0.001 after "
        r"max_products = 10; the largest is 0\.\d+ of the norm between linear\d.weight and "
        r"linear\d.weight. Increase max_products or rtol.$"
    )
    with pytest.warns(RuntimeWarning, match=text) as caught:
        coupling(
            *problem("tanh"), row="linear1.weight", method="sketch", rtol=1e-3, max_products=10
        )
    assert [warning.filename for warning in caught] == [__file__]


def test_seeds():
    def estimate(seed):
        return coupling(
            *problem("relu"), row="linear1.weight", method="sketch", seed=seed, rtol=0.1
        )

    one, again, other = estimate(1), estimate(1), estimate(2)
    np.testing.assert_array_equal(one.raw, again.raw)
    np.testing.assert_array_equal(one.stderr, again.stderr)
    assert (one.raw != other.raw).all()


def test_a_row_is_the_same_whatever_the_memory():
    large = coupling(*problem("relu"), row="linear2.weight", method="sketch", rtol=0.05)
    small = coupling(
        *problem("relu"), row="linear2.weight", method="sketch", rtol=0.05, memory=1e-9
    )
    exact = truth("relu")
    for c in (large, small):
        for pair in c:
            assert abs(c[pair] - exact[pair]) <= 4 * 0.05 * exact[pair]


@pytest.mark.parametrize("directions", [False, True])
@pytest.mark.parametrize(
    "name", ["linear1.weight", "linear2.weight", "linear3.weight", "linear2.weight, single"]
)
def test_a_basis_of_the_whole_space_is_exact(name, directions):
    """Parameters of 72, 64 and 24 numbers enlarge the basis three times, twice and once.

    The directions of 8 units leave 64 of 72 dimensions, so that the third part has no range left.
    """
    model, loss_fn, (x, y) = problem("tanh")
    row = name.removesuffix(", single")
    options = {"row": row, "rtol": 1e-7, "method": "sketch", "directions": directions}
    rel = 1e-10
    if name != row:
        model, x, rel = mlp((9, 8, 8, 3), "tanh", seed=0), x.float(), 1e-6
        model.load_state_dict(problem("tanh")[0].state_dict())
    c = coupling(model, loss_fn, (x, y), **options)
    exact = truth("tanh", directions)
    for pair in c:
        assert c[pair] == pytest.approx(exact[pair], rel=rel)
    assert (c.stderr <= 1e-12 * c.values).all()
    assert c.n_products < 1000


def test_independent_layers():
    """A linear loss of a linear model has no curvature."""
    model = spread(mlp((4, 3), seed=0))
    c = coupling(model, lambda output, _: output.mean(), (draw(5, 4), None), method="sketch")
    assert c["linear1.weight", "linear1.weight"] == 0.0
    assert not c.stderr.any()


def test_a_basis_larger_than_the_range_is_not_counted_twice():
    """The range of the blocks has fewer dimensions than the basis has vectors."""
    model, x = spread(mlp((10, 6, 3), "tanh", seed=0)), draw(35, 10)
    x[:, 6:] = 0.0
    batch = x, labels(35, 3)
    exact = coupling(model, cross_entropy, batch)
    sketch = coupling(model, cross_entropy, batch, method="sketch", rtol=1e-4)
    assert (np.abs(sketch.raw - exact.raw) <= 4 * sketch.stderr + 1e-8 * exact.raw).all()


# --- one estimate ------------------------------------------------------------------------------


def test_an_estimate_is_the_mean_of_its_probes():
    estimate = Estimate(exact=2.0)
    responses = draw(6, 5)
    estimate.sample_more(responses[:2])
    estimate.sample_more(responses[2:])
    squares = responses.square().sum(1)
    assert estimate.norm**2 == pytest.approx(2.0 + float(squares.mean()))
    assert len(estimate.sample) == 6
    assert len(estimate.pairs) == 1 + 6
    plain = float(squares.std()) / np.sqrt(6) / (2 * estimate.norm)
    assert estimate.stderr > plain


def test_the_standard_error_of_many_probes_is_the_usual_one():
    """For a flat spectrum, the factors for small samples and for skewness tend to one."""
    estimate = Estimate()
    for seed in range(40):
        estimate.sample_more(draw(50, 200, seed=seed))
    plain = np.std(estimate.sample, ddof=1) / np.sqrt(2000) / (2 * estimate.norm)
    assert plain <= estimate.stderr < 1.2 * plain


@pytest.mark.parametrize("probes", [8, 16, 40])
@pytest.mark.parametrize("spectrum", [[1.0], [1.0, 0.9, 0.8], [1.0, *[0.1] * 30]])
def test_few_probes_of_few_dimensions_are_covered(spectrum, probes):
    """Squares are most skewed for a matrix with few singular values."""
    repeats, truth, covered = 1000, np.linalg.norm(spectrum), 0
    values = draw(repeats, probes, len(spectrum)) * torch.tensor(spectrum, dtype=torch.float64)
    for responses in values:
        estimate = Estimate()
        estimate.sample_more(responses)
        covered += abs(estimate.norm - truth) <= 2 * estimate.stderr
    assert covered / repeats >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / repeats)


def test_one_probe_has_no_standard_error():
    estimate = Estimate()
    estimate.sample_more(draw(1, 5))
    assert estimate.stderr == np.inf
    assert Estimate(exact=3.0).stderr == 0.0
