"""Rare columns of sparse data: their weights are fitted one by one before all rows are used."""

import numpy as np
import pytest
import scipy.sparse as sp

from polarstep import HalfspaceClassifier
from polarstep.linear_model.solver import sparse_matrix
from polarstep.linear_model.solver.samples import Samples
from polarstep.losses import LOSSES
from problems import ARCTAN
from weighted_samples import centred, gaussian, problem_of


def rare_columns(n=400):
    """Return two common columns, and four with ones in 3 to 9 rows, of equal or mixed labels."""
    rng = np.random.default_rng(3)
    X = np.zeros((n, 6))
    X[:, :2] = rng.standard_normal((n, 2))
    y = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    for j, count in enumerate((3, 5, 7, 9), start=2):
        rows = rng.choice(n, count, replace=False)
        X[rows, j] = 1.0
        y[rows] = 1.0 if j % 2 else y[rows]
    return X, y


@pytest.mark.parametrize("loss", ["softplus", "smooth_hinge", "squared"])
def test_each_rare_weight_is_optimal_by_itself(loss, monkeypatch):
    X, y = rare_columns()
    n = len(y)
    samples = Samples.from_arrays(
        sp.csr_array(X), y, np.full(n, 1.0 / n), X.mean(axis=0), LOSSES[loss]
    )
    problem = problem_of(samples, 1e-4)
    alpha = problem.penalty.diagonal
    w, b = np.array([0.5, -0.2, 0.1, 0.0, 3.0, -1.0]), 0.3
    monkeypatch.setattr(sparse_matrix, "_RARE_SHARE", 24.5 / samples.X.nnz)  # the four rare columns
    new, moved_b, sums, margins = samples.fit_rare_columns(w, b, alpha)
    np.testing.assert_array_equal(new[:2], w[:2])
    assert (new[2:] != w[2:]).all()
    np.testing.assert_allclose(margins, problem.evaluate(np.append(new, moved_b)).margins)
    # In terms of features that are not centred the intercept stays: other rows do not change.
    untouched = (X[:, 2:] == 0).all(axis=1)
    before = problem.evaluate(np.append(w, b)).margins
    np.testing.assert_allclose(margins[untouched], before[untouched], rtol=1e-12)
    again, _ = samples.evaluate(new, moved_b)
    np.testing.assert_allclose(sums.by_w, again.by_w, rtol=1e-9, atol=1e-13)
    slopes = sums.by_w + X.mean(axis=0) * sums.by_b + alpha * new  # b changes, too
    start = samples.evaluate(w, b)[0]
    slopes_before = start.by_w + X.mean(axis=0) * start.by_b + alpha * w
    disjoint = [j for j in range(2, 6) if (X[X[:, j] != 0][:, 2:].sum(axis=1) == 1).all()]
    assert len(disjoint) >= 2
    for j in disjoint:  # a later column with a row in common would change the slope again
        assert abs(slopes[j]) <= 0.02 * abs(slopes_before[j]) + 1e-12


def test_fitting_all_columns_again_and_again_ends_at_the_optimum(monkeypatch):
    X, y = rare_columns()
    monkeypatch.setattr(sparse_matrix, "_RARE_SHARE", 1.0)
    samples = centred(sp.csr_array(X), y)
    alpha = np.full(samples.d, 1e-3)
    w = np.zeros(samples.d)
    for _ in range(100):
        w, b, *_ = samples.fit_rare_columns(w, 0.0, alpha)
        assert b == 0.0
    sums, _ = samples.evaluate(w, 0.0)
    np.testing.assert_allclose(sums.by_w + alpha * w, 0.0, atol=1e-10)


def test_dense_data_and_losses_that_are_not_compiled_are_left_alone():
    X, y = gaussian(50, 3)
    w, alpha = np.ones(3), np.ones(3)
    assert centred(X, y).fit_rare_columns(w, 0.0, alpha) is None
    assert centred(sp.csr_array(X), y, ARCTAN).fit_rare_columns(w, 0.0, alpha) is None


def test_labels_all_alike_in_rare_columns_cost_no_steps():
    rng = np.random.default_rng(0)
    n = 20_000
    common = sp.csr_array(np.where(rng.random((n, 60)) < 0.2, rng.random((n, 60)), 0.0))
    rows = rng.permutation(n)[:200].reshape(20, 10)
    rare = sp.csr_array((np.ones(200), (rows.ravel(), np.repeat(np.arange(20), 10))), shape=(n, 20))
    X = sp.hstack([common, rare], format="csr")
    y = np.where(common @ rng.standard_normal(60) + rng.logistic(size=n) > 0, 1, 0)
    y[rows.ravel()] = 1
    model = HalfspaceClassifier(C=1000, tol=1e-8).fit(X, y)
    assert model.coef_[0, 60:].min() > 3  # far from 0, where the solver starts
    assert model.n_iter_[0] <= 6
