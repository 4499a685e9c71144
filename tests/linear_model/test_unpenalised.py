"""Without a penalty: separable classes are reported, and collinear columns get the least norm."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

import polarstep as ps
from newton import Reference
from polarstep import HalfspaceClassifier, Status
from separable_data import is_separable, leads, random_data

LINE = np.array([[-2.0], [-1.0], [1.0], [2.0]])
RNG = np.random.default_rng(0)


def fit(X, y, loss="softplus", **options):
    """Return a fit without a penalty, and the text of its warning."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model = HalfspaceClassifier(loss, C=np.inf, **options).fit(X, y)
    assert all(w.category is ConvergenceWarning for w in seen)
    return model, " ".join(str(w.message) for w in seen)


@pytest.mark.parametrize("intercept", [True, False])
def test_the_status_is_separable_if_and_only_if_a_hyperplane_separates_the_classes(intercept):
    answers = set()
    for seed in range(60):
        X, y = random_data(seed, n_classes=2)
        model, text = fit(X, y, fit_intercept=intercept, max_iter=300)
        separable = is_separable(X, y, intercept=intercept)
        answers.add(separable)
        assert (model.result_.status is Status.separable) == separable, seed
        assert bool(text) == separable or model.result_.status is Status.stalled, seed
        assert (model.result_.separation is not None) == separable
        if separable:
            shares = leads(X, y, model.result_.separation.direction)
            assert shares.min() >= -1e-8
            assert shares.max() > 1e-7
    assert answers == {True, False}


def test_the_warning_names_the_features_and_a_remedy():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(RNG.normal(size=(200, 3)), columns=["age", "dose", "leak"])
    y = RNG.integers(0, 2, 200)
    X["leak"] = np.where(y == 1, RNG.integers(0, 2, 200), 0)
    model, text = fit(X, y)
    assert text.endswith("The direction is led by leak.")
    assert "Use a finite C" in text
    assert "suboptimality" not in text
    assert model.result_.separation.features.tolist() == [2]
    assert "x2" in fit(X.to_numpy(), y)[1]


@pytest.mark.parametrize("loss", ["softplus", "sigmoid"])
def test_losses_that_fall_forever_have_no_optimum_on_separable_classes(loss):
    model, text = fit(LINE, [0, 0, 1, 1], loss)
    assert model.result_.status is Status.separable
    assert not model.result_.success
    assert text.startswith("HalfspaceClassifier: A hyperplane separates the classes")


@pytest.mark.parametrize("method", ["gd", "gdnp", "bn"])
def test_the_methods_of_the_paper_report_separation_too(method):
    X = np.hstack([LINE + 7.0, RNG.normal(size=(4, 1))])
    model, text = fit(X, [0, 0, 1, 1], method=method)
    assert model.result_.status is Status.separable
    assert "The direction is led by x0" in text
    scores = (
        X @ model.result_.separation.direction[0, :2] + model.result_.separation.direction[0, 2]
    )
    assert (scores * [-1, -1, 1, 1] > 0).all()
    overlap = np.append(LINE, [[3.0], [-3.0]], axis=0), [0, 0, 1, 1, 0, 1]
    assert fit(*overlap, method=method)[0].result_.separation is None


@pytest.mark.parametrize("loss", ["smooth_hinge", "squared"])
def test_other_losses_converge_on_separable_classes(loss):
    model, text = fit(LINE, [0, 0, 1, 1], loss)
    assert model.result_.status is Status.converged
    assert text == ""


def test_each_class_against_the_rest_has_its_own_direction():
    X = RNG.normal(size=(300, 2))
    y = RNG.integers(0, 3, 300)
    X[y == 2, 1] += 20.0
    model, text = fit(X, y)
    assert model.result_.status is Status.separable
    direction = model.result_.separation.direction
    assert direction.shape == (3, 3)
    assert direction[2].any()
    assert not direction[:2].any()
    assert "(classes [2])" in text


def test_a_penalty_or_a_row_of_weight_zero_can_save_the_optimum():
    X, y = np.append(LINE, [[3.0]], axis=0), [0, 0, 1, 1, 0]
    assert fit(X, y)[0].result_.success
    assert HalfspaceClassifier(C=1e6).fit(LINE, [0, 0, 1, 1]).result_.success


def test_far_and_shifted_columns_keep_the_direction_in_their_own_units():
    X = np.hstack([LINE * 1e-3 + 1e7, RNG.normal(size=(4, 1))])
    for data in (X, sp.csr_array(X)):
        direction = fit(data, [0, 0, 1, 1])[0].result_.separation.direction
        scores = X.astype(np.longdouble) @ direction[0, :2] + direction[0, 2]
        assert (scores * [-1, -1, 1, 1] > 0).all()


def test_minimize_reports_separation_too():
    result = ps.minimize(ps.Halfspace(LINE, [-1, -1, 1, 1], intercept=True), "whitened")
    assert result.status is Status.separable
    assert result.separation.features.tolist() == [0]
    overlap = ps.Halfspace(LINE, [-1, 1, -1, 1], intercept=True)
    assert ps.minimize(overlap, "whitened").status is Status.converged


@pytest.mark.parametrize("loss", ["softplus", "squared", "smooth_hinge"])
@pytest.mark.parametrize("intercept", [True, False])
def test_collinear_columns_get_the_limit_of_the_penalised_optima(loss, intercept):
    a = RNG.normal(size=(300, 1))
    X = np.hstack([a, 1e3 * a, np.eye(3)[RNG.integers(0, 3, 300)]])
    y = np.where(a[:, 0] + RNG.logistic(size=300) > 0, 1.0, -1.0)
    for data in (X, sp.csr_array(X)):
        model, text = fit(data, y, loss, fit_intercept=intercept, tol=1e-12)
        assert text == ""
        limit = Reference(X / [1, 1e3, 1, 1, 1], y, loss, 1e-9, intercept=intercept)
        w, b = model.coef_[0], model.intercept_[0]
        assert limit.excess(w * [1, 1e3, 1, 1, 1], b) < 1e-8
        np.testing.assert_allclose(w[1], 1e3 * w[0], rtol=1e-6)
        assert not intercept or abs(w[2:].sum()) < 1e-8


def test_wide_data_are_interpolated_with_the_least_norm():
    X = RNG.normal(size=(20, 100))
    y = np.where(RNG.random(20) < 0.5, -1, 1)
    model, text = fit(X, y, "squared", tol=1e-12)
    assert text == ""
    Z = X - X.mean(axis=0)
    np.testing.assert_allclose(model.coef_[0], np.linalg.pinv(Z) @ (y - y.mean()), atol=1e-9)
    assert fit(X, y)[0].result_.status is Status.separable
