"""Bad input is refused by name: who complains, which argument, what it got."""

import numpy as np
import pytest
import scipy.sparse as sp

import polarstep as ps

RNG = np.random.default_rng(0)
X = RNG.standard_normal((20, 3))
Y = np.where(np.arange(20) % 2, 1.0, -1.0)
U, S = np.array([0.3, 0.1, 0.0]), np.eye(3)


def spoiled(value, sparse=False):
    bad = X.copy()
    bad[4, 2] = value
    return sp.csr_array(bad) if sparse else bad


def halfspace(**options):
    return ps.Halfspace(X, Y, **options)


CASES = {
    "nan": (lambda: ps.Halfspace(spoiled(np.nan), Y), ValueError, "`X`.*nan in row 4, column 2"),
    "inf": (lambda: ps.Halfspace(spoiled(np.inf), Y), ValueError, "`X`.*inf in row 4, column 2"),
    "sparse nan": (
        lambda: ps.Halfspace(spoiled(np.nan, sparse=True), Y),
        ValueError,
        "`X`.*nan in row 4, column 2",
    ),
    "nan label": (lambda: ps.Halfspace(X, [np.nan, *Y[1:]]), ValueError, "`y`.*position 0"),
    "one dimension": (lambda: ps.Halfspace(X[:, 0], Y), ValueError, "`X`.*reshape"),
    "too few labels": (lambda: ps.Halfspace(X, Y[:-1]), ValueError, "`y`.*20.*got shape"),
    "three labels": (lambda: ps.Halfspace(X, np.arange(20) % 3), ValueError, "`y`.*3 different"),
    "one class": (lambda: ps.Halfspace(X, np.ones(20)), ValueError, "`y`.*two classes.*only 1"),
    "no rows": (lambda: ps.Halfspace(X[:0], Y[:0]), ValueError, "`X`.*at least one row"),
    "no columns": (lambda: ps.Halfspace(X[:, :0], Y), ValueError, "`X`.*one column"),
    "zeros": (lambda: ps.Halfspace(np.zeros((20, 3)), Y), ValueError, "`X`.*varies"),
    "constant": (lambda: ps.LeastSquares(np.ones((20, 3)), Y), ValueError, "`X`.*varies"),
    "strings": (lambda: ps.Halfspace([["a"], ["b"]], [0, 1]), TypeError, "`X`"),
    "complex": (lambda: ps.Halfspace(X + 1j, Y), TypeError, "`X`.*real"),
    "loss": (lambda: halfspace(loss="sigmoyd"), ValueError, "`loss`.*Did you mean 'sigmoid'"),
    "loss type": (lambda: halfspace(loss=3), TypeError, "`loss`"),
    "penalty": (lambda: halfspace(length_penalty=-1), ValueError, "`length_penalty`.*>= 0"),
    "cap": (lambda: halfspace(max_length=0), ValueError, "`max_length`.*> 0"),
    "u outside": (
        lambda: ps.Moments([1.0, 1.0], np.diag([1.0, 0.0])), ValueError, "`u`.*range of S"),
    "S not symmetric": (
        lambda: ps.Moments(U, S + np.eye(3, k=1)), ValueError, "`S`.*symmetric"),
    "S indefinite": (
        lambda: ps.Moments(U, np.array([[1, 2, 0], [2, 1, 0], [0, 0, 1.0]])),
        ValueError,
        "`S`.*semidefinite",
    ),
    "S shape": (lambda: ps.Moments(U, np.eye(2)), ValueError, "`S`.*3 x 3"),
    "too separated": (lambda: ps.GaussianHalfspace(5 * U, S), ValueError, "`u`.*<= 1"),
    "method": (lambda: ps.minimize(halfspace(), "gdpn"), ValueError, "`method`.*'gdnp'"),
    "option": (
        lambda: ps.minimize(halfspace(), "gd", length=2.0), TypeError, "`options`.*step_size"),
    "objective": (lambda: ps.minimize(X), TypeError, "`objective`.*Wrap"),
    "step": (lambda: ps.minimize(halfspace(), step_size=-1), ValueError, "`step_size`.*> 0"),
    "max_iter": (lambda: ps.minimize(halfspace(), max_iter=-1), ValueError, "`max_iter`.*>= 0"),
    "max_iter type": (lambda: ps.minimize(halfspace(), max_iter=1.5), TypeError, "`max_iter`"),
    "tol": (lambda: ps.minimize(halfspace(), tol=np.nan), ValueError, "`tol`"),
    "w0 length": (lambda: ps.minimize(halfspace(), w0=[1.0]), ValueError, "`w0`.*3 real"),
    "w0 nan": (lambda: ps.minimize(halfspace(), w0=[1, np.nan, 0]), ValueError, "`w0`.*position 1"),
    "w0 zero": (lambda: ps.minimize(halfspace(), w0=np.zeros(3)), ValueError, "`w0`.*direction"),
    "bisection": (
        lambda: ps.minimize(halfspace(), bisection_steps=0), ValueError, "`bisection_steps`.*>= 1"),
    "units": (lambda: ps.TanhNetwork(X, Y, 0), ValueError, "`n_units`.*>= 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_by_name(case):
    attempt, error, words = CASES[case]
    with pytest.raises(error, match=f"(?s){words}") as caught:
        attempt()
    assert ": `" in str(caught.value), "the message starts with who complains"
