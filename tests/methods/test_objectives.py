"""Objectives against finite differences, big samples and independent quadrature."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.sparse import csr_array
from scipy.special import log_ndtr, ndtr

import polarstep as ps
from polarstep.losses import margin_loss
from polarstep.methods.parameterization import batch_norm, plain, weight_norm
from polarstep.quadrature import expectation, expectation_2d
from problems import (
    ARCTAN,
    LOSS_NAMES,
    derivative,
    numeric_gradient,
    population,
    populations,
    skewed,
    two_class,
)


def objectives():
    """Every kind of objective, every loss, with and without a penalty, as pytest parameters."""
    X, y = skewed(3, 60, 3)
    p = population(4, 3, kappa=4.0, separation=0.4)
    line = np.linalg.solve(p.S, p.u)
    cases = {}
    for lam in (0.0, 0.3):
        cases[f"least squares-{lam}"] = ps.LeastSquares(X, 2 * y + 0.3, lam)
        for loss in [*LOSS_NAMES, ARCTAN]:
            cases[f"data-{loss}-{lam}"] = ps.Halfspace(X, y, loss, lam)
            cases[f"population-{loss}-{lam}"] = ps.GaussianHalfspace(p.u, p.S, loss, lam)
        for loss in ("softplus", "sigmoid", "squared", ARCTAN):
            network = ps.TanhNetwork(
                X, y, 3, loss=loss, output_weights=[1, -2, 0.5], length_penalty=lam
            )
            weights = 0.4 * p.rng.standard_normal((3, 3))
            cases[f"unit on data-{loss}-{lam}"] = network.unit(1, weights)
        for loss in ("softplus", "normal_cdf", "squared"):
            network = ps.TanhNetwork.gaussian(
                p.u, p.S, 3, loss=loss, output_weights=[1, 2, -0.5], length_penalty=lam
            )
            weights = np.outer([-0.5, 0.0, 1.2], line)
            cases[f"unit in population-{loss}-{lam}"] = network.unit(1, weights)
    return [pytest.param(objective, id=name) for name, objective in cases.items()]


OBJECTIVES = objectives()
WT = np.array([0.7, -0.4, 0.2])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gradient_is_the_derivative_of_the_value(objective):
    for wt in (WT, -2.0 * WT, np.zeros(3)):
        gradient = objective.gradient(wt)
        numeric = numeric_gradient(objective.value, wt, 1e-3)
        np.testing.assert_allclose(gradient, numeric, atol=2e-8 * max(1, objective.value(wt)))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_slope_and_curvature_along_rays(objective):
    ray = objective.along(WT)
    assert ray.squared == pytest.approx(1.0)
    assert ray.overlap == pytest.approx(objective.moments.u @ ray.v)
    for g in (-2.0, -0.3, 0.0, 0.9, 3.0):
        assert ray.value(g) == pytest.approx(objective.value(g * ray.v), rel=1e-12)
        slope, curvature = ray.slope(g), ray.curvature(g)
        assert slope == pytest.approx(derivative(ray.value, g, 1e-3), abs=1e-8)
        assert curvature == pytest.approx(derivative(ray.slope, g, 1e-3), abs=1e-7)
        assert slope == pytest.approx(ray.v @ ray.gradient(g), abs=1e-11)
        assert ray.coefficients(g) == pytest.approx(objective.coefficients(g * ray.v))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_chain_rule_for_every_objective(objective):
    moments, g = objective.moments, 1.3
    for chart in (plain, weight_norm, batch_norm):
        gradient = objective.gradient(chart.weight(moments, WT, g))
        pulled, slope = chart.pull_back(moments, WT, g, gradient)
        if chart is plain:
            assert (chart.unit(moments, WT) == WT).all()
            assert slope == 0
            continue
        numeric = numeric_gradient(
            lambda w, chart=chart: objective.value(chart.weight(moments, w, g)), WT, 1e-3
        )
        np.testing.assert_allclose(pulled, numeric, atol=5e-8)
        along = derivative(
            lambda h, chart=chart: objective.value(chart.weight(moments, WT, h)), g, 1e-3
        )
        assert slope == pytest.approx(along, abs=1e-8)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_curvature_bound_holds_along_rays(objective):
    ray = objective.along(WT)
    lengths = np.linspace(-6, 6, 25)
    assert max(abs(ray.curvature(g)) for g in lengths) <= objective.curvature * (1 + 1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_along_needs_a_direction(objective):
    with pytest.raises(ValueError, match=r"along: `w` must have a direction"):
        objective.along(np.zeros(3))


# ------------------------------------------------------------------ populations


@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_a_big_sample_approaches_the_population(loss):
    p = population(5, 3, kappa=5.0, separation=0.5)
    X, y = p.sample(400_000)
    sample = ps.Halfspace(X, y, loss, 0.1)
    whole = ps.GaussianHalfspace(p.u, p.S, loss, 0.1)
    wt = -1.2 * p.vector() / p.moments.norm(p.vector())
    assert sample.value(wt) == pytest.approx(whole.value(wt), rel=0.01)
    np.testing.assert_allclose(sample.gradient(wt), whole.gradient(wt), atol=0.02)
    np.testing.assert_allclose(sample.coefficients(wt), whole.coefficients(wt), atol=0.02)


def test_a_big_sample_approaches_the_population_of_a_network():
    p = population(6, 3, kappa=5.0, separation=0.5)
    X, y = p.sample(400_000)
    line = np.linalg.solve(p.S, p.u)
    weights = np.outer([-0.6, 0.0], line)
    wt = 0.5 * p.vector()
    for loss in ("softplus", "squared"):
        sample = ps.TanhNetwork(X, y, 2, loss=loss).unit(1, weights)
        whole = ps.TanhNetwork.gaussian(p.u, p.S, 2, loss=loss).unit(1, weights)
        assert sample.value(wt) == pytest.approx(whole.value(wt), rel=0.01)
        np.testing.assert_allclose(sample.gradient(wt), whole.gradient(wt), atol=0.01)
        np.testing.assert_allclose(sample.coefficients(wt), whole.coefficients(wt), atol=0.02)


def integral(f, mean, sd):
    """E f(a) for a ~ N(mean, sd^2) by adaptive quadrature, split where f bends."""
    breaks = sorted({-9.0, 9.0, *np.clip(((np.array([-40, -8, 0, 8, 40]) - mean) / sd), -9, 9)})
    density = lambda x: f(np.float64(mean + sd * x)) * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)  # noqa: E731
    return sum(
        quad(density, a, b, epsabs=1e-13, epsrel=1e-13, limit=400)[0] for a, b in pairwise(breaks)
    )


@pytest.mark.parametrize("sd", [0.01, 0.5, 3.0, 50.0, 1000.0])
@pytest.mark.parametrize("mean", [0.0, -0.7, 30.0])
@pytest.mark.parametrize("loss", [*LOSS_NAMES, ARCTAN], ids=str)
def test_expectations_against_adaptive_quadrature(loss, mean, sd):
    error = 2e-11 if loss is ARCTAN else 2e-12  # its poles are nearer
    loss = margin_loss(loss)
    for f in (loss.phi, loss.dphi, loss.d2phi):
        exact = integral(f, mean, sd)
        assert expectation(f, mean, sd) == pytest.approx(exact, rel=error, abs=error)


@given(st.floats(-50, 50), st.floats(0, 1000))
def test_the_normal_cdf_has_a_closed_form(mean, sd):
    loss = margin_loss("normal_cdf")
    total = np.hypot(1.0, sd)
    density = np.exp(-0.5 * (mean / total) ** 2) / np.sqrt(2 * np.pi) / total
    assert expectation(loss.phi, mean, sd) == pytest.approx(ndtr(mean / total), abs=1e-13)
    assert expectation(loss.dphi, mean, sd) == pytest.approx(density, abs=1e-13)
    assert expectation(loss.d2phi, mean, sd) == pytest.approx(-mean / total**2 * density, abs=1e-12)


def test_expectations_of_several_integrands_and_in_two_dimensions():
    both = expectation(lambda a: np.stack([a, a * a]), 2.0, 3.0)
    assert both == pytest.approx([2.0, 13.0])
    assert expectation(np.cos, 1.0, 2.0) == pytest.approx(np.cos(1.0) * np.exp(-2.0), abs=1e-14)
    plane = expectation_2d(lambda a, b: np.cos(3 * a + b), (3.0, 1.0))
    assert plane == pytest.approx(np.exp(-5.0), abs=1e-14)
    spread = expectation_2d(lambda a, b: ndtr(100 * a + 70 * b + 10), (100.0, 70.0))
    assert spread == pytest.approx(ndtr(10 / np.sqrt(1 + 100**2 + 70**2)), abs=1e-13)


@pytest.mark.parametrize("sd", [1e30, np.inf, np.nan])
def test_expectations_beyond_reach_are_nan(sd):
    assert np.isnan(expectation(np.tanh, 0.0, sd))


@given(populations(max_d=3), st.sampled_from(LOSS_NAMES))
def test_value_in_a_population_is_an_expectation(p, loss):
    wt = 2.0 * p.vector() / p.moments.norm(p.vector())
    mean, variance = p.u @ wt, wt @ p.S @ wt - (p.u @ wt) ** 2
    exact = integral(margin_loss(loss).phi, mean, np.sqrt(variance))
    objective = ps.GaussianHalfspace(p.u, p.S, loss)
    assert objective.value(wt) == pytest.approx(exact, rel=1e-10, abs=1e-11)


def test_a_population_that_separates_has_no_spread():
    """u^T S^-1 u = 1: on the line S^-1 u every margin is the same."""
    objective = ps.GaussianHalfspace([0.6, 0.8], np.eye(2), "softplus")
    assert objective.value([-1.2, -1.6]) == pytest.approx(np.logaddexp(0, -2.0), rel=1e-9)
    assert objective.gradient([-1.2, -1.6]) == pytest.approx(
        np.array([0.6, 0.8]) / (1 + np.exp(2.0)), rel=1e-9
    )


# ------------------------------------------------------------------ data


@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_halfspace_is_the_mean_over_the_sample(loss):
    X, y = skewed(8, 50, 3, offset=2.0)
    wt = np.array([0.5, -1.0, 0.25])
    margins = -y * ((X - X.mean(0)) @ wt)
    f = {
        "softplus": lambda a: np.logaddexp(0, a),
        "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
        "normal_cdf": lambda a: np.exp(log_ndtr(a)),
        "squared": lambda a: (1 + a) ** 2,
        "smooth_hinge": lambda a: (
            (1 + a) * ndtr(2 + 2 * a) + 0.5 * np.exp(-((2 + 2 * a) ** 2) / 2) / np.sqrt(2 * np.pi)
        ),
    }[loss]
    S = np.cov(X.T, bias=True)
    for data in (X, csr_array(X), np.asfortranarray(X)):
        objective = ps.Halfspace(data, y, loss, 0.2)
        expected = f(margins).mean() + 0.1 * wt @ S @ wt
        assert objective.value(wt) == pytest.approx(expected, rel=1e-11)


def test_a_design_is_shared_between_objectives():
    X, y = two_class(n=60)
    design = ps.Design(X)
    first, second = ps.Halfspace(design, y), ps.Halfspace(design, y, "sigmoid")
    assert first.design is second.design is design
    assert first.moments.n_passes == second.moments.n_passes == 3
    assert first.value(np.ones(4)) == ps.Halfspace(X, y).value(np.ones(4))


@pytest.mark.parametrize("labels", [(0, 1), (False, True), (1, 2), (-1.0, 1.0), (-7, 3)])
def test_the_smaller_label_is_minus_one(labels):
    X, y = two_class(n=60)
    named = np.where(y > 0, labels[1], labels[0])
    objective = ps.Halfspace(X, named)
    assert set(objective.labels) == {-1.0, 1.0}
    assert (objective.labels == y).all()
    assert objective.value(np.ones(4)) == ps.Halfspace(X, y).value(np.ones(4))
    assert ps.Halfspace(X, named.reshape(-1, 1)).value(np.ones(4)) == objective.value(np.ones(4))


def test_least_squares_is_shifted_by_an_offset_of_y():
    X, y = skewed(9, 40, 3)
    wt = np.array([0.1, 0.2, -0.3])
    a, b = ps.LeastSquares(X, y), ps.LeastSquares(X, y + 5.0)
    assert a.gradient(wt) == pytest.approx(b.gradient(wt), abs=1e-12)
    shift = np.mean((y + 5.0) ** 2) - np.mean(y**2)
    assert b.value(wt) - a.value(wt) == pytest.approx(shift)
