"""Reading coefficients, penalties and names from fitted models."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression

from inference_cases import THREE, Softmax, Y, Z, fitted
from polarstep import HalfspaceClassifier
from polarstep.linear_model.inference.fitted_model import read_model, term_names


def test_coefficients_are_relative_to_the_base():
    model = Softmax(1.0).fit(Z, THREE)
    found = read_model(model, "b", "f")
    np.testing.assert_allclose(found.coef, model.coef_[[0, 2]] - model.coef_[1])
    np.testing.assert_allclose(found.intercept, model.intercept_[[0, 2]] - model.intercept_[1])
    assert found.codes(np.array([0, 1, 2])).tolist() == [0, -1, 1]
    assert found.equations.tolist() == ["a", "c"]
    np.testing.assert_allclose(found.theta[:, :3], found.coef)
    whole = found.of_classes(found.theta)
    np.testing.assert_allclose(whole.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(whole[:, :3], model.coef_, atol=1e-8)
    np.testing.assert_allclose(found.relative(whole), found.theta)
    np.testing.assert_allclose(found.relative(np.array([whole, whole]))[1], found.theta)


def test_two_classes():
    model = fitted(Z)
    one, other = read_model(model, None, "f"), read_model(model, 1, "f")
    np.testing.assert_array_equal(one.coef, model.coef_)
    np.testing.assert_array_equal(other.coef, -model.coef_)
    np.testing.assert_array_equal(one.of_classes(one.theta), other.of_classes(other.theta))
    np.testing.assert_array_equal(other.relative(one.theta), other.theta)
    bare = read_model(fitted(Z, fit_intercept=False), None, "f")
    assert bare.theta.shape == (1, 3)
    assert bare.of_classes(bare.theta)[:, -1].tolist() == [0.0]
    model.coef_ = sp.csr_matrix(model.coef_)
    np.testing.assert_array_equal(read_model(model, None, "f").coef, one.coef)


@pytest.mark.parametrize(
    ("attributes", "ridge"),
    [
        ({"C": 4.0}, 0.25),
        ({"C": np.inf}, 0.0),
        ({"C": 1e-310}, 1e100),
        ({"C": 4.0, "alpha": 0.5}, 5.0),
        ({"C": 4.0, "alpha": 0.0}, 0.0),
        ({"C": 4.0, "alpha": None}, 0.25),
        ({"C": 4.0, "penalty": None}, 0.0),
        ({"C": 4.0, "penalty": "l2", "l1_ratio": None}, 0.25),
        ({"C": 4.0, "penalty": "deprecated", "l1_ratio": 0.0}, 0.25),
        ({"C_": np.array([0.1, 0.1, 0.1])}, 10.0),
    ],
)
def test_strength_of_the_penalty(attributes, ridge):
    model = Softmax().fit(Z, THREE)
    for name, value in attributes.items():
        setattr(model, name, value)
    assert read_model(model, None, "f").ridge(10.0) == pytest.approx(ridge)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"penalty": "l1"}, "an L2 penalty or none; got penalty='l1'"),
        ({"penalty": "elasticnet", "l1_ratio": 0.5}, "l1_ratio=0.5"),
        ({"C_": np.array([0.1, 0.2])}, "one C for all classes; got 2 values"),
    ],
)
def test_refused_penalties(attributes, message):
    model = Softmax().fit(Z, THREE)
    for name, value in attributes.items():
        setattr(model, name, value)
    with pytest.raises(ValueError, match=message):
        read_model(model, None, "f")


def test_what_is_not_a_fitted_logistic_model():
    with pytest.raises(NotFittedError):
        read_model(HalfspaceClassifier(), None, "f")
    with pytest.raises(TypeError, match="must be a logistic model; got a LinearRegression without"):
        read_model(LinearRegression().fit(Z, Y), None, "f")
    for thing in (HalfspaceClassifier, 3):
        with pytest.raises(TypeError, match="must be a logistic model; got a"):
            read_model(thing, None, "f")


def test_how_far_a_fit_says_it_is_from_its_minimum():
    model = fitted(Z, tol=1e-3)
    assert read_model(model, None, "f").excess == model.result_.gap * model.result_.fun > 0
    assert read_model(Softmax().fit(Z, THREE), None, "f").excess == 0.0
    paper = fitted(Z, C=1.0, method="gdnp", tol=1e-3, max_iter=1000)
    assert read_model(paper, None, "f").excess == 0.0  # such a run estimates no suboptimality


def test_names():
    class Named:
        feature_names_in_ = np.array(["a", "intercept"], dtype=object)

    names = lambda *arguments, **options: term_names(*arguments, who="f", **options)  # noqa: E731
    assert names(Named(), None, None, 2, intercept=True) == ("a", "intercept", "(intercept)")
    assert names(Named(), None, ["u", "v"], 2, intercept=False) == ("u", "v")
    assert names(None, None, None, 2, intercept=True) == ("x0", "x1", "intercept")
    with pytest.raises(ValueError, match="one name for each of the 2 features; got 1 names"):
        names(None, None, ["u"], 2, intercept=True)
