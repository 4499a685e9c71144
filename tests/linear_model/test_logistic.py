"""LogisticRegression: scikit-learn's contract, and its optimum."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
import sklearn.linear_model
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.utils.estimator_checks import parametrize_with_checks

import polarstep as ps
from classifier_cases import UNITS, WEIGHT, X, Y, logistic
from polarstep import LogisticRegression, Status
from problems import relative

Z = X / UNITS


def fit(X=Z, y=Y, weight=None, **options):
    return LogisticRegression(**{"tol": 1e-13, **options}).fit(X, y, weight)


@parametrize_with_checks([LogisticRegression(), LogisticRegression(alpha=0.01, n_jobs=2)])
def test_scikit_learn_checks(estimator, check):
    before = estimator.get_params()
    check(estimator)
    assert estimator.get_params() == before


def test_the_signature_is_that_of_scikit_learn_and_more():
    ours, theirs = LogisticRegression(), sklearn.linear_model.LogisticRegression()
    more = set(ours.get_params()) - set(theirs.get_params())
    assert more - {"multi_class"} == {"alpha"}  # multi_class existed until scikit-learn 1.8
    shared = {"C", "l1_ratio", "dual", "fit_intercept", "intercept_scaling", "class_weight",
              "random_state", "max_iter", "verbose", "warm_start", "n_jobs"}  # fmt: skip
    for name in shared:
        assert getattr(ours, name) == (getattr(theirs, name) or getattr(ours, name)), name
    assert LogisticRegression("l2").penalty == "l2"  # the one argument that may be positional
    attributes = {name for name in vars(logistic()) if name.endswith("_")}
    assert attributes <= {name for name in vars(fit()) if name.endswith("_")}


def test_parameters_pass_through_unchanged():
    given_ = {
        "penalty": None, "C": 3, "alpha": 0, "l1_ratio": 0, "dual": True, "tol": 1e-3,
        "fit_intercept": False, "intercept_scaling": 2, "class_weight": {0: 2.0},
        "random_state": 3, "solver": "saga", "max_iter": 7, "multi_class": "multinomial",
        "verbose": 1, "warm_start": True, "n_jobs": -1,
    }  # fmt: skip
    assert clone(LogisticRegression(**given_)).get_params() == given_
    assert LogisticRegression().set_params(**given_).get_params() == given_


# --------------------------------------------------------------------------- two classes


@pytest.mark.parametrize("C", [1e-2, 1.0, 100.0])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_two_classes_have_the_optimum_of_scikit_learn(C, weight, fit_intercept):
    options = {"C": C, "fit_intercept": fit_intercept, "class_weight": {0: 2.0}}
    ours, theirs = fit(weight=weight, **options), logistic(Z, Y, weight, **options)
    for name in ("coef_", "intercept_"):
        assert getattr(ours, name).shape == getattr(theirs, name).shape
    assert relative(ours.coef_, theirs.coef_) < 1e-5
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-5, atol=1e-8)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_array_equal(ours.predict(Z), theirs.predict(Z))
    for name in ("decision_function", "predict_proba", "predict_log_proba"):
        expected = getattr(theirs, name)(Z)
        np.testing.assert_allclose(getattr(ours, name)(Z), expected, rtol=1e-4, atol=1e-6)
    assert ours.n_iter_.shape == (1,)
    assert ours.result_.x.shape == (4 + fit_intercept,)


@pytest.mark.parametrize("convert", [np.asarray, np.float32, sp.csr_array, sp.csc_matrix])
def test_two_classes_are_those_of_the_halfspace_classifier(convert):
    data = convert(Z)
    ours, theirs = fit(data, tol=1e-6), ps.HalfspaceClassifier(tol=1e-6).fit(data, Y)
    np.testing.assert_array_equal(ours.coef_, theirs.coef_)
    np.testing.assert_array_equal(ours.intercept_, theirs.intercept_)
    np.testing.assert_array_equal(ours.predict_proba(data), theirs.predict_proba(data))
    assert ours.result_.n_passes == theirs.result_.n_passes


# --------------------------------------------------------------------------- the estimator


def test_a_grid_search_over_C_and_a_pipeline():
    search = GridSearchCV(LogisticRegression(), {"C": [0.01, 1.0], "penalty": ["l2"]}, cv=3)
    assert search.fit(Z, Y).best_score_ > 0.7
    pipeline = sklearn.pipeline.make_pipeline(
        sklearn.preprocessing.StandardScaler(), LogisticRegression()
    )
    assert pipeline.fit(X, Y).score(X, Y) > 0.7


def test_sample_weights_are_routed_as_metadata():
    with sklearn.config_context(enable_metadata_routing=True):
        model = LogisticRegression().set_fit_request(sample_weight=True)
        model = model.set_score_request(sample_weight=False)
        found = cross_validate(
            model, Z, Y, params={"sample_weight": WEIGHT}, cv=3, return_estimator=True
        )
    folds = list(sklearn.model_selection.StratifiedKFold(3).split(Z, Y))
    expected = LogisticRegression().fit(Z[folds[0][0]], Y[folds[0][0]], WEIGHT[folds[0][0]])
    np.testing.assert_array_equal(found["estimator"][0].coef_, expected.coef_)


def test_a_warm_start_from_the_solution_takes_no_iterations():
    model = fit(warm_start=True, tol=1e-10)
    assert model.n_iter_[0] > 0
    before = model.coef_.copy()
    model.set_params(tol=1e-8).sparsify().fit(Z, Y)
    assert model.n_iter_.tolist() == [0]
    np.testing.assert_allclose(model.coef_, before, rtol=1e-12)


def test_a_warning_if_max_iter_is_too_small():
    with pytest.warns(ConvergenceWarning, match=r"LogisticRegression: .*Raise max_iter") as seen:
        model = fit(max_iter=1)
    assert seen[0].filename == __file__
    assert model.result_.status is Status.max_iter


def test_verbose_prints_one_line_for_each_iteration(capsys):
    model = fit(verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == model.n_iter_[0] + 1
    assert all(line.startswith("[LogisticRegression] iteration") for line in lines)


def test_a_pickle_predicts_the_same():
    fitted = fit()
    model = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(model.predict_proba(Z), fitted.predict_proba(Z))
    assert model.result_.status is Status.converged


def test_saturated_probabilities_agree_with_predict():
    model = fit()
    far = 1e4 * Z
    for name in ("predict_proba", "predict_log_proba"):
        values = getattr(model, name)(far)
        np.testing.assert_array_equal(model.classes_[values.argmax(axis=1)], model.predict(far))
    assert np.isfinite(model.predict_log_proba(far)).all()


def test_a_pipeline_warns_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LogisticRegression().fit(Z, Y)
