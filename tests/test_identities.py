"""The formulas of the method, each as a property of random problems."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy.special import ndtr

import polarstep as ps
from polarstep.losses import margin_loss
from polarstep.methods.parameterization import batch_norm, plain, weight_norm
from polarstep.methods.roots import bracket, brent
from problems import (
    ARCTAN,
    BOUNDED,
    LOSS_NAMES,
    derivative,
    numeric_gradient,
    population,
    populations,
    relative,
    root,
    skewed,
)

LENGTHS = st.floats(0.1, 8.0) | st.floats(-8.0, -0.1)
LOSSES = st.sampled_from([*LOSS_NAMES, ARCTAN])


# ------------------------------------------------------------------ notation: u, S, r, chain rule


@given(st.integers(0, 1000), st.integers(1, 6), st.floats(-5, 5))
def test_z_has_mean_u_and_second_moment_s(seed, d, offset):
    X, y = skewed(seed, 40, d, offset)
    z = -y[:, None] * (X - X.mean(0))
    moments = ps.Moments.from_data(X, y)
    np.testing.assert_allclose(moments.u, z.mean(0), atol=1e-12)
    np.testing.assert_allclose(moments.S, z.T @ z / len(y), atol=1e-12 * moments.L)


@given(populations())
def test_overlap_of_a_unit_vector_is_at_most_one(p):
    w = p.vector()
    r = p.u @ w / p.moments.norm(w)
    assert abs(r) <= 1
    assert r**2 == pytest.approx(-p.moments.rho(w))


@given(populations(), LENGTHS)
def test_chain_rule_is_the_one_written(p, g):
    w, gradient = p.vector(), p.rng.standard_normal(p.d)
    for chart, A in ((batch_norm, p.S), (weight_norm, np.eye(p.d))):
        norm = np.sqrt(w @ A @ w)
        direction = (g / norm) * (gradient - A @ w * (w @ gradient) / norm**2)
        pulled, slope = chart.pull_back(p.moments, w, g, gradient)
        np.testing.assert_allclose(chart.weight(p.moments, w, g), g * w / norm, rtol=1e-12)
        np.testing.assert_allclose(pulled, direction, atol=1e-10 * np.abs(gradient).max())
        assert slope == pytest.approx(w @ gradient / norm, rel=1e-10)
        assert pulled @ w == pytest.approx(0, abs=1e-9 * abs(g) * np.linalg.norm(gradient))
    assert plain.pull_back(p.moments, w, g, gradient) == (pytest.approx(gradient), 0.0)


@given(populations(max_kappa=100), st.floats(0.3, 3.0), st.sampled_from([batch_norm, weight_norm]))
def test_chain_rule_is_the_derivative(p, g, chart):
    moments, w = p.moments, p.vector()
    objective = ps.LeastSquares.from_moments(moments)
    at = objective.gradient(chart.weight(moments, w, g))
    pulled, slope = chart.pull_back(moments, w, g, at)
    numeric = numeric_gradient(lambda v: objective.value(chart.weight(moments, v, g)), w, 1e-4)
    scale = np.abs(numeric).max() + objective.value(chart.weight(moments, w, g))
    np.testing.assert_allclose(pulled, numeric, atol=1e-6 * scale)
    along = derivative(lambda h: objective.value(chart.weight(moments, w, h)), g)
    assert slope == pytest.approx(along, abs=1e-7 * scale)


@given(st.integers(0, 1000), st.floats(0.2, 4.0), st.floats(-20, 20))
def test_batch_normalization_is_the_s_norm_form_on_centred_data(seed, g, offset):
    X, y = skewed(seed, 50, 3, offset)
    w = np.random.default_rng(seed).standard_normal(3)
    activation = X @ w
    normalized = g * (activation - activation.mean()) / np.sqrt(np.var(activation))  # biased
    moments = ps.Moments.from_data(X, y)
    wt = batch_norm.weight(moments, w, g)
    np.testing.assert_allclose((X - X.mean(0)) @ wt, normalized, atol=1e-9 * (1 + abs(offset)))
    f = np.logaddexp(0, -y * normalized).mean()
    assert ps.Halfspace(X, y).value(wt) == pytest.approx(f, abs=1e-10)


# ------------------------------------------------------------------ section 1: least squares


@given(st.integers(0, 1000), st.integers(1, 5))
def test_least_squares_in_moments(seed, d):
    X, y = skewed(seed, 30, d, offset=0.0)
    y = 2.0 * y + 0.5
    wt = np.random.default_rng(seed).standard_normal(d)
    residual = y - (X - X.mean(0)) @ wt
    objective = ps.LeastSquares(X, y)
    assert objective.value(wt) == pytest.approx(np.mean(residual**2), rel=1e-9)
    gradient = -2 * (X - X.mean(0)).T @ residual / len(y)
    np.testing.assert_allclose(
        objective.gradient(wt), gradient, atol=1e-10 * np.abs(gradient).max()
    )
    assert objective.coefficients(wt) == (2.0, 2.0)


@given(populations())
def test_best_length_leaves_the_rayleigh_quotient(p):
    moments, w = p.moments, p.vector()
    objective = ps.LeastSquares.from_moments(moments)
    r = p.u @ w / moments.norm(w)
    ray = objective.along(w)
    assert ray.stationary == pytest.approx(-r, rel=1e-10)
    assert ray.slope(-r) == pytest.approx(0, abs=1e-12)
    assert ray.value(-r) - moments.y_squared == pytest.approx(moments.rho(w), abs=1e-9)
    assert moments.rho(w) == pytest.approx(-(r**2))


@given(populations())
def test_rayleigh_minimum_is_on_the_line(p):
    moments = p.moments
    best = np.linalg.solve(p.S, p.u)
    assert moments.rho_star == pytest.approx(-p.u @ best, rel=1e-8)
    assert moments.rho(best) == pytest.approx(moments.rho_star, rel=1e-8)
    assert moments.direction_gap(best) <= 1e-20
    w = p.vector()
    assert moments.direction_gap(w) >= 0
    gap = moments.rho(w) - moments.rho_star
    assert moments.direction_gap(w) == pytest.approx(gap, abs=1e-9)
    for factor in (-3.0, 1e-5, 1e5):  # neither scale nor sign matters
        assert moments.direction_gap(factor * w) == pytest.approx(moments.direction_gap(w))


@given(populations())
def test_gradient_of_the_rayleigh_quotient(p):
    moments, w = p.moments, p.vector()
    w = w / moments.norm(w)
    rho, squared = moments.rho(w), moments.norm(w) ** 2
    gradient = -(2 / squared) * (p.u * (p.u @ w) + rho * (p.S @ w))
    numeric = numeric_gradient(moments.rho, w, 1e-4)
    np.testing.assert_allclose(gradient, numeric, atol=1e-5 * np.abs(numeric).max() + 1e-9)
    dual = squared * moments.dual_norm(gradient) ** 2 / (4 * abs(rho))
    assert dual == pytest.approx(moments.direction_gap(w), rel=1e-6, abs=1e-13)


# ------------------------------------------------------------------ section 2: halfspaces


@given(populations(), LOSSES, LENGTHS, st.sampled_from([0.0, 0.1]))
def test_population_gradient_is_c1_u_plus_c2_s_wt(p, loss, g, lam):
    """The gradient follows Stein's lemma, and its norm has the Pythagorean form."""
    objective = ps.GaussianHalfspace(p.u, p.S, loss, lam)
    moments = objective.moments
    v = p.vector() / moments.norm(p.vector())
    v = v / moments.norm(v)
    wt = g * v
    c1, c2 = objective.coefficients(wt)
    gradient = objective.gradient(wt)
    np.testing.assert_allclose(gradient, c1 * p.u + c2 * p.S @ wt, atol=1e-12 * (1 + moments.L))

    m, s = p.u @ wt, np.sqrt(wt @ p.S @ wt - (p.u @ wt) ** 2)
    x = np.arange(-9, 9, 0.05 / max(1.0, s))
    weight = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
    loss = margin_loss(loss)
    first, second = weight @ loss.dphi(m + s * x), weight @ loss.d2phi(m + s * x)
    assert c1 == pytest.approx(first - second * m, abs=1e-9)
    assert c2 == pytest.approx(second + lam, abs=1e-9)

    slope = objective.along(v).slope(g)
    assert slope == pytest.approx(v @ gradient, abs=1e-10)
    square = c1**2 * moments.direction_gap(v) + slope**2
    assert moments.dual_norm(gradient) ** 2 == pytest.approx(square, rel=1e-8, abs=1e-13)
    tangent = (g * c1 / moments.norm(v)) * (p.u - p.S @ v * (p.u @ v) / moments.norm(v) ** 2)
    pulled, _ = batch_norm.pull_back(moments, v, g, gradient)
    np.testing.assert_allclose(pulled, tangent, atol=1e-9 * (1 + np.abs(gradient).max()))


@given(populations(), LENGTHS)
def test_squared_loss_is_least_squares(p, g):
    wt = g * p.vector() / p.moments.norm(p.vector())
    halfspace = ps.GaussianHalfspace(p.u, p.S, "squared")
    least_squares = ps.LeastSquares.from_moments(p.moments)
    assert halfspace.value(wt) == pytest.approx(least_squares.value(wt), rel=1e-9)
    assert halfspace.coefficients(wt) == (pytest.approx(2.0), pytest.approx(2.0))


@given(st.integers(0, 1000))
def test_squared_loss_is_least_squares_on_data(seed):
    X, y = skewed(seed, 40, 3)
    wt = np.random.default_rng(seed).standard_normal(3)
    halfspace, least_squares = ps.Halfspace(X, y, "squared"), ps.LeastSquares(X, y)
    assert halfspace.value(wt) == pytest.approx(least_squares.value(wt), rel=1e-9)
    assert relative(halfspace.gradient(wt), least_squares.gradient(wt)) < 1e-9


@given(populations(), st.sampled_from([*LOSS_NAMES, ARCTAN]), st.floats(0.01, 2.0))
def test_length_penalty_changes_only_c2_and_the_slope(p, loss, lam):
    wt = p.vector() / p.moments.norm(p.vector())
    g = p.moments.norm(wt)
    without = ps.GaussianHalfspace(p.u, p.S, loss)
    penalised = ps.GaussianHalfspace(p.u, p.S, loss, lam)
    c1, c2 = without.coefficients(wt)
    assert penalised.coefficients(wt) == (pytest.approx(c1), pytest.approx(c2 + lam))
    slope = without.along(wt).slope(g)
    assert penalised.along(wt).slope(g) == pytest.approx(slope + lam * g, abs=1e-12)
    extra = penalised.value(wt) - without.value(wt)
    assert extra == pytest.approx(0.5 * lam * wt @ p.S @ wt, rel=1e-9)
    charts = [
        batch_norm.pull_back(p.moments, wt, g, objective.gradient(wt))[0]
        for objective in (without, penalised)
    ]
    np.testing.assert_allclose(*charts, atol=1e-10 * (1 + lam) * (1 + p.moments.L))


@given(populations(separation=(0.01, 0.9)))
def test_softplus_length_in_the_gaussian_population(p):
    w = p.vector()
    ray = ps.GaussianHalfspace(p.u, p.S, "softplus").along(w)
    r = ray.overlap
    root_found = brent(ray, *bracket(ray, -np.sign(ray.slope(0.0))))
    assert root_found == pytest.approx(-2 * r / (1 - r**2), rel=1e-8)


@pytest.mark.parametrize("loss", BOUNDED)
@pytest.mark.parametrize("separation", [1e-12, 0.01, 0.5, 0.9])
def test_slope_of_bounded_losses_keeps_its_sign(loss, separation):
    """The slope falls like 1/g^3, far below the rounding error of the terms of Stein's formula."""
    p = population(separation=separation)
    ray = ps.GaussianHalfspace(p.u, p.S, loss).along(-p.moments.solve(p.u))
    lengths = 4.0 ** np.arange(8)
    slopes = np.array([ray.slope(g) for g in lengths])
    assert (slopes < 0).all()
    assert slopes[-1] * lengths[-1] ** 3 == pytest.approx(slopes[-2] * lengths[-2] ** 3, rel=1e-2)


@given(populations(separation=(0.05, 0.9)), st.sampled_from(BOUNDED))
def test_bounded_losses_fall_towards_the_error_of_the_best_halfspace(p, loss):
    moments = p.moments
    ray = ps.GaussianHalfspace(p.u, p.S, loss).along(-moments.solve(p.u))
    lowest = ndtr(-np.sqrt(-moments.rho_star / (1 + moments.rho_star)))
    values = np.array([ray.value(g) for g in (1.0, 3.0, 10.0, 30.0, 300.0)])
    assert (np.diff(values) < 0).all()
    assert values[-1] == pytest.approx(lowest, abs=2e-4)
    assert ray.value(5000.0) == pytest.approx(lowest, abs=1e-6)
    assert ray.value(5000.0) > lowest - 1e-12
    assert all(ray.slope(g) < 0 for g in (0.0, 1.0, 100.0, 5000.0))


@given(populations(max_kappa=100), st.sampled_from([*LOSS_NAMES, ARCTAN]), LENGTHS)
def test_gdnp_steps_in_the_direction_of_the_theorem(p, loss, g):
    """w - s grad_w f with s = -||w||_S^3/(L g h), h = c1 u^T w, is the direction step."""
    objective = ps.GaussianHalfspace(p.u, p.S, loss, length_penalty=0.1)
    moments, w = objective.moments, p.vector()
    norm = moments.norm(w)
    wt = batch_norm.weight(moments, w, g)
    h = objective.coefficients(wt)[0] * (p.u @ w)
    direction, _ = batch_norm.pull_back(moments, w, g, objective.gradient(wt))
    algorithm = w + norm**3 / (moments.L * g * h) * direction
    theorem = w - (p.S @ w - p.u * norm**2 / (p.u @ w)) / moments.L
    scale = np.abs(theorem).max()
    np.testing.assert_allclose(algorithm, theorem, atol=1e-6 * scale)
    step = ps.minimize(objective, "gdnp", w, max_iter=1, tol=0.0, length=g)
    assert step.n_iter == 1
    taken = step.direction * np.sign(p.u @ step.direction)
    wanted = theorem * np.sign(p.u @ theorem) / moments.norm(theorem)
    np.testing.assert_allclose(taken, wanted, atol=1e-6 * np.abs(wanted).max())
    assert np.sign(p.u @ theorem) == np.sign(p.u @ w)


# ------------------------------------------------------------------ section 3: tanh units


def _expected_gradient(p, weights, loss, i):
    """E psi_i(z) z on a grid in whitened coordinates, for units with the rows of `weights`."""
    axis = np.arange(-5.5, 5.6, 0.55)
    grids = np.meshgrid(*[axis] * p.d, indexing="ij")
    x = np.stack([grid.ravel() for grid in grids])
    density = np.exp(-0.5 * (x**2).sum(0))
    z = p.u[:, None] + root(p.S - np.outer(p.u, p.u)) @ x
    F = np.tanh(weights @ z).sum(0)
    psi = loss.dphi(F) / np.cosh(weights[i] @ z) ** 2
    return (z * (psi * density)).sum(1) / density.sum()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("loss", ["softplus", "sigmoid"])
def test_gradient_of_a_tanh_unit_lies_in_its_span(seed, loss):
    p = population(seed, d=4, kappa=3.0, separation=0.4)
    line = np.linalg.solve(p.S, p.u)
    off, wt = 0.5 * p.rng.standard_normal((2, 4))
    cases = {
        "any other unit": (off, np.stack([p.u, p.S @ wt, p.S @ off], axis=1)),
        "on the line": (-0.7 * line, np.stack([p.u, p.S @ wt], axis=1)),
    }
    for name, (other, span) in cases.items():
        gradient = _expected_gradient(p, np.stack([other, wt]), margin_loss(loss), 1)
        inside = span @ np.linalg.lstsq(span, gradient, rcond=None)[0]
        assert np.linalg.norm(gradient - inside) < 1e-4 * np.linalg.norm(gradient), name
        if name == "any other unit":  # two directions are not enough there
            two = span[:, :2] @ np.linalg.lstsq(span[:, :2], gradient, rcond=None)[0]
            assert np.linalg.norm(gradient - two) > 1e-3 * np.linalg.norm(gradient)
            continue
        network = ps.TanhNetwork.gaussian(p.u, p.S, 2, loss=loss)
        unit = network.unit(1, np.stack([other, wt]))
        alpha, beta = unit.coefficients(wt)
        np.testing.assert_allclose(unit.gradient(wt), alpha * p.u + beta * p.S @ wt, atol=1e-12)
        assert relative(unit.gradient(wt), gradient) < 1e-4
