"""The measurements at an iterate of a deep network, against their definitions."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="deep networks need PyTorch")

from torch.func import functional_call, grad, jacrev, vjp  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402

from polarstep.experiments.deep import measures  # noqa: E402
from polarstep.experiments.networks.architecture import LAYERS  # noqa: E402
from polarstep.nn import mlp, train  # noqa: E402

NORMALIZATIONS = [None, "batch", "weight"]
SIZES = [5, *[3] * 6, 4]


def network(normalization, activation="tanh"):
    """A network in float64 that has taken a few steps, so that nothing is at its initial value."""
    model = mlp(SIZES, activation, normalization, shift=False, seed=0).double()
    list(train(model, cross_entropy, data(), lr=0.1, steps=3))
    return model


def data(n=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(n, SIZES[0], generator=generator, dtype=torch.float64)
    return X, torch.randint(SIZES[-1], (n,), generator=generator)


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_measuring_does_not_change_the_network(normalization):
    model, before, drawn = network(normalization), None, torch.get_rng_state()
    before = state(model)
    measures.measure(model, data(), data(8), 0.1)
    assert same(state(model), before)  # running statistics included
    assert torch.equal(torch.get_rng_state(), drawn)
    assert model.training
    (_, last) = list(train(model, cross_entropy, data(), lr=0.1, steps=1))
    assert np.isfinite(last.loss)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_a_folded_network_is_the_same_function_of_plain_weights(normalization):
    model = network(normalization)
    folded = measures.folded(model)
    X, _ = data()
    torch.testing.assert_close(folded(X), copy.deepcopy(model)(X))
    names = dict(folded.named_parameters())
    assert set(LAYERS) <= names.keys()
    assert not any("parametrizations" in name for name in names)
    for layer in LAYERS:
        torch.testing.assert_close(names[layer], model.get_submodule(layer[:-7]).weight)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_the_coupling_is_the_norm_of_the_blocks_of_the_hessian(normalization):
    model, (X, y) = measures.folded(network(normalization)), data()
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    buffers = {name: b.clone() for name, b in model.named_buffers()}

    def loss(some):
        here = {**parameters, **some, **{n: b.clone() for n, b in buffers.items()}}
        return cross_entropy(functional_call(model, here, (X,)), y)

    blocks = jacrev(jacrev(loss))({name: parameters[name] for name in LAYERS})["linear4.weight"]
    found = measures.middle_coupling(model, (X, y), directions=False)
    assert found["raw"] == pytest.approx([blocks[n].norm().item() for n in LAYERS], rel=1e-4)
    assert found["own"] == found["raw"][3]
    assert found["sizes"] == pytest.approx([parameters[n].norm().item() for n in LAYERS], rel=1e-5)


def test_covariate_shift_is_that_of_the_moments():
    before, (X, _) = network(None), data()
    after = copy.deepcopy(before)
    with torch.no_grad():
        after.linear1.weight *= 1.5
        after.linear2.bias += 0.1
    found = measures.covariate_shift(before, after, X)
    with torch.no_grad():
        old, new = (torch.tanh(m.linear1(X)).numpy() for m in (before, after))
    moved = np.sum((new.mean(0) - old.mean(0)) ** 2 + (new.std(0) - old.std(0)) ** 2)
    assert found[0] == pytest.approx(np.sqrt(moved / old.var(0).sum()), rel=1e-5)
    assert len(found) == 6
    assert measures.covariate_shift(before, before, X) == [0.0] * 6
    with torch.no_grad():
        after.linear1.weight.copy_(before.linear1.weight)
    changed = measures.covariate_shift(before, after, X)
    assert changed[0] == 0.0  # no layer below layer 2 has changed
    assert min(changed[1:]) > 0


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_only_the_layers_below_cause_gradient_shift(normalization):
    before = measures.folded(network(normalization))
    after = copy.deepcopy(before)
    with torch.no_grad():
        for k in (4, 5, 7):
            after.get_submodule(f"linear{k}").weight += 0.3
    found = measures.gradient_shift(before, after, data())
    assert found == {"gradient_shift": 0.0, "gradient_cosine": 1.0}
    with torch.no_grad():
        after.linear2.weight += 0.3
    found = measures.gradient_shift(before, after, data())
    mixed = copy.deepcopy(before)
    with torch.no_grad():
        mixed.linear2.weight += 0.3
    old, new = (measures.differentiate(m, data())[1]["linear4.weight"] for m in (before, mixed))
    assert found["gradient_shift"] == pytest.approx(
        float((new - old).norm() / old.norm()), rel=1e-4
    )
    cosine = float((new * old).sum() / new.norm() / old.norm())
    assert found["gradient_cosine"] == pytest.approx(cosine, rel=1e-4)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_roughness_is_curvature_for_short_steps(normalization):
    """|f(w - d g) - (f - d |g|^2)| ~ d^2 |g^T H g| / 2, and the gradient changes by d H g."""
    model, rate = network(normalization), 1e-4
    value, gradient = measures.differentiate(model, data())
    found = measures.roughness(model, data(), value, gradient, rate)

    buffers = {name: b.clone() for name, b in model.named_buffers()}

    def loss(parameters):
        here = {**parameters, **{n: b.clone() for n, b in buffers.items()}}
        return cross_entropy(functional_call(model, here, (data()[0],)), data()[1])

    parameters = {name: p.detach() for name, p in model.named_parameters()}
    _, times_hessian = vjp(grad(loss), parameters)  # which is symmetric
    (Hg,) = times_hessian(gradient)
    size = sum(float((g**2).sum()) for g in gradient.values())
    bent = sum(float((gradient[n] * Hg[n]).sum()) for n in gradient)
    turned = sum(float((v**2).sum()) for v in Hg.values()) ** 0.5
    for k, factor in enumerate((0.5, 1.0, 2.0)):
        distance = factor * rate
        assert found["loss_roughness"][k] == pytest.approx(
            distance * abs(bent) / 2 / size, rel=0.05
        )
        assert found["gradient_roughness"][k] == pytest.approx(
            distance * turned / size**0.5, rel=0.05
        )


def test_measures_that_overflow_are_recorded_as_they_are():
    found = measures.measure(network(None, "relu"), data(), data(8), 1e300)
    assert not np.isfinite(found["gradient_roughness"]).all()
