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
from classifier_cases import THREE, UNITS, WEIGHT, X, Y, logistic
from polarstep import LogisticRegression, Status
from problems import relative

Z = X / UNITS


def fit(X=Z, y=Y, weight=None, **options):
    return LogisticRegression(**{"tol": 1e-13, **options}).fit(X, y, weight)


@parametrize_with_checks(
    [
        LogisticRegression(),
        LogisticRegression(alpha=0.01, n_jobs=2),
        LogisticRegression(penalty=None, class_weight="balanced", warm_start=True),
    ]
)
@pytest.mark.filterwarnings("ignore:LogisticRegression. A hyperplane separates")
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


# --------------------------------------------------------------------------- several classes


@pytest.mark.parametrize("C", [1e-2, 1.0, 100.0])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_several_classes_have_the_optimum_of_scikit_learn(C, weight, fit_intercept):
    options = {"C": C, "fit_intercept": fit_intercept, "class_weight": {"north": 2.0}}
    names = np.array(["north", "south", "west"])[THREE]
    ours, theirs = fit(y=names, weight=weight, **options), logistic(Z, names, weight, **options)
    assert relative(ours.coef_, theirs.coef_) < 1e-5
    assert relative(ours.intercept_, theirs.intercept_) < 1e-4 if fit_intercept else True
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_array_equal(ours.predict(Z), theirs.predict(Z))
    for name in ("decision_function", "predict_proba", "predict_log_proba"):
        expected = getattr(theirs, name)(Z)
        np.testing.assert_allclose(getattr(ours, name)(Z), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.coef_.sum(axis=0), 0, atol=1e-12)
    assert ours.n_iter_.shape == (1,)
    assert ours.intercept_.shape == (3,)
    assert ours.result_.status is Status.converged
    assert ours.result_.x.shape == (3, 4 + fit_intercept)


@pytest.mark.parametrize("kind", ["float32", "F", "csr", "csc", "frame", "raw units"])
def test_several_classes_in_every_layout(kind):
    convert = {
        "float32": np.float32, "F": np.asfortranarray, "csr": sp.csr_array, "csc": sp.csc_matrix,
        "frame": lambda X: pytest.importorskip("pandas").DataFrame(X, columns=[*"abcd"]),
        "raw units": lambda Z: Z * UNITS,
    }[kind]  # fmt: skip
    data = convert(Z)
    penalty = {"C": np.inf} if kind == "raw units" else {}
    found, expected = fit(data, THREE, **penalty), fit(Z, THREE, **penalty)
    scale = UNITS if kind == "raw units" else 1.0
    assert relative(found.coef_ * scale, expected.coef_) < 1e-4
    np.testing.assert_array_equal(found.predict(data), expected.predict(Z))
    assert found.coef_.dtype == np.float64


def test_no_penalty_gives_the_same_probabilities_in_all_units():
    expected = logistic(Z, THREE, C=np.inf).predict_proba(Z)
    found = fit(1e5 * Z, THREE, penalty=None)
    np.testing.assert_allclose(found.predict_proba(1e5 * Z), expected, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.coef_.sum(axis=0), 0, atol=1e-15)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_class_of_weight_zero_stays_in_classes(fit_intercept):
    """With an intercept, two classes remain, and softmax penalises each by half of the weight."""
    weight = np.where(THREE == 1, 0.0, 1.0)
    model = fit(y=THREE, weight=weight, fit_intercept=fit_intercept)
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])
    assert not (model.predict(Z) == 1).any()
    if fit_intercept:
        kept = THREE != 1
        two = fit(Z[kept], THREE[kept], C=2.0)
        assert relative(model.coef_[2] - model.coef_[0], two.coef_[0]) < 1e-5
        assert model.coef_[1].tolist() == [0] * 4
        np.testing.assert_allclose(model.predict_proba(Z)[:, [0, 2]], two.predict_proba(Z), 1e-4)
        assert (model.predict_proba(Z)[:, 1] < 1e-300).all()
        assert np.isfinite(model.predict_log_proba(Z)).all()
        warm = model.set_params(warm_start=True, tol=1e-9).fit(Z, THREE, weight)
        assert warm.n_iter_.tolist() == [0]


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_warm_start_of_several_classes_takes_no_iterations(fit_intercept):
    model = fit(y=THREE, warm_start=True, tol=1e-10, fit_intercept=fit_intercept)
    before = model.coef_.copy()
    model.set_params(tol=1e-8).fit(Z, THREE)
    assert model.n_iter_.tolist() == [0]
    np.testing.assert_allclose(model.coef_, before, rtol=1e-9, atol=1e-12)
    model.fit(Z, Y)  # another number of classes
    assert relative(model.coef_, fit(fit_intercept=fit_intercept).coef_) < 1e-3


def test_alpha_of_several_classes():
    weight = 3.0 * WEIGHT
    by_C = fit(y=THREE, weight=weight, C=0.25)
    by_alpha = fit(y=THREE, weight=weight, alpha=1 / (0.25 * weight.sum()))
    np.testing.assert_allclose(by_alpha.coef_, by_C.coef_, rtol=1e-6)


@pytest.mark.parametrize("n_jobs", [2, -1])
def test_threads_give_the_same(n_jobs):
    ours = fit(y=THREE, n_jobs=n_jobs)
    assert relative(ours.coef_, fit(y=THREE).coef_) < 1e-6


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


@pytest.mark.parametrize("y", [Y, THREE], ids=["two", "three"])
def test_a_warning_if_max_iter_is_too_small(y):
    text = r"LogisticRegression: .*Raise max_iter.*suboptimality is about"
    with pytest.warns(ConvergenceWarning, match=text) as seen:
        model = fit(y=y, max_iter=1)
    assert seen[0].filename == __file__
    assert model.result_.status is Status.max_iter


@pytest.mark.parametrize("y", [Y, THREE], ids=["two", "three"])
def test_verbose_prints_one_line_for_each_iteration(capsys, y):
    model = fit(y=y, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == model.n_iter_[0] + 1
    assert all(line.startswith("[LogisticRegression] iteration") for line in lines)


def test_a_pickle_predicts_the_same():
    fitted = fit()
    model = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(model.predict_proba(Z), fitted.predict_proba(Z))
    assert model.result_.status is Status.converged


@pytest.mark.parametrize("y", [Y, THREE], ids=["two", "three"])
def test_saturated_probabilities_agree_with_predict(y):
    model = fit(y=y)
    far = 1e4 * Z
    for name in ("predict_proba", "predict_log_proba"):
        values = getattr(model, name)(far)
        np.testing.assert_array_equal(model.classes_[values.argmax(axis=1)], model.predict(far))
    assert np.isfinite(model.predict_log_proba(far)).all()


@pytest.mark.parametrize("y", [Y, THREE], ids=["two", "three"])
def test_the_defaults_warn_nothing(y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LogisticRegression().fit(X, y)


def test_dask_arrays_of_two_classes():
    da = pytest.importorskip("dask.array", reason="needs Dask: pip install 'polarstep[dask]'")
    parts = (da.from_array(a, chunks=(100, *a.shape[1:])) for a in (Z, Y, WEIGHT))
    near, far = fit(weight=WEIGHT, alpha=0.01), LogisticRegression(tol=1e-13, alpha=0.01)
    assert relative(far.fit(*parts).coef_, near.coef_) < 1e-6
    lazy = far.predict_log_proba(da.from_array(Z, chunks=(100, 4)))
    np.testing.assert_allclose(lazy.compute(), near.predict_log_proba(Z), rtol=1e-5, atol=1e-8)
    assert far.result_.success
