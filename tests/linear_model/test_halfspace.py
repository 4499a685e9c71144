"""HalfspaceClassifier: scikit-learn's contract, and what each parameter of fit does."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import polarstep as ps
from classifier_cases import RNG, THREE, UNITS, WEIGHT, X, Y, fit
from polarstep import HalfspaceClassifier, Status
from polarstep.losses import LOSSES, smooth_hinge
from problems import ARCTAN, BOUNDED, METHODS, relative, skewed


@parametrize_with_checks(
    [
        HalfspaceClassifier(),
        HalfspaceClassifier(loss="sigmoid"),
        HalfspaceClassifier(loss="smooth_hinge"),
    ]
)
def test_scikit_learn_checks(estimator, check):
    before = estimator.get_params()
    check(estimator)
    assert estimator.get_params() == before


def test_parameters_pass_through_unchanged():
    given_ = {
        "loss": smooth_hinge(0.2), "C": 3, "fit_intercept": False, "method": "gdnp", "tol": 1e-3,
        "max_iter": 7, "class_weight": {0: 2.0}, "warm_start": True, "n_restarts": 2, "n_jobs": -1,
        "verbose": 1, "random_state": 3,
    }  # fmt: skip
    assert clone(HalfspaceClassifier(**given_)).get_params() == given_


def test_a_pickle_is_small_and_predicts_the_same():
    large_X, large_y = np.repeat(X, 50, axis=0), np.repeat(Y, 50)
    model = HalfspaceClassifier().fit(large_X, large_y)
    text = pickle.dumps(model)
    assert len(text) < 5_000
    np.testing.assert_array_equal(pickle.loads(text).predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("y", [Y, THREE], ids=["two", "three"])
def test_a_warm_start_from_the_solution_takes_no_iterations(fit_intercept, y):
    model = fit(X, y, warm_start=True, fit_intercept=fit_intercept, tol=1e-10)
    assert model.n_iter_.max() > 0
    before = model.coef_.copy()
    model.set_params(tol=1e-8).fit(X, y)
    assert not model.n_iter_.any()
    np.testing.assert_allclose(model.coef_, before, rtol=1e-12)


def test_a_warm_start_of_another_shape_is_ignored():
    model = fit(warm_start=True)
    for changed_X, changed_y in ((X, THREE), (X[:, :2], THREE), (X[:, :2], Y), (X, Y)):
        model.fit(changed_X, changed_y)
        np.testing.assert_allclose(model.coef_, fit(changed_X, changed_y).coef_, rtol=1e-4)


def test_an_interrupted_fit_keeps_its_last_iterate(monkeypatch):
    """KeyboardInterrupt is raised in the third evaluation on all rows, as if by Ctrl-C.

    With verbose=True the iteration runs in Python, where it can be interrupted.
    """
    from polarstep.linear_model.solver.samples import Samples

    seen, evaluate = [], Samples.evaluate

    def interrupted(self, w, b):
        if self.n == 300:
            seen.append(w)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return evaluate(self, w, b)

    model = HalfspaceClassifier(tol=1e-13, warm_start=True, verbose=True)
    with monkeypatch.context() as patch:
        patch.setattr(Samples, "evaluate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y)
    assert model.result_.status is Status.interrupted
    assert model.coef_.shape == (1, 4)
    n_iter = fit(tol=1e-13).n_iter_[0]
    assert model.fit(X, Y).n_iter_[0] <= n_iter
    assert relative(model.coef_, fit(tol=1e-13).coef_) < 1e-5


def test_a_warning_exactly_when_max_iter_is_too_small():
    enough = fit(tol=1e-12).n_iter_[0]
    assert enough > 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(tol=1e-12, max_iter=int(enough))
    for max_iter in range(1, int(enough)):
        with pytest.warns(
            ConvergenceWarning, match=r"Raise max_iter or tol.*subopt.*about"
        ) as seen:
            model = fit(tol=1e-12, max_iter=max_iter)
        assert seen[0].filename == fit.__code__.co_filename  # where fit was called
        assert model.result_.status is Status.max_iter
        assert model.n_iter_[0] == max_iter
    with pytest.warns(ConvergenceWarning, match=r"classes \[0"):
        fit(X, THREE, tol=1e-14, max_iter=1)


@pytest.mark.parametrize("y", [Y, THREE], ids=["two", "three"])
@pytest.mark.parametrize("convert", [np.asarray, np.asfortranarray, sp.csr_matrix])
def test_threads_give_the_same(y, convert):
    one, two = fit(convert(X), y, tol=1e-12), fit(convert(X), y, tol=1e-12, n_jobs=2)
    assert relative(two.coef_ * UNITS, one.coef_ * UNITS) < 1e-5


def test_verbose_prints_one_line_for_each_iteration(capsys):
    model = fit(verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == model.n_iter_[0] + 1
    assert all("HalfspaceClassifier" in line and "f = " in line for line in lines)
    fit()
    assert capsys.readouterr().out == ""


def test_random_state():
    # Sums round differently if arrays are aligned differently, so results are equal to rounding.
    many = np.random.default_rng(1).integers(0, 300, 40_000)
    large_X, large_y = X[many] + 0.01 * UNITS * RNG.standard_normal((40_000, 4)), Y[many]
    loose = {"tol": 1e-2}
    first = fit(large_X, large_y, **loose).coef_
    np.testing.assert_allclose(fit(large_X, large_y, **loose).coef_, first, rtol=1e-7)
    again = [fit(large_X, large_y, random_state=s, **loose).coef_ for s in (1, 1, 2)]
    np.testing.assert_allclose(again[0], again[1], rtol=1e-7)
    assert relative(again[0], again[2]) > 1e-6
    fit(large_X, large_y, random_state=np.random.RandomState(0))


@pytest.mark.parametrize("loss", BOUNDED)
def test_restarts_never_worsen_the_result(loss):
    for seed in range(4):
        data, y = skewed(seed, n=80, d=5)
        alone = fit(data, y, loss=loss, C=100.0, tol=1e-6, max_iter=300)
        values = [alone.result_.fun]
        for n_restarts in (1, 4):
            model = fit(data, y, loss=loss, C=100.0, tol=1e-6, max_iter=300, n_restarts=n_restarts)
            values.append(model.result_.fun)
        assert values[2] <= values[1] * (1 + 1e-12) <= values[0] * (1 + 1e-11)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("y", [Y, THREE], ids=["two", "three"])
def test_the_methods_of_the_paper_end_to_end(method, y):
    """The columns are scaled, because these methods need a penalty that is well conditioned."""
    scaled = (X / UNITS) / (X / UNITS).std(0)
    options = {"C": 0.3, "max_iter": 20_000, "tol": 1e-7}
    for convert in (np.asarray, sp.csr_matrix):
        model = fit(convert(scaled), y, method=method, **options)
        best = fit(scaled, y, C=0.3, tol=1e-12)
        assert relative(model.coef_, best.coef_) < 1e-3
        assert model.score(scaled, y) == pytest.approx(best.score(scaled, y), abs=0.01)
        with pytest.warns(ConvergenceWarning, match="Raise max_iter"):
            fit(scaled, y, method=method, C=0.3, max_iter=1)


def test_a_method_of_the_paper_takes_weights():
    scaled = (X / UNITS) / (X / UNITS).std(0)
    options = {"C": 0.3, "tol": 1e-7, "max_iter": 20_000}
    model = fit(scaled, Y, WEIGHT, method="gdnp", class_weight={0: 2.0}, **options)
    best = fit(scaled, Y, WEIGHT, class_weight={0: 2.0}, C=0.3)
    assert relative(model.coef_, best.coef_) < 1e-3


def test_a_user_defined_loss():
    """A model with a loss of functions of a module is cloned and pickled."""
    model = fit(loss=ARCTAN, tol=1e-7, max_iter=500)
    assert model.score(X, Y) > 0.7
    copied = pickle.loads(pickle.dumps(model))
    assert copied.loss == clone(model).loss == ARCTAN
    np.testing.assert_array_equal(copied.decision_function(X), model.decision_function(X))
    np.testing.assert_array_equal(copied.fit(X, Y).coef_, model.coef_)


def test_a_loss_of_formulas():
    own = ps.MarginLoss(*(getattr(LOSSES["softplus"], p) for p in ("phi", "dphi", "d2phi")))
    assert relative(fit(loss=own, tol=1e-12).coef_, fit(tol=1e-12).coef_) < 1e-5
