"""HalfspaceClassifier.path: the models of several values of C."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

from classifier_cases import THREE, UNITS, WEIGHT, X, Y, fit, logistic, spoiled
from polarstep import HalfspaceClassifier
from problems import BOUNDED

CS = [0.01, 1.0, 100.0]


def path(X=X, y=Y, weight=None, Cs=CS, **options):
    return HalfspaceClassifier(**{"tol": 1e-12, **options}).path(X, y, Cs, weight)


@pytest.mark.parametrize("y", [Y, THREE], ids=["two", "three"])
@pytest.mark.parametrize("loss", ["softplus", "smooth_hinge", "squared"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_models_are_those_of_separate_fits(y, loss, fit_intercept):
    options = {"loss": loss, "fit_intercept": fit_intercept, "class_weight": "balanced"}
    Cs, coefs, intercepts = path(X, y, WEIGHT, **options)
    np.testing.assert_array_equal(Cs, CS)
    for C, coef, intercept in zip(CS, coefs, intercepts, strict=True):
        same = fit(X, y, WEIGHT, C=C, tol=1e-12, **options)
        assert coef.shape == same.coef_.shape
        assert intercept.shape == same.intercept_.shape
        np.testing.assert_allclose(coef * UNITS, same.coef_ * UNITS, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(intercept, same.intercept_, rtol=1e-4, atol=1e-4)


def test_the_models_of_softplus_are_those_of_scikit_learn():
    for C, coef, intercept in zip(*path(), strict=True):
        same = logistic(C=C)
        np.testing.assert_allclose(coef * UNITS, same.coef_ * UNITS, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(intercept, same.intercept_, rtol=1e-4)


@pytest.mark.parametrize("loss", BOUNDED)
def test_a_loss_that_is_not_convex_starts_at_the_next_smaller_C(loss):
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    Cs, coefs, _ = path(scaled, Cs=[1.0, 0.01, 0.1], loss=loss, max_iter=500)
    np.testing.assert_array_equal(Cs, [1.0, 0.01, 0.1])
    model = HalfspaceClassifier(loss, tol=1e-12, max_iter=500, warm_start=True)
    for C in (0.01, 0.1, 1.0):
        model.set_params(C=C).fit(scaled, Y)
        np.testing.assert_allclose(coefs[list(Cs).index(C)], model.coef_, rtol=1e-4, atol=1e-6)


def test_no_penalty_is_one_of_the_models():
    _, coefs, intercepts = path(Cs=[np.inf, 1.0])
    for k, C in enumerate((np.inf, 1.0)):
        same = fit(C=C, tol=1e-12)
        np.testing.assert_allclose(coefs[k] * UNITS, same.coef_ * UNITS, rtol=1e-4)
        np.testing.assert_allclose(intercepts[k], same.intercept_, rtol=1e-4)


@pytest.mark.parametrize("convert", [np.asfortranarray, sp.csr_array])
def test_other_forms_of_X(convert):
    np.testing.assert_allclose(path(convert(X)).coefs, path().coefs, rtol=1e-5)


def test_the_estimator_is_not_changed():
    model = HalfspaceClassifier()
    before = dict(vars(model))
    model.path(X, Y, CS)
    assert vars(model) == before
    model.fit(X[:, :2], THREE)
    before = dict(vars(model))
    model.path(X, Y, 3)
    assert vars(model) == before


def test_a_model_that_does_not_converge_is_named():
    for loss, message in (("softplus", r"C=0.01 in split 0"), ("sigmoid", "1 with C=")):
        with pytest.warns(ConvergenceWarning, match=message) as seen:
            path(max_iter=1, loss=loss)
        assert seen[0].filename == path.__code__.co_filename


def test_verbose_prints_progress(capsys):
    path(verbose=1)
    assert "[HalfspaceClassifier] iteration 0: f = " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: path(method="gd"), ValueError, "`method` must be 'whitened' in path"),
        (lambda: path(Cs=[-1.0]), ValueError, "`Cs` must be a whole number"),
        (lambda: path(spoiled(np.nan)), ValueError, "NaN"),
        (lambda: path(y=np.zeros(300)), ValueError, "`y` must hold two classes"),
        (lambda: path(loss="hing"), ValueError, "`loss`"),
    ],
)
def test_invalid_arguments(call, error, message):
    with warnings.catch_warnings(), pytest.raises(error, match=message):
        call()
