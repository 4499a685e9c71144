"""Scores of models on held-out rows, and the choice of the best ones."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, get_scorer, log_loss

from polarstep.linear_model.held_out import (
    FittedModels,
    KnownScores,
    ScoredRows,
    best_of_all,
    best_of_each,
    find_scorer,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 3))
THREE = np.array(["a", "b", "c"])[np.digitize(X[:, 0] + RNG.normal(size=60), [-0.5, 0.5])]
TWO = np.where(THREE == "a", "no", "yes")
ROWS = np.arange(0, 60, 2)
WEIGHT = RNG.exponential(size=60)


def fitted(y, Cs=(0.1, 10.0)):
    """Return scikit-learn's models of all rows, and what `ScoredRows` needs to know of them."""
    models = [LogisticRegression(C=C).fit(X, y) for C in Cs]
    coefs = np.array([model.coef_ for model in models])
    intercepts = np.array([model.intercept_ for model in models])
    margins = coefs @ X[ROWS].T + intercepts[..., None]
    return models, FittedModels(np.array(Cs), coefs, intercepts, margins)


def scored(y, **arguments):
    classes, codes = np.unique(y, return_inverse=True)
    return ScoredRows(X, y, codes, classes, arguments)


@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("scoring", [None, "accuracy", "neg_log_loss", "balanced_accuracy"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
def test_scores_are_those_of_the_models(y, scoring, weight):
    models, known = fitted(y)
    arguments = {} if weight is None else {"sample_weight": weight}
    ours = scored(y, **arguments).score(ROWS, known, scoring, "fit")
    at = {name: value[ROWS] for name, value in arguments.items()}
    scorer = get_scorer(scoring or "accuracy")
    expected = [scorer(model, X[ROWS], y[ROWS], **at) for model in models]
    np.testing.assert_allclose(ours, expected, rtol=1e-10)


def test_the_second_class_is_the_positive_one():
    models, known = fitted(TWO)
    ours = scored(TWO).score(ROWS, known, "f1", "fit")
    expected = [f1_score(TWO[ROWS], m.predict(X[ROWS]), pos_label="yes") for m in models]
    np.testing.assert_allclose(ours, expected)


def test_classes_that_the_held_out_rows_lack_are_known():
    models, known = fitted(THREE)
    rows = np.flatnonzero(THREE[ROWS] != "b")
    known = known._replace(margins=known.margins[:, :, rows])
    ours = scored(THREE).score(ROWS[rows], known, "neg_log_loss", "fit")
    expected = [
        -log_loss(THREE[ROWS[rows]], model.predict_proba(X[ROWS[rows]]), labels=["a", "b", "c"])
        for model in models
    ]
    np.testing.assert_allclose(ours, expected)


def test_a_callable_gets_a_fitted_model_with_its_C_and_the_rows():
    def look(model, rows, y, flavour, groups):
        assert isinstance(model, KnownScores)
        np.testing.assert_array_equal(rows, X[ROWS])
        np.testing.assert_array_equal(y, THREE[ROWS])
        np.testing.assert_array_equal(groups, ROWS)
        assert flavour == "sweet"
        other = model.decision_function(rows.copy())
        np.testing.assert_allclose(model.decision_function(rows), other)
        np.testing.assert_allclose(model.predict_proba(rows).sum(axis=1), 1.0)
        return model.C

    rows = scored(THREE, flavour="sweet", groups=np.arange(60))
    np.testing.assert_array_equal(rows.score(ROWS, fitted(THREE)[1], look, "fit"), [0.1, 10.0])


def test_a_score_that_is_not_a_number_is_an_error():
    with pytest.raises(ValueError, match="`scoring` must return one number; got a dict"):
        scored(TWO).score(ROWS, fitted(TWO)[1], lambda *_: {}, "fit")


def test_held_out_rows_without_weight_are_an_error():
    rows = scored(TWO, sample_weight=np.zeros(60))
    with pytest.raises(ValueError, match="hold out rows of positive weight"):
        rows.score(ROWS, fitted(TWO)[1], None, "fit")


def test_scorers_are_found_by_name():
    assert find_scorer(None, "fit") is get_scorer("accuracy") or callable(find_scorer(None, "fit"))
    assert find_scorer(accuracy_score, "fit") is accuracy_score
    with pytest.raises(ValueError, match="Did you mean 'roc_auc'"):
        find_scorer("roc_auk", "fit")
    with pytest.raises(TypeError, match="`scoring` must be the name of a score"):
        find_scorer(["accuracy"], "fit")


# --------------------------------------------------------------------------- the best models


def test_the_first_of_the_best_is_chosen():
    assert best_of_all(np.array([[0.5, 0.75, 0.75], [0.5, 0.75, 0.75]]), "fit") == 1
    scores = np.array([[0.5, 0.9, 0.9], [0.8, 0.1, 0.2]])
    np.testing.assert_array_equal(best_of_each(scores, "fit"), [1, 0])
    assert best_of_all(scores, "fit") == 0


def test_splits_that_determine_no_score_do_not_count():
    nan = np.nan
    assert best_of_all(np.array([[nan, nan], [0.1, 0.2]]), "fit") == 1
    assert best_of_all(np.array([[nan, 0.9], [0.3, 0.2]]), "fit") == 1
    assert best_of_all(np.array([[-np.inf, -3.0], [-1.0, -2.0]]), "fit") == 1
    with pytest.raises(ValueError, match="NaN for every model"):
        best_of_all(np.full((2, 2), nan), "fit")


@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
def test_the_log_loss_is_clipped_as_in_scikit_learn(y):
    models, known = fitted(y)
    large = FittedModels(known.Cs, known.coefs * 1e4, known.intercepts, known.margins * 1e4)
    got = scored(y).score(ROWS, large, "neg_log_loss", "CV")
    for k, model in enumerate(models):
        model.coef_, model.intercept_ = large.coefs[k], 1e4 * large.intercepts[k]
        expected = get_scorer("neg_log_loss")(model, X[ROWS], y[ROWS])
        np.testing.assert_allclose(got[k], expected, rtol=1e-12)
