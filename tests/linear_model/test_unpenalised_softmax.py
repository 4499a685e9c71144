"""Softmax regression without a penalty: separable classes are reported; the norm is the least."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

from block_problems import make_rows
from polarstep import LogisticRegression, Status
from polarstep.linear_model.unpenalised_softmax import separates
from separable_data import is_separable, leads, random_data

RNG = np.random.default_rng(0)


def fit(X, y, **options):
    """Return a fit without a penalty, and the text of its warnings."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model = LogisticRegression(**{"penalty": None, **options}).fit(X, y)
    assert all(w.category is ConvergenceWarning for w in seen)
    return model, " ".join(str(w.message) for w in seen)


@pytest.mark.parametrize("intercept", [True, False])
def test_the_status_is_separable_if_and_only_if_hyperplanes_separate_the_classes(intercept):
    answers = set()
    for seed in range(60):
        X, y = random_data(seed, n_classes=3 + seed % 2)
        if len(np.unique(y)) < 3:
            continue
        model, text = fit(X, y, fit_intercept=intercept, max_iter=300)
        separable = is_separable(X, y, intercept=intercept)
        answers.add(separable)
        assert (model.result_.status is Status.separable) == separable, seed
        assert (model.result_.separation is not None) == separable
        if separable:
            assert "A hyperplane separates the classes" in text
            shares = leads(X, y, model.result_.separation.direction)
            assert shares.min() >= -1e-8
            assert shares.max() > 1e-7
        else:
            assert not text or model.result_.status is not Status.converged, seed
    assert answers == {True, False}


def test_the_warning_names_the_features():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(RNG.normal(size=(300, 3)), columns=["age", "dose", "leak"])
    y = RNG.integers(0, 3, 300)
    frame["leak"] = np.where(y == 1, 2.0, RNG.uniform(size=300))
    model, text = fit(frame, y)
    assert text.endswith("The direction is led by leak.")
    assert model.result_.separation.direction.shape == (3, 4)
    assert not fit(frame, y, penalty="l2", C=100.0)[1]


@pytest.mark.parametrize("shift", [0.0, 100.0])
@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array])
def test_collinear_columns_get_the_least_norm(convert, shift):
    """It is the limit of the penalised optima as C goes to infinity."""
    x = RNG.normal(size=(300, 1))
    y = np.digitize(x[:, 0] + RNG.logistic(size=300), [-1.0, 1.0])
    collinear = convert(np.hstack([x, 1000.0 * x]) + shift)
    model, text = fit(collinear, y, tol=1e-12)
    one, _ = fit(x, y, tol=1e-12)
    assert not text
    expected = one.coef_ * [1.0, 1000.0] / (1.0 + 1000.0**2)
    np.testing.assert_allclose(model.coef_, expected, rtol=1e-4, atol=1e-10)
    np.testing.assert_allclose(model.coef_.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(model.predict_proba(collinear), one.predict_proba(x), rtol=1e-4)


@pytest.mark.parametrize("kind", ["C", "csr"])
@pytest.mark.parametrize("intercept", [True, False])
def test_a_direction_is_checked_on_all_rows(kind, intercept):
    rows = make_rows(kind, n=200, d=5)
    X = rows.matrix.X.toarray() if kind == "csr" else rows.matrix.X
    n_classes = rows.codes.max() + 1
    direction = np.zeros((n_classes, X.shape[1] + 1))
    assert separates(rows, direction, intercept)
    for column in (0, -1) if intercept else (0,):
        direction[:] = 0.0
        direction[0, column] = 1.0
        assert not separates(rows, direction, intercept)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("absent", [0, 1, 2])
def test_a_class_without_rows(intercept, absent):
    X = RNG.normal(size=(200, 3))
    y = RNG.integers(0, 3, 200)
    weights = {k: 0.0 if k == absent else 1.0 for k in range(3)}
    model, text = fit(X, y, fit_intercept=intercept, class_weight=weights)
    assert not text
    assert model.coef_.shape == (3, 3)
    assert not intercept or absent not in model.predict(X)


def test_dask_arrays(monkeypatch):
    da = pytest.importorskip("dask.array", reason="needs Dask: pip install 'polarstep[dask]'")
    from polarstep.linear_model.on_dask import block_rows

    monkeypatch.setattr(block_rows, "CLIENT_VALUES", 4_000)  # too few for all rows
    X = RNG.normal([0.0, 5.0, 0.0], size=(2_500, 3))
    y = np.where(X[:, 2] > 0.5, 2, RNG.integers(0, 2, 2_500))
    near, expected = fit(X, y)
    far, text = fit(da.from_array(X, chunks=(500, -1)), y)
    assert far.result_.status is near.result_.status is Status.separable
    assert text == expected
    for model in (near, far):
        assert leads(X, y, model.result_.separation.direction).min() >= -1e-8
    y[7] = 0 if y[7] else 1
    noisy = np.where(RNG.random(2_500) < 0.2, RNG.integers(0, 3, 2_500), y)
    assert fit(da.from_array(X, chunks=(500, -1)), noisy)[0].result_.status is Status.converged
