"""LogisticRegressionCV: scikit-learn's contract, and agreement with its class of this name."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegressionCV as Reference
from sklearn.metrics import accuracy_score, make_scorer, matthews_corrcoef
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneOut,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
)
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.fixes import parse_version

import polarstep as ps
from polarstep import LogisticRegressionCV

RNG = np.random.default_rng(0)
X = RNG.standard_normal((150, 5))
SCORE = X @ [1.0, -1.0, 0.5, 0.0, 0.0] + RNG.logistic(size=150)
TWO = np.where(SCORE > 0.2, "yes", "no")
THREE = np.digitize(SCORE, [-1.0, 1.0])
WEIGHT = RNG.exponential(size=150)
GROUPS = np.repeat(np.arange(10), 15)
CS = [0.01, 0.3, 10.0]
PATHS = ("Cs_", "C_", "scores_", "coefs_paths_", "n_iter_", "coef_", "intercept_")
NEW_ATTRIBUTES = pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.8"),
    reason="this version of scikit-learn has no use_legacy_attributes",
)


def fit(X=X, y=TWO, weight=None, **options):
    return LogisticRegressionCV(**{"Cs": CS, "tol": 1e-12, **options}).fit(X, y, weight)


def reference(X=X, y=TWO, weight=None, **options):
    """Return scikit-learn's fit to the same problem."""
    options = {"Cs": CS, "tol": 1e-10, "solver": "newton-cg", "max_iter": 1000, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about defaults of future versions
        return Reference(**options).fit(X, y, weight)


def stacked(value):
    return np.array(list(value.values())) if isinstance(value, dict) else np.asarray(value)


def assert_same(ours, theirs):
    """Check that all attributes have the same shapes and values, but for iteration counts."""
    for name in PATHS:
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert isinstance(mine, dict) == isinstance(other, dict), name
        if isinstance(mine, dict):
            assert list(mine) == list(other), name
        mine, other = stacked(mine), stacked(other)
        assert mine.shape == other.shape, name
        if name != "n_iter_":
            # The intercepts of several classes are determined up to a constant.
            several = len(ours.classes_) > 2 and name in ("coefs_paths_", "intercept_")
            axis = {"coefs_paths_": 0 if isinstance(ours.scores_, dict) else 3}.get(name, 0)
            if several:
                mine, other = (v - v.mean(axis=axis, keepdims=True) for v in (mine, other))
            np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-5, err_msg=name)


# --------------------------------------------------------------------------- the contract


@parametrize_with_checks(
    [LogisticRegressionCV(cv=3), LogisticRegressionCV(cv=3, Cs=4, scoring="neg_log_loss")]
)
def test_scikit_learn_checks(estimator, check):
    before = estimator.get_params()
    check(estimator)
    assert estimator.get_params() == before


def test_parameters_are_those_of_scikit_learn_and_pass_through_unchanged():
    given = {
        "Cs": [1.0, 2.0], "cv": KFold(3), "l1_ratios": (0,), "fit_intercept": False, "dual": False,
        "penalty": "l2", "scoring": "f1", "solver": "sag", "tol": 1e-3, "max_iter": 7,
        "class_weight": {0: 2.0}, "n_jobs": -1, "verbose": 1, "refit": False, "random_state": 3,
        "intercept_scaling": 2.0, "use_legacy_attributes": False,
    }  # fmt: skip
    parameters = clone(LogisticRegressionCV(**given)).get_params()
    assert {name: parameters[name] for name in given if name != "cv"} == {
        name: value for name, value in given.items() if name != "cv"
    }
    assert set(parameters) == set(given)
    assert set(Reference().get_params()) <= set(given)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"Cs": 0}, ValueError, "`Cs` must be a whole number >= 1"),
        ({"Cs": [1.0, -1.0]}, ValueError, "numbers > 0"),
        ({"Cs": "many"}, TypeError, "numbers > 0"),
        ({"Cs": [[1.0]]}, ValueError, "numbers > 0"),
        ({"cv": 1}, ValueError, "at least one train/test split"),
        ({"cv": "five"}, ValueError, "cv"),
        ({"l1_ratios": (0, 0.5)}, ValueError, "`l1_ratios` must be None or .0,.*saga"),
        ({"l1_ratios": (1,)}, ValueError, "saga"),
        ({"penalty": "l1"}, ValueError, "saga"),
        ({"penalty": None}, ValueError, r"Use Cs=\[np.inf\]"),
        ({"solver": "newton"}, ValueError, "`solver` must be one of"),
        ({"solver": "liblinear"}, ValueError, "unpenalised"),
        ({"scoring": "accurracy"}, ValueError, "Did you mean 'accuracy'"),
        ({"scoring": 3}, TypeError, "`scoring` must be the name of a score"),
        ({"refit": "yes"}, TypeError, "`refit` must be True or False"),
        ({"tol": 0}, ValueError, "`tol` must be"),
    ],
)
def test_invalid_arguments(options, error, message):
    with pytest.raises(error, match=message):
        fit(**options)


def test_an_interrupted_fit_leaves_the_estimator_as_it_was(monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    model = LogisticRegressionCV(Cs=CS, cv=3)
    with monkeypatch.context() as patch:
        patch.setattr("polarstep.linear_model.held_out.ScoredRows.score", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, TWO)
    with pytest.raises(NotFittedError):
        model.predict(X)
    model.fit(X, TWO)
    before = model.predict(X)
    with monkeypatch.context() as patch:
        patch.setattr("polarstep.linear_model.held_out.ScoredRows.score", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X[:, :2], THREE)
    np.testing.assert_array_equal(model.predict(X), before)


def test_verbose_prints_one_line_for_each_iteration(capsys):
    fit(verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 2
    assert all("LogisticRegressionCV" in line and "f = " in line for line in lines)


def test_a_model_that_does_not_converge_is_named():
    with pytest.warns(ConvergenceWarning) as seen:
        fit(max_iter=1, tol=1e-13, cv=3)
    first = str(seen[0].message)
    assert "of 9 models did not converge" in first
    assert "the first one is that of C=" in first
    assert "Raise max_iter or tol." in first
    assert seen[0].filename == fit.__code__.co_filename  # where fit was called


# --------------------------------------------------------------------------- the same results


@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("fit_intercept", [True, False], ids=["intercept", "none"])
@pytest.mark.parametrize("refit", [True, False], ids=["refit", "mean"])
def test_all_attributes_are_those_of_scikit_learn(y, fit_intercept, refit):
    options = {"fit_intercept": fit_intercept, "refit": refit, "scoring": "neg_log_loss"}
    assert_same(fit(X, y, **options), reference(X, y, **options))


@NEW_ATTRIBUTES
@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("l1_ratios", [None, (0,)], ids=["none", "zero"])
@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "new"])
def test_attributes_have_the_form_that_is_asked_for(y, l1_ratios, legacy):
    options = {"l1_ratios": l1_ratios, "use_legacy_attributes": legacy}
    assert_same(fit(X, y, **options), reference(X, y, **options))


@pytest.mark.parametrize(
    "cv",
    [
        4,
        KFold(4, shuffle=True, random_state=0),
        StratifiedKFold(3, shuffle=True, random_state=0),
        ShuffleSplit(4, test_size=0.3, random_state=0),
        RepeatedStratifiedKFold(n_splits=2, n_repeats=3, random_state=0),
        LeaveOneOut(),
        list(GroupKFold(5).split(X, TWO, GROUPS)),
        [([*range(100), *range(50)], range(100, 150)), (range(50, 150), range(50))],
    ],
    ids=lambda cv: type(cv).__name__,
)
@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
def test_every_kind_of_splits(cv, y):
    rows = slice(0, 150, 5) if isinstance(cv, LeaveOneOut) else slice(None)
    assert_same(fit(X[rows], y[rows], cv=cv), reference(X[rows], y[rows], cv=cv))


@pytest.mark.parametrize("scoring", ["roc_auc", "f1", "neg_brier_score", "balanced_accuracy"])
def test_scores_of_two_classes(scoring):
    y = (TWO == "yes").astype(int)
    assert_same(fit(X, y, scoring=scoring), reference(X, y, scoring=scoring))


@pytest.mark.parametrize("scoring", ["neg_log_loss", "f1_macro", "roc_auc_ovr", "accuracy"])
def test_scores_of_several_classes(scoring):
    assert_same(fit(X, THREE, scoring=scoring), reference(X, THREE, scoring=scoring))


def test_scores_by_a_callable_see_the_labels():
    def share_of_yes(estimator, X, y):
        assert set(y) <= {"no", "yes"}
        return float((estimator.predict(X) == "yes").mean()) + estimator.C / 1e3

    scorers = (make_scorer(matthews_corrcoef), share_of_yes)
    for scorer in scorers:
        assert_same(fit(scoring=scorer), reference(scoring=scorer))


@pytest.mark.parametrize("load", [load_iris, load_wine])
def test_the_same_best_C_on_real_data_at_the_default_tolerance(load):
    data, y = load(return_X_y=True)
    data = (data - data.mean(axis=0)) / data.std(axis=0)
    ours = LogisticRegressionCV().fit(data, y)
    theirs = reference(data, y, Cs=10)
    np.testing.assert_allclose(ours.C_, theirs.C_)
    # With the smallest C all scores of a row are nearly equal.
    np.testing.assert_allclose(stacked(ours.scores_)[:, :, 1:], stacked(theirs.scores_)[:, :, 1:])
    assert ours.score(data, y) == theirs.score(data, y)


@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("class_weight", [None, "balanced", "dict"])
def test_sample_and_class_weights(y, class_weight):
    if class_weight == "dict":
        class_weight = {label: 1.0 + k for k, label in enumerate(np.unique(y))}
    options = {"class_weight": class_weight, "cv": StratifiedKFold(3)}
    weight = WEIGHT * (np.arange(150) % 7 > 0)
    ours = fit(X, y, weight, **options)
    if class_weight != "balanced" or parse_version(sklearn.__version__) >= parse_version("1.7"):
        assert_same(ours, reference(X, y, weight, **options))
    held_out = [test for _, test in StratifiedKFold(3).split(X, y)]
    first = stacked(ours.coefs_paths_)[:, 0, 0]
    margins = X[held_out[0]] @ first[:, :-1].T + first[:, -1]
    chosen = margins.argmax(axis=1) if len(first) > 1 else (margins[:, 0] > 0).astype(int)
    score = accuracy_score(y[held_out[0]], np.unique(y)[chosen], sample_weight=weight[held_out[0]])
    assert stacked(ours.scores_)[0, 0, 0] == pytest.approx(score)


@pytest.mark.parametrize(
    "convert", [np.asfortranarray, sp.csr_matrix, sp.csc_array, np.float32], ids=str
)
@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
def test_other_forms_of_X(convert, y):
    tolerance = 1e-3 if convert is np.float32 else 1e-5
    ours, same = fit(convert(X), y), fit(X, y)
    np.testing.assert_allclose(ours.coef_, same.coef_, atol=tolerance)
    np.testing.assert_allclose(ours.C_, same.C_)
    scored = fit(convert(X), y, scoring="neg_log_loss")
    np.testing.assert_allclose(
        stacked(scored.scores_), stacked(fit(X, y, scoring="neg_log_loss").scores_), rtol=1e-3
    )


def test_columns_far_from_zero_do_not_change_the_models():
    shifted = X + np.array([1e6, -3.0, 0.0, 1e3, 7.0])
    ours, same = fit(shifted, THREE), fit(X, THREE)
    np.testing.assert_allclose(ours.coef_, same.coef_, atol=1e-4)
    np.testing.assert_array_equal(stacked(ours.scores_), stacked(same.scores_))


def test_threads_give_the_same():
    np.testing.assert_allclose(fit(n_jobs=2).coef_, fit().coef_, rtol=1e-6)


def test_no_penalty_is_a_C_of_infinity():
    ours = fit(Cs=[np.inf])
    np.testing.assert_array_equal(ours.C_, [np.inf])
    np.testing.assert_allclose(
        ours.coef_, ps.LogisticRegression(C=np.inf, tol=1e-12).fit(X, TWO).coef_, rtol=1e-4
    )


def test_the_refit_is_that_of_LogisticRegression():
    ours = fit(X, TWO, WEIGHT, class_weight="balanced")
    same = ps.LogisticRegression(C=ours.C_[0], class_weight="balanced", tol=1e-12)
    same.fit(X, TWO, WEIGHT)
    np.testing.assert_allclose(ours.coef_, same.coef_, rtol=1e-5)
    np.testing.assert_allclose(ours.predict_proba(X), same.predict_proba(X), atol=1e-6)
    assert ours.result_.success
    assert ours.result_.fun == pytest.approx(same.result_.fun)


# --------------------------------------------------------------------------- rare classes


def test_a_split_without_a_training_row_of_a_class_is_named():
    y = np.r_[np.full(75, "a"), np.full(75, "b")]
    with pytest.raises(ValueError, match=r"`cv` must .* split 0 without class a.*StratifiedKFold"):
        fit(X, y, cv=KFold(2))
    # Without intercepts the optimum is finite.
    options = {"cv": KFold(2), "fit_intercept": False}
    assert_same(fit(X, y, **options), reference(X, y, **options))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("scoring", ["neg_log_loss", "f1_macro", None])
def test_held_out_rows_may_lack_a_class(scoring):
    order = np.argsort(THREE, kind="stable")
    train = np.arange(0, 150, 2)
    cv = [(train, order[:30]), (train, order[60:])]
    assert_same(fit(X, THREE, cv=cv, scoring=scoring), reference(X, THREE, cv=cv, scoring=scoring))


# --------------------------------------------------------------------------- metadata


def test_groups_reach_the_splitter_by_metadata_routing():
    with config_context(enable_metadata_routing=True):
        model = LogisticRegressionCV(Cs=CS, cv=GroupKFold(5), tol=1e-12)
        model.fit(X, TWO, groups=GROUPS)
    assert_same(model, fit(cv=list(GroupKFold(5).split(X, TWO, GROUPS))))
    with pytest.raises(ValueError, match="enable_metadata_routing=True"):
        LogisticRegressionCV(cv=GroupKFold(5)).fit(X, TWO, groups=GROUPS)


@pytest.mark.parametrize("weigh", [True, False])
def test_weights_reach_a_scorer_that_asks_for_them(weigh):
    with config_context(enable_metadata_routing=True):
        scorer = make_scorer(accuracy_score).set_score_request(sample_weight=weigh)
        model = LogisticRegressionCV(Cs=CS, scoring=scorer, tol=1e-12)
        model.set_fit_request(sample_weight=True).fit(X, TWO, sample_weight=WEIGHT)
        theirs = Reference(Cs=CS, scoring=scorer, tol=1e-10, solver="newton-cg").set_fit_request(
            sample_weight=True
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            theirs.fit(X, TWO, sample_weight=WEIGHT)
        assert_same(model, theirs)
        weight = {"sample_weight": WEIGHT} if weigh else {}
        expected = accuracy_score(TWO, model.predict(X), **weight)
        assert model.score(X, TWO, **weight) == pytest.approx(expected)


def test_score_uses_scoring():
    model, weighed = fit(scoring="neg_log_loss"), fit()
    assert model.score(X, TWO) == pytest.approx(reference(scoring="neg_log_loss").score(X, TWO))
    assert weighed.score(X, TWO, sample_weight=WEIGHT) == pytest.approx(
        accuracy_score(TWO, weighed.predict(X), sample_weight=WEIGHT)
    )
