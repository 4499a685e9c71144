"""A separating direction is found if and only if there is one, and it is named by features."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

from polarstep.linear_model.separation import leading_features, separating_direction, spreads
from separable_data import is_separable, leads, random_data

LINE = np.array([[-2.0], [-1.0], [1.0], [2.0]])


@pytest.mark.parametrize("intercept", [True, False])
def test_it_agrees_with_a_linear_programme(intercept):
    answers = set()
    for seed in range(120):
        X, y = random_data(seed)
        found = separating_direction(X, y, fit_intercept=intercept)
        assert (found is not None) == is_separable(X, y, intercept=intercept), seed
        answers.add((found is not None, len(np.unique(y)) > 2))
        if found is not None:
            shares = leads(X, y, found)
            assert shares.min() >= -1e-8, seed
            assert shares.max() > 1e-7, seed
            assert intercept or not found[:, -1].any()
    assert len(answers) == 4  # each answer occurs with two classes and with several


def test_the_largest_standardised_weight_is_one():
    X, y = random_data(7, n_classes=2)
    X = X * 1e5
    y = X[:, 0] - X[:, 0].mean() + 0.2 * (X[:, 1] - X[:, 1].mean()) > 0
    found = separating_direction(X, y)
    assert found.shape == (1, X.shape[1] + 1)
    np.testing.assert_allclose(np.abs(found[0, :-1] * X.std(axis=0)).max(), 1.0)


def test_a_hyperplane_through_the_origin_is_found_without_an_offset():
    assert separating_direction(LINE, [0, 0, 1, 1], fit_intercept=False)[0, 1] == 0.0
    assert separating_direction(LINE + 5, [0, 0, 1, 1], fit_intercept=False) is None
    shifted = separating_direction(LINE + 5, [0, 0, 1, 1])[0]
    np.testing.assert_allclose(-shifted[1] / shifted[0], 5.0)


def test_the_single_feature_that_separates_is_preferred():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 6)), rng.integers(0, 2, 200)
    X[:, 4] = np.where((y == 1) & (rng.random(200) < 0.2), 3.0, 0.0)
    for data in (X, sp.csr_array(X)):
        found = separating_direction(data, y)
        assert np.flatnonzero(found[0]).tolist() == [4]
        assert found[0, 4] > 0
        assert leading_features(found, spreads(data)).tolist() == [4]
    X[:, 4] *= -1
    assert separating_direction(X, y)[0, 4] < 0


def test_rows_of_weight_zero_are_left_out():
    X, y = np.append(LINE, [[3.0]], axis=0), np.array([0, 0, 1, 1, 0])
    assert separating_direction(X, y) is None
    assert separating_direction(X, y, [1, 1, 1, 1, 0]) is not None
    assert separating_direction(X, y, [0, 0, 1, 1, 0]) is None  # one class is left


def test_the_optimum_proves_in_one_step_that_nothing_separates():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(400, 5)) * 10.0 ** np.arange(5)
    y = rng.integers(0, 3, 400)
    for labels in (y, y > 0):
        model = LogisticRegression(C=1e10, solver="newton-cg", max_iter=500).fit(
            X / X.std(0), labels
        )
        start = np.column_stack([model.coef_ / X.std(0), model.intercept_])
        assert separating_direction(X, labels, start=start) is None


def test_a_start_that_separates_is_returned():
    X, y = random_data(0, n_classes=2)
    X = X.toarray()
    w = np.random.default_rng(2).normal(size=X.shape[1]) / np.maximum(X.std(0), 1e-9)
    y = X @ w > np.median(X @ w)
    start = np.append(w, -0.5 * (max(X[~y] @ w) + min(X[y] @ w)))[None]
    assert leads(X, y, separating_direction(X, y, start=start)).min() >= -1e-8


def test_leading_features_have_the_largest_standardised_weights():
    direction = np.array([[1.0, -1e-3, 0.01, 0.5, 0.2, 9.0]])
    spread = np.array([1.0, 900.0, 1.0, 1.0, 1.0])
    assert leading_features(direction, spread).tolist() == [0, 1, 3, 4]


def test_a_share_of_the_rows_decides_only_if_it_determines_all_weights():
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(20_000, 3)), rng.integers(0, 2, 20_000)
    assert separating_direction(X, y) is None
    rare = np.zeros((20_000, 1))
    rare[[11, 17]] = 1.0  # only rows that the share leaves out
    y[[11, 17]] = 1
    found = separating_direction(np.hstack([X, rare, X[:, :1] + rare]), y)
    assert leads(np.hstack([X, rare, X[:, :1] + rare]), y, found).min() >= -1e-8
