"""A grid of penalties for one or several splits, solved as one block."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from polarstep.linear_model.block.families import Margins, Softmax
from polarstep.linear_model.block.rows import BlockRows
from polarstep.linear_model.grid import read_Cs, ridges, solve_grid
from polarstep.losses import LOSSES

RNG = np.random.default_rng(0)
X = RNG.standard_normal((120, 3)) + np.array([5.0, 0.0, -1.0])
CODES = np.digitize(X[:, 0] - 5.0 + RNG.logistic(size=120), [-1.0, 1.0])
CS = np.array([0.1, 10.0])
CENTRE = X.mean(axis=0)
MASKS = np.array([np.arange(120) < 80, np.arange(120) >= 40, np.ones(120, bool)])
TOTALS = MASKS.sum(axis=1)


def grid(family, tol=1e-13, max_iter=100, **options):
    rows = BlockRows.from_arrays(X, CODES, MASKS / TOTALS[:, None], CENTRE)
    rng = np.random.default_rng(0)
    return solve_grid(
        rows, family, CS, TOTALS, CENTRE, intercept=True, tol=tol, max_iter=max_iter, rng=rng,
        who="fit", **options,
    )  # fmt: skip


def separate(C, mask, y):
    return LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12).fit(X[mask], y[mask])


def test_values_of_C():
    np.testing.assert_allclose(read_Cs(3, "fit"), [1e-4, 1.0, 1e4])
    np.testing.assert_array_equal(read_Cs((2, np.inf), "fit"), [2.0, np.inf])
    for bad in (0, -1, [], [0.0], [np.nan], [[1.0]]):
        with pytest.raises(ValueError, match="fit: `Cs` must be a whole number >= 1"):
            read_Cs(bad, "fit")
    for bad in ("many", None, [1.0, "x"]):
        with pytest.raises((TypeError, ValueError), match="`Cs` must be"):
            read_Cs(bad, "fit")


def test_penalties_are_finite_for_any_C():
    np.testing.assert_array_equal(ridges(np.array([np.inf, 2.0]), np.array([5.0, 5.0])), [0.0, 0.1])
    assert np.isfinite(ridges(np.array([1e-320]), np.array([1.0]))).all()


def test_models_of_two_classes_are_those_of_separate_fits():
    fit = grid(Margins(LOSSES["softplus"]), positive=np.array([2]))
    y = (CODES == 2).astype(int)
    assert fit.coefs.shape == (3, 2, 1, 3)
    for f, mask in enumerate(MASKS):
        for c, C in enumerate(CS):
            same = separate(C, mask, y)
            np.testing.assert_allclose(fit.coefs[f, c], same.coef_, atol=1e-6)
            np.testing.assert_allclose(fit.intercepts[f, c], same.intercept_, atol=1e-5)


def test_one_against_the_rest_has_one_row_for_each_class():
    fit = grid(Margins(LOSSES["softplus"]), positive=np.arange(3))
    assert fit.coefs.shape == (3, 2, 3, 3)
    assert fit.n_iter.shape == (3, 2)
    for k, y in enumerate(np.eye(3)[CODES].T):
        same = separate(CS[1], MASKS[0], y)
        np.testing.assert_allclose(fit.coefs[0, 1, k], same.coef_[0], atol=1e-6)


def test_softmax_models_are_those_of_separate_fits():
    fit = grid(Softmax(3))
    for f, mask in enumerate(MASKS):
        same = separate(CS[1], mask, CODES)
        np.testing.assert_allclose(fit.coefs[f, 1], same.coef_, atol=1e-5)


def test_a_start_at_the_solution_takes_no_iterations():
    family = Softmax(3)
    first = grid(family)
    again = grid(family, tol=1e-8, start=first.theta)
    assert not again.n_iter.any()
    np.testing.assert_allclose(again.coefs, first.coefs, atol=1e-12)


def test_an_interruption_is_raised():
    def stop(row):
        raise StopIteration

    with pytest.raises(KeyboardInterrupt):
        grid(Softmax(3), callback=stop)


def test_products_that_overflow_are_an_error():
    rows = BlockRows.from_arrays(X * 1e200, CODES, MASKS[2:] / 120, CENTRE * 1e200)
    with pytest.raises(ValueError, match="fit: `X` must hold numbers of a reasonable size"):
        solve_grid(
            rows, Softmax(3), CS, TOTALS[2:], CENTRE, intercept=True, tol=1e-6, max_iter=10,
            rng=np.random.default_rng(0), who="fit",
        )  # fmt: skip


def test_the_warning_names_the_first_model_that_did_not_converge():
    fit = grid(Softmax(3), max_iter=1)
    with pytest.warns(ConvergenceWarning, match=r"fit: 6 of 6 models .*C=0.1 in split 0") as seen:
        fit.warn_unless_converged("fit", stacklevel=1)
    assert seen[0].filename == __file__
    grid(Softmax(3), tol=1e-6).warn_unless_converged("fit", stacklevel=1)
