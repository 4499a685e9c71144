"""Least squares: the offset of y, the best length, and what is refused."""

import numpy as np
import pytest

import polarstep as ps
from logistic_problem import CENTRED, START, X, Y, path
from problems import skewed


def test_least_squares_is_shifted_by_an_offset_of_y():
    X, y = skewed(9, 40, 3)
    wt = np.array([0.1, 0.2, -0.3])
    a, b = ps.LeastSquares(X, y), ps.LeastSquares(X, y + 5.0)
    assert a.gradient(wt) == pytest.approx(b.gradient(wt), abs=1e-12)
    shift = np.mean((y + 5.0) ** 2) - np.mean(y**2)
    assert b.value(wt) - a.value(wt) == pytest.approx(shift)


def test_least_squares_takes_the_best_length_of_every_direction():
    objective = ps.LeastSquares(X, 2 * Y + 1)
    moments = objective.moments
    run = ps.minimize(objective, "gdnp", START, max_iter=15, tol=0.0)
    for x, length, fun in zip(
        path(objective, "gdnp", START, max_iter=15)[1:],
        run.trace.length[1:],
        run.trace.fun[1:],
        strict=True,
    ):
        assert length == pytest.approx(abs(moments.u @ x) / moments.norm(x))
        assert fun == pytest.approx(moments.y_squared + moments.rho(x))
    best = np.linalg.lstsq(CENTRED, 2 * Y + 1, rcond=None)[0]
    assert ps.minimize(objective, "gdnp", max_iter=2000).x == pytest.approx(best, rel=1e-6)


def test_moments_are_enough():
    data = ps.LeastSquares(X, 2 * Y + 1, 0.1)
    same = ps.LeastSquares.from_moments(data.moments, 0.1)
    assert same.value(START) == data.value(START)
    np.testing.assert_array_equal(same.gradient(START), data.gradient(START))


REFUSED = {
    "penalty text": (
        lambda: ps.LeastSquares(X, Y, length_penalty="1"),
        TypeError,
        "LeastSquares: `length_penalty` .* '1'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    attempt, error, words = REFUSED[case]
    with pytest.raises(error, match=f"(?s){words}") as caught:
        attempt()
    assert type(caught.value) is error


def test_one_row_and_huge_targets_are_refused():
    with pytest.raises(ValueError, match=r"`X`.* varies; got a single row"):
        ps.LeastSquares(X[:1], [1.0])
    with pytest.raises(ValueError, match=r"from_data: `y`.* do not overflow"):
        ps.LeastSquares(X, 1e200 * Y)
