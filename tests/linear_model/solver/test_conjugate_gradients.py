"""Conjugate gradients: the solution, the gain, and the bound on what is left to be gained."""

import numpy as np
import pytest

from polarstep.linear_model.solver.conjugate_gradients import solve_newton_system


def system(d=60, decades=4.0, seed=0):
    rng = np.random.default_rng(seed)
    Q, _ = np.linalg.qr(rng.standard_normal((d, d)))
    A = (Q * 10.0 ** np.linspace(-decades, 0, d)) @ Q.T
    return A, 10.0 ** rng.uniform(-3, -2, d), rng.standard_normal(d), 10.0 ** rng.uniform(-1, 1, d)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_left_to_be_gained_stays_below_its_bound(seed):
    A, alpha, g, inverse = system(seed=seed)
    H = A + np.diag(alpha)
    best = 0.5 * g @ np.linalg.solve(H, g)
    seen = []

    def record(gain, left, residual):
        seen.append((gain, left, residual))
        return residual < 1e-16

    x, gain, left = solve_newton_system(lambda v: A @ v, alpha, g, inverse, record)
    np.testing.assert_allclose(H @ x, -g, rtol=1e-6, atol=1e-6)
    assert gain == pytest.approx(-(g @ x + 0.5 * x @ H @ x), rel=1e-9)
    gains, bounds, residuals = np.array(seen).T
    assert (np.diff(gains) >= 0).all()
    assert (best - gains <= bounds * (1 + 1e-9) + 1e-12 * best).all()
    assert (bounds[-1], residuals[-1]) == (left, pytest.approx(0, abs=1e-15))
    # The bound is of use: it soon exceeds what is left by less than the condition number.
    late = gains > 0.99 * best
    assert np.median((bounds / (best - gains))[late][:5]) < 30


def test_no_gradient_means_no_step():
    A, alpha, g, inverse = system()
    x, gain, left = solve_newton_system(
        lambda v: A @ v, alpha, np.zeros_like(g), inverse, lambda *_: False
    )
    assert not x.any()
    assert (gain, left) == (0.0, 0.0)


def test_products_that_are_not_finite_end_the_solution():
    _, alpha, g, inverse = system()
    x, gain, left = solve_newton_system(
        lambda v: np.full_like(v, np.nan), alpha, g, inverse, lambda *_: False
    )
    assert not x.any()
    assert gain == 0.0
    assert left >= 0.5 * g @ (g / alpha) * alpha.min() / alpha.max()
