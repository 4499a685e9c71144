"""minimize: what it refuses before any work, and what it turns to."""

import numpy as np
import pytest

import polarstep as ps
from problems import two_class

X, Y = two_class(n=20, d=3)
U, S = np.array([0.3, 0.1, 0.0]), np.eye(3)
F = ps.Halfspace(X, Y)
FLAT = ps.Halfspace(np.column_stack([X[:, :2], np.ones(20)]), Y)
STEEP = ps.Halfspace(X, Y, ps.MarginLoss(np.exp, np.exp, np.exp, curvature=np.inf))


def run(objective=F, **options):
    return ps.minimize(objective, **options)


REFUSED = {
    "objective": (
        lambda: ps.minimize(X),
        TypeError,
        r"minimize: `objective`.* got an ndarray. Wrap .*ps.Halfspace\(X, y\)",
    ),
    "method": (
        lambda: run(method="gdpn"),
        ValueError,
        "minimize: `method`.* 'agd', 'bn', 'gd', 'gdnp', .*mean 'gdnp'?",
    ),
    "method type": (
        lambda: run(method=None),
        ValueError,
        "minimize: `method` must be one of .*; got None",
    ),
    "option": (
        lambda: run(method="gd", length=2.0),
        TypeError,
        "gd.: `options` must be one of 'step_size'; got 'length'",
    ),
    "option typo": (
        lambda: run(stepsize=2.0),
        TypeError,
        r"gdnp.: `options`.* 'bisection_steps', .*mean 'step_size'\?",
    ),
    "step": (lambda: run(step_size=-1), ValueError, "minimize: `step_size` .* > 0; got -1"),
    "step zero": (
        lambda: run(method="gd", step_size=0),
        ValueError,
        "minimize: `step_size` .* > 0; got 0",
    ),
    "step text": (
        lambda: run(method="wn", step_size="big"),
        TypeError,
        "minimize: `step_size` .*; got 'big'",
    ),
    "length step": (
        lambda: run(method="bn", length_step_size=0),
        ValueError,
        "minimize: `length_step_size` .* > 0; got 0",
    ),
    "length nan": (
        lambda: run(length=np.nan),
        ValueError,
        "minimize: `length` .* finite .*; got nan",
    ),
    "bisection": (
        lambda: run(bisection_steps=0),
        ValueError,
        "minimize: `bisection_steps` .* >= 1; got 0",
    ),
    "bisection type": (
        lambda: run(bisection_steps=2.0),
        TypeError,
        "minimize: `bisection_steps` .* whole number .*; got 2.0",
    ),
    "no curvature": (
        lambda: run(STEEP, method="gd"),
        ValueError,
        "minimize: `step_size` must be given.* Pass step_size",
    ),
    "max_iter": (
        lambda: run(max_iter=-1),
        ValueError,
        "minimize: `max_iter` must be a whole number >= 0; got -1",
    ),
    "max_iter type": (
        lambda: run(max_iter=1.5),
        TypeError,
        "minimize: `max_iter` must be a whole number >= 0; got 1.5",
    ),
    "max_iter bool": (lambda: run(max_iter=True), TypeError, "minimize: `max_iter` .* got True"),
    "tol": (
        lambda: run(tol=np.nan),
        ValueError,
        "minimize: `tol` must be a finite number >= 0; got nan",
    ),
    "tol negative": (lambda: run(tol=-1e-5), ValueError, "minimize: `tol` .* >= 0; got -1e-05"),
    "tol text": (lambda: run(tol="1e-8"), TypeError, "minimize: `tol` .*; got '1e-8'"),
    "callback": (
        lambda: run(callback=3),
        TypeError,
        "minimize: `callback` must be a function or None; got an int. Pass",
    ),
    "w0 length": (
        lambda: run(w0=[1.0]),
        ValueError,
        r"minimize: `w0` must be a vector of 3 real.* shape \(1,\)",
    ),
    "w0 nan": (lambda: run(w0=[1, np.nan, 0]), ValueError, "minimize: `w0`.* nan at position 1"),
    "w0 zero": (
        lambda: run(w0=np.zeros(3)),
        ValueError,
        "minimize: `w0`.* a direction.* S-norm 0. gdnp .* leave w0 out",
    ),
    "w0 huge": (
        lambda: run(ps.GaussianHalfspace(U, S), w0=[1e200, 0, 0]),
        ValueError,
        r"minimize: `w0`.* direction.* S-norm 1e\+200",
    ),
    "w0 off range": (
        lambda: run(FLAT, w0=[0, 0, 1.0]),
        ValueError,
        "minimize: `w0` must have a direction",
    ),
    "w0 words": (
        lambda: run(w0="u"),
        TypeError,
        "minimize: `w0` must be a vector of 3 real numbers; got a str",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    attempt, error, words = REFUSED[case]
    with pytest.raises(error, match=f"(?s){words}") as caught:
        attempt()
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("objective", "gap_is_known"),
    [(ps.Halfspace(X, Y, length_penalty=0.1), True), (ps.LeastSquares(X, Y), False),
     (ps.GaussianHalfspace(U, S), False)],
    ids=["sample", "least squares", "population"],
)  # fmt: skip
def test_whitened_is_the_solver_on_samples_and_one_step_on_moments(objective, gap_is_known):
    result = ps.minimize(objective, "whitened")
    assert result.method == "whitened"
    assert result.success
    assert np.isfinite(result.gap) == gap_is_known
    assert result.fun == pytest.approx(ps.minimize(objective, "gdnp", max_iter=2000).fun, abs=1e-7)
    if not gap_is_known:
        assert result.n_iter == 1


def test_whitened_has_its_own_options():
    with pytest.raises(TypeError, match=r"whitened.: `options` must be one of 'n_restarts', "):
        ps.minimize(F, "whitened", step_size=1.0)
    with pytest.raises(TypeError, match=r"whitened.: `objective` must be a LeastSquares, "):
        ps.minimize(ps.TanhNetwork(X, Y, 2).unit(0, np.zeros((2, 3))), "whitened")
