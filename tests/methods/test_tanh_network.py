"""TanhNetwork: training, its trace, its statuses, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

import polarstep as ps
from polarstep import Status
from polarstep.experiments.data.tables import gaussian_moments, gaussian_sample
from polarstep.methods import loop
from problems import two_class

U, S = gaussian_moments(4, 5.0, 0.5, 0)
X, Y = gaussian_sample(U, S, 600, 1)


def test_training_on_data_lowers_f_unit_by_unit():
    network = ps.TanhNetwork(X + 5.0, Y, 3)
    result = network.train(2, max_iter=60)
    assert (np.diff(result.trace["fun"]) <= 1e-12).all()
    np.testing.assert_array_equal(result.trace["unit"], [0, 1, 2] * 2)
    assert result.fun == pytest.approx(network.value(result.weights))
    assert np.mean(np.sign(result.decision_function(X + 5.0)) == Y) > 0.75
    assert {len(column) for column in result.trace.values()} == {6}


def test_statuses():
    done = ps.TanhNetwork.gaussian(U, S, 2, length_penalty=0.1).train(40)
    assert done.status is Status.converged
    assert done.success
    assert done.grad_norms.max() <= 1e-8

    def stop(row):
        raise StopIteration

    stopped = ps.TanhNetwork(X, Y, 3).train(2, max_iter=5, callback=stop)
    assert stopped.status is Status.interrupted
    assert len(stopped.trace["fun"]) == 1


@pytest.mark.parametrize("status", [Status.diverged, Status.no_length_root, Status.interrupted])
def test_a_unit_that_fails_ends_the_training_with_its_status(monkeypatch, status):
    run = loop.run
    monkeypatch.setattr(loop, "run", lambda *a, **k: replace(run(*a, **k), status=status))
    for network in (ps.TanhNetwork.gaussian(U, S, 2), ps.TanhNetwork(X, Y, 2)):
        result = network.train(3, max_iter=2)
        assert result.status is status
        assert result.message == f"TanhNetwork: {status.value}"
        assert len(result.trace["unit"]) == 1


SMALL, LABELS = two_class(n=20, d=3)
NETWORK = ps.TanhNetwork(SMALL, LABELS, 2)
MEAN, COVARIANCE = np.array([0.3, 0.1, 0.0]), np.eye(3)
REFUSED = {
    "units": (
        lambda: ps.TanhNetwork(SMALL, LABELS, 0),
        ValueError,
        "TanhNetwork: `n_units` .* >= 1; got 0",
    ),
    "units type": (
        lambda: ps.TanhNetwork(SMALL, LABELS, 2.5),
        TypeError,
        "TanhNetwork: `n_units` .*; got 2.5",
    ),
    "theta": (
        lambda: ps.TanhNetwork(SMALL, LABELS, output_weights=0),
        ValueError,
        "TanhNetwork: `output_weights` must be finite and not zero",
    ),
    "theta words": (
        lambda: ps.TanhNetwork(SMALL, LABELS, output_weights=["a", "b", "c"]),
        ValueError,
        "TanhNetwork: `output_weights` must be a number or 3 numbers",
    ),
    "theta nan": (
        lambda: ps.TanhNetwork(SMALL, LABELS, output_weights=np.nan),
        ValueError,
        "TanhNetwork: `output_weights` must be finite",
    ),
    "no signal": (
        lambda: ps.TanhNetwork.gaussian(0 * MEAN, COVARIANCE),
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
    "too many weights": (
        lambda: ps.TanhNetwork(SMALL, LABELS, 2, output_weights=[1, 2, 3]),
        ValueError,
        "`output_weights` must be a number or 2 numbers",
    ),
    "max_iter": (
        lambda: NETWORK.train(max_iter=-1),
        ValueError,
        "TanhNetwork.train: `max_iter` must be a whole number >= 0; got -1",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    attempt, error, words = REFUSED[case]
    with pytest.raises(error, match=f"(?s){words}") as caught:
        attempt()
    assert type(caught.value) is error
