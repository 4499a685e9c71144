"""Scores, classes and probabilities of linear classifiers."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError

from classifier_cases import THREE, X, Y, fit
from polarstep import HalfspaceClassifier
from polarstep.linear_model.predictions import chosen_classes, linear_scores
from problems import ARCTAN


def test_probabilities_are_for_softplus():
    model = fit()
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-15)
    np.testing.assert_allclose(np.log(probabilities), model.predict_log_proba(X), rtol=1e-9)
    far = model.predict_log_proba(1e4 * X)
    assert np.isfinite(far).all()
    for loss in ("sigmoid", "smooth_hinge", ARCTAN):
        other = HalfspaceClassifier(loss=loss)
        assert not hasattr(other, "predict_proba")
        assert not hasattr(other, "predict_log_proba")
        with pytest.raises(AttributeError) as error:
            other.predict_proba(X)
        assert "CalibratedClassifierCV" in f"{error.value} {error.value.__cause__}"


def test_probabilities_are_equal_where_all_scores_are_very_negative():
    model = fit(X, THREE)
    model.coef_, model.intercept_ = np.zeros((3, 4)), np.full(3, -1e4)
    np.testing.assert_allclose(model.predict_proba(X), 1 / 3)


@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array])
def test_scores_are_those_of_a_linear_function(convert):
    rng = np.random.default_rng(0)
    X, coef, intercept = rng.standard_normal((5, 3)), rng.standard_normal((4, 3)), np.arange(4.0)
    np.testing.assert_allclose(linear_scores(convert(X), coef, intercept), X @ coef.T + intercept)
    one = linear_scores(convert(X), coef[:1], intercept[:1])
    np.testing.assert_allclose(one, X @ coef[0])


def test_a_class_is_chosen_by_its_sign_or_as_the_highest():
    two, three = np.array(["no", "yes"]), np.array([*"abc"])
    assert chosen_classes(np.array([-1.0, 0.0, 2.0]), two).tolist() == ["no", "no", "yes"]
    assert chosen_classes(np.array([[3.0, 1, 2], [0, 5, 5]]), three).tolist() == ["a", "b"]


@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("y", [Y, THREE], ids=["two", "three"])
def test_sparse_coefficients_predict_the_same(convert, y):
    model = fit(X, y)
    before, scores = model.coef_, model.decision_function(X)
    assert model.sparsify() is model
    assert sp.issparse(model.coef_)
    np.testing.assert_allclose(model.decision_function(convert(X)), scores, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(model.predict(convert(X)), fit(X, y).predict(X))
    assert model.result_.x.shape == fit(X, y).result_.x.shape
    np.testing.assert_array_equal(model.densify().densify().coef_, before)
    with pytest.raises(NotFittedError):
        HalfspaceClassifier().sparsify()
