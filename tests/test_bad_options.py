"""Options that make no sense are refused by name, before any work."""

import numpy as np
import pytest

import polarstep as ps
from polarstep.methods import theory
from problems import two_class

X, Y = two_class(n=20, d=3)
U, S = np.array([0.3, 0.1, 0.0]), np.eye(3)
F = ps.Halfspace(X, Y)
FLAT = ps.Halfspace(np.column_stack([X[:, :2], np.ones(20)]), Y)
STEEP = ps.Halfspace(X, Y, ps.MarginLoss(np.exp, np.exp, np.exp, curvature=np.inf))
NETWORK = ps.TanhNetwork(X, Y, 2)


def run(objective=F, **options):
    return ps.minimize(objective, **options)


def predict(X):
    return NETWORK.train(max_iter=1).decision_function(X)


CASES = {
    # objectives
    "loss": (
        lambda: ps.Halfspace(X, Y, loss="sigmoyd"),
        ValueError,
        r"Halfspace: `loss`.* one of 'normal_cdf', .*mean 'sigmoid'\?",
    ),
    "loss type": (
        lambda: ps.Halfspace(X, Y, loss=3),
        TypeError,
        "Halfspace: `loss` must be a name or a MarginLoss; got a int",
    ),
    "penalty": (
        lambda: ps.Halfspace(X, Y, length_penalty=-1),
        ValueError,
        "Halfspace: `length_penalty` .* >= 0; got -1",
    ),
    "penalty nan": (
        lambda: ps.GaussianHalfspace(U, S, length_penalty=np.nan),
        ValueError,
        "GaussianHalfspace: `length_penalty` .* finite .* nan",
    ),
    "penalty text": (
        lambda: ps.LeastSquares(X, Y, length_penalty="1"),
        TypeError,
        "LeastSquares: `length_penalty` .* '1'",
    ),
    "penalty none": (
        lambda: ps.Halfspace(X, Y, length_penalty=None),
        TypeError,
        "Halfspace: `length_penalty` .* None",
    ),
    "cap": (
        lambda: ps.Halfspace(X, Y, max_length=0),
        ValueError,
        "Halfspace: `max_length` .* > 0; got 0",
    ),
    "cap nan": (
        lambda: ps.Halfspace(X, Y, max_length=np.nan),
        ValueError,
        "Halfspace: `max_length` must be a number > 0; got nan",
    ),
    "too separated": (
        lambda: ps.GaussianHalfspace(5 * U, S),
        ValueError,
        "GaussianHalfspace: `u`.* <= 1 .*; got .*= 2.5. If S is the cov",
    ),
    # minimize
    "objective": (
        lambda: ps.minimize(X),
        TypeError,
        r"minimize: `objective`.* got a ndarray. Wrap .*ps.Halfspace\(X, y\)",
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
        "minimize: `callback` must be a function or None; got a int. Pass",
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
    # networks
    "units": (lambda: ps.TanhNetwork(X, Y, 0), ValueError, "TanhNetwork: `n_units` .* >= 1; got 0"),
    "units type": (
        lambda: ps.TanhNetwork(X, Y, 2.5),
        TypeError,
        "TanhNetwork: `n_units` .*; got 2.5",
    ),
    "theta": (
        lambda: ps.TanhNetwork(X, Y, output_weights=0),
        ValueError,
        "TanhNetwork: `output_weights` must be finite and not zero",
    ),
    "theta words": (
        lambda: ps.TanhNetwork(X, Y, output_weights=["a", "b", "c"]),
        ValueError,
        "TanhNetwork: `output_weights` must be a number or 3 numbers",
    ),
    "theta nan": (
        lambda: ps.TanhNetwork(X, Y, output_weights=np.nan),
        ValueError,
        "TanhNetwork: `output_weights` must be finite",
    ),
    "no signal": (
        lambda: ps.TanhNetwork.gaussian(0 * U, S),
        ValueError,
        r"TanhNetwork.gaussian: `u` must satisfy 0 < .*; got .* = 0",
    ),
    "starts": (
        lambda: NETWORK.train(w0=np.ones(3)),
        ValueError,
        r"TanhNetwork.train: `w0` must be a 2 x 3 matrix.* shape \(3,\)",
    ),
    "starts nan": (
        lambda: NETWORK.train(w0=np.full((2, 3), np.nan)),
        ValueError,
        "TanhNetwork.train: `w0`.* nan at row 0, column 0",
    ),
    "starts words": (
        lambda: NETWORK.train(w0=[["a", "b", "c"]] * 2),
        TypeError,
        "TanhNetwork.train: `w0` must be a 2 x 3 matrix.* not numeric",
    ),
    "sweeps": (
        lambda: NETWORK.train(1.0),
        TypeError,
        "TanhNetwork.train: `sweeps` .* whole number >= 1; got 1.0",
    ),
    "train tol": (lambda: NETWORK.train(tol=-1), ValueError, "TanhNetwork.train: `tol`"),
    "train callback": (
        lambda: NETWORK.train(callback="print"),
        TypeError,
        "TanhNetwork.train: `callback` must be a function",
    ),
    "other columns": (
        lambda: predict(X[:, :2]),
        ValueError,
        "NetworkResult.decision_function: `X` must have 3 columns",
    ),
    "predict nan": (
        lambda: predict(np.full((5, 3), np.nan)),
        ValueError,
        "NetworkResult.decision_function: `X`.* nan at row 0",
    ),
    # theory
    "gap": (
        lambda: theory.rate_bound(F.moments, -1.0, 5),
        ValueError,
        "theory.rate_bound: `gap` .* >= 0; got -1",
    ),
    "n_iter": (
        lambda: theory.rate_bound(F.moments, 1.0, 2.5),
        TypeError,
        "theory.rate_bound: `n_iter` .*; got 2.5",
    ),
    "contraction": (
        lambda: theory.contraction(F.moments, 0),
        ValueError,
        "theory.contraction: `step_size` .* > 0; got 0",
    ),
    "bound's loss": (
        lambda: theory.gradient_bound(F.moments, 1.0, 5, "hinge"),
        ValueError,
        "theory.gradient_bound: `loss` must be one of",
    ),
    "halvings": (
        lambda: theory.gradient_bound(F.moments, 1.0, 5, "softplus", bisection_steps=1.5),
        TypeError,
        "theory.gradient_bound: `bisection_steps`",
    ),
    "directions": (
        lambda: theory.check_assumptions(F.moments, X, Y, n_directions=0),
        ValueError,
        "check_assumptions: `n_directions` .* >= 1; got 0",
    ),
    "no labels": (
        lambda: theory.check_assumptions(F.moments, X),
        ValueError,
        "check_assumptions: `y` must come with X",
    ),
    "columns": (
        lambda: theory.check_assumptions(F.moments, X[:, :2], Y),
        ValueError,
        "check_assumptions: `X` must have 3 columns",
    ),
    "width": (lambda: ps.losses.smooth_hinge(0), ValueError, "smooth_hinge: `width` .* > 0; got 0"),
}


@pytest.mark.parametrize("case", CASES)
def test_options(case):
    attempt, error, words = CASES[case]
    with pytest.raises(error, match=f"(?s){words}") as caught:
        attempt()
    assert type(caught.value) is error
