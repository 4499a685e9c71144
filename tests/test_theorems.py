"""The three theorems, checked at every iterate of real runs."""

from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import polarstep as ps
from polarstep.methods.roots import bisect, bracket
from polarstep.methods.theory import contraction, gradient_bound, rate_bound
from problems import ARCTAN, BOUNDED, LOSS_NAMES, population, populations, skewed

ROUNDING = 1e-22  # where gaps end, once the direction is exact to rounding


def assert_below(values, bound, slack=1e-9):
    excess = values - bound * (1 + slack)
    assert (excess <= ROUNDING).all(), f"above the bound first at t = {np.argmax(excess > 0)}"


# ------------------------------------------------------------------ Theorem 1


@given(populations(max_kappa=1e4), st.booleans())
def test_theorem_1_at_every_iterate(p, from_u):
    objective = ps.LeastSquares.from_moments(p.moments)
    run = ps.minimize(objective, "gdnp", None if from_u else p.vector(), max_iter=300, tol=0.0)
    gap = run.trace.direction_gap
    assert_below(gap, rate_bound(objective.moments, gap[0], run.n_iter))
    assert (np.diff(gap) <= 1e-9 * gap[:-1] + ROUNDING).all()


@given(populations(max_kappa=1e3), st.sampled_from([0.3, 1.0, 1.5, 1.9, None]))
def test_theorem_1_for_other_constant_steps(p, factor):
    objective = ps.LeastSquares.from_moments(p.moments)
    mu, L = p.moments.mu, p.moments.L
    step = 2 / (L + mu) if factor is None else factor / L
    run = ps.minimize(objective, "gdnp", p.vector(), max_iter=100, tol=0.0, step_size=step)
    gap = run.trace.direction_gap
    assert_below(gap, rate_bound(p.moments, gap[0], run.n_iter, step_size=step))
    if factor is None:
        assert contraction(p.moments, step) == pytest.approx((L - mu) / (L + mu))


@given(st.integers(0, 1000), st.integers(1, 6), st.floats(-100, 100))
def test_theorem_1_on_data_of_any_distribution(seed, d, offset):
    X, y = skewed(seed, 60, d, offset)
    rng = np.random.default_rng(seed)
    objective = ps.LeastSquares(X, 3.0 * y + rng.exponential(size=60))
    run = ps.minimize(objective, "gdnp", rng.standard_normal(d), max_iter=200, tol=0.0)
    gap = run.trace.direction_gap
    assert_below(gap, rate_bound(objective.moments, gap[0], run.n_iter))


@pytest.mark.parametrize("overlap", [1e-3, -1e-8, 1e-15, 1e-300, -5e-324])
def test_theorem_1_holds_from_the_smallest_overlap(overlap):
    """Any nonzero overlap suffices, and the sign of u^T w never changes."""
    u, S = np.array([1.0, 0.0, 0.0]), np.diag([4.0, 1.0, 2.0])
    objective = ps.LeastSquares.from_moments(ps.Moments(u, S))
    seen = []
    start = [overlap, 1.0, 1.0]
    run = ps.minimize(objective, "gdnp", start, tol=1e-10, callback=lambda row: seen.append(row.x))
    assert run.success
    gap = run.trace.direction_gap
    assert_below(gap, rate_bound(objective.moments, gap[0], run.n_iter))
    assert all(u @ x < 0 for x in seen[1:])  # g* = -r: wt itself always points towards -u


def test_theorem_1_on_real_data(a9a):
    X, y = a9a
    objective = ps.LeastSquares(X, y)
    assert objective.moments.rank == 107
    run = ps.minimize(objective, "gdnp", max_iter=400, tol=0.0)
    gap = run.trace.direction_gap
    assert_below(gap, rate_bound(objective.moments, gap[0], run.n_iter), slack=1e-7)
    mu, L = objective.moments.mu, objective.moments.L
    fast = ps.minimize(objective, "gdnp", max_iter=400, tol=0.0, step_size=2 / (L + mu))
    bound = rate_bound(objective.moments, gap[0], fast.n_iter, step_size=2 / (L + mu))
    assert_below(fast.trace.direction_gap, bound, slack=1e-7)


# ------------------------------------------------------------------ Theorem 2


def rayleigh_iteration(p, w, n_iter):
    """w - (1/L) (S w - u ||w||_S^2/(u^T w)), written out."""
    L = np.linalg.eigvalsh(p.S)[-1]
    path = [w]
    for _ in range(n_iter):
        w = w - (p.S @ w - p.u * (w @ p.S @ w) / (p.u @ w)) / L
        w = w / np.linalg.norm(w)
        path.append(w)
    return np.array(path)


def directions(objective, w, n_iter, **options):
    """Return the directions of gdnp, each with u^T w > 0 and 2-norm 1."""
    seen = []

    def look(row):
        seen.append(row.x * np.sign(objective.moments.u @ row.x) / np.linalg.norm(row.x))

    ps.minimize(objective, "gdnp", w, max_iter=n_iter, tol=0.0, callback=look, **options)
    return np.array(seen)


@pytest.mark.parametrize("loss", [*LOSS_NAMES, ARCTAN], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_gdnp_is_the_rayleigh_iteration_whatever_the_loss(loss, seed):
    p = population(seed, d=5, kappa=50.0, separation=0.4)
    w = p.vector()
    expected = rayleigh_iteration(p, w / np.linalg.norm(w), 40)
    expected *= np.sign(expected @ p.u)[:, None]
    limits = [{"length_penalty": 0.05}]
    limits.append({} if loss == "softplus" else {"max_length": 3.0})
    for limit in limits:
        objective = ps.GaussianHalfspace(p.u, p.S, loss, **limit)
        taken = directions(objective, w, 40)
        np.testing.assert_allclose(taken, expected, atol=1e-10)
    # The length's accuracy does not matter to the direction either.
    taken = directions(objective, w, 40, bisection_steps=3)
    np.testing.assert_allclose(taken, expected, atol=1e-10)


@given(
    populations(max_kappa=300, separation=(0.02, 0.9)),
    st.sampled_from(["softplus", *BOUNDED, "smooth_hinge"]),
    st.integers(1, 25),
    st.sampled_from([0.0, 0.02, 0.5]),
)
def test_theorem_2_at_every_iterate(p, loss, halvings, lam):
    if loss in BOUNDED:
        lam = max(lam, 0.02)  # without one there is no root to bracket
    objective = ps.GaussianHalfspace(p.u, p.S, loss, lam)
    seen = []
    options = {"max_iter": 40, "tol": 0.0, "bisection_steps": halvings}
    run = ps.minimize(objective, "gdnp", p.vector(), callback=seen.append, **options)
    gap = run.trace.direction_gap
    assert_below(gap, rate_bound(objective.moments, gap[0], run.n_iter))
    for before, row in pairwise(seen):
        ray = objective.along(row.x)
        a, b = bracket(ray, 1.0, start=before.length)
        assert bisect(ray, a, b, halvings) == pytest.approx(row.length, rel=1e-9)
        bound = gradient_bound(
            objective.moments,
            gap[0],
            row.iteration,
            loss,
            length_penalty=lam,
            bisection_steps=halvings,
            bracket_width=b - a,
        )
        assert row.grad_norm <= bound[-1] * (1 + 1e-9) + 1e-10


@given(populations(max_kappa=100, separation=(0.02, 0.9)), st.sampled_from(LOSS_NAMES))
def test_theorem_2_with_an_exact_length(p, loss):
    objective = ps.GaussianHalfspace(p.u, p.S, loss, 0.05)
    run = ps.minimize(objective, "gdnp", p.vector(), max_iter=60, tol=0.0)
    bound = gradient_bound(objective.moments, run.trace.direction_gap[0], run.n_iter, loss)
    assert (run.trace.grad_norm <= bound + 1e-10)[1:].all()


@pytest.mark.parametrize("loss", ["softplus", "sigmoid"])
def test_gdnp_needs_iterations_of_the_order_of_kappa(loss):
    """A linear rate: digits grow in proportion to the iterations, up to rounding."""
    p = population(3, d=6, kappa=20.0, separation=0.5)
    objective = ps.GaussianHalfspace(p.u, p.S, loss, 0.01)
    run = ps.minimize(objective, "gdnp", p.vector(), max_iter=400, tol=1e-11)
    assert run.success
    gap = run.trace.direction_gap
    gamma = contraction(objective.moments)
    digits = np.log(gap[0] / gap[-1]) / (-2 * np.log(gamma))
    assert digits >= run.n_iter * (1 - 1e-9)


# ------------------------------------------------------------------ Theorem 3


@pytest.mark.parametrize("loss", ["softplus", "sigmoid", "normal_cdf"])
@pytest.mark.parametrize("theta", [1.0, -2.0])
def test_theorem_3_every_unit_takes_the_same_direction(loss, theta):
    """Beside units on the line, a unit follows the Rayleigh iteration, at Theorem 1's rate."""
    p = population(1, d=3, kappa=4.0, separation=0.4)
    thetas = [1.0, theta]
    network = ps.TanhNetwork.gaussian(
        p.u, p.S, 2, loss=loss, output_weights=thetas, length_penalty=0.01
    )
    line = network.moments.solve(p.u)
    weights = np.zeros((2, 3))
    w = p.vector()
    for i, first in ((0, 0.0), (1, -0.8)):
        weights[0] = first * line
        unit = network.unit(i, weights)
        run = ps.minimize(unit, "gdnp", w, max_iter=25, tol=0.0, length=0.5)
        gap = run.trace.direction_gap
        assert run.n_iter == 25
        assert_below(gap, rate_bound(network.moments, gap[0], run.n_iter))
        expected = rayleigh_iteration(p, w / np.linalg.norm(w), 25)
        expected *= np.sign(expected @ p.u)[:, None]
        np.testing.assert_allclose(directions(unit, w, 25, length=0.5), expected, atol=1e-9)


def test_repeated_sweeps_correct_the_lengths():
    p = population(0, d=2, kappa=2.0, separation=0.5)
    result = ps.TanhNetwork.gaussian(p.u, p.S, 3).train(20, tol=1e-9)
    largest, slope = result.trace["largest_slope"], result.trace["slope"]
    assert (slope < 1e-9).all()  # each block is critical when it is trained,
    assert 1e-3 < largest[2] < 2e-2  # but not the whole network after one sweep
    assert largest[-1] < 1e-7
    assert (np.diff(largest[2::3]) < 0).all()
    assert (np.diff(result.trace["fun"]) <= 1e-12).all()
    assert (result.trace["fun"][:3] - result.trace["fun"][2] >= 0).all()
    assert result.trace["fun"][2] < result.trace["fun"][1] < result.trace["fun"][0]
    assert (result.trace["direction_gap"] < 1e-15).all()


def test_squared_loss_skips_the_second_unit():
    p = population(2, d=3, kappa=3.0, separation=0.5)
    result = ps.TanhNetwork.gaussian(p.u, p.S, 2, loss="squared").train(2, max_iter=200)
    assert result.success
    assert list(result.trace["skipped"]) == [False, True] * result.n_sweeps
    assert not result.weights[1].any()
    assert result.trace["length"][1] == 0
    alone = ps.TanhNetwork.gaussian(p.u, p.S, 1, loss="squared").train(max_iter=200)
    assert result.fun == pytest.approx(alone.fun, abs=1e-12)
