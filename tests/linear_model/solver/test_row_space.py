"""Far more columns than rows: the problem is solved in a basis of the rows, with n unknowns."""

import numpy as np
import pytest
import scipy.sparse as sp

import polarstep as ps
from newton import Reference
from polarstep.linear_model.solver import stages
from polarstep.linear_model.solver.row_space import ColumnCoordinates, RowSpace
from polarstep.linear_model.solver.stages import in_row_space
from weighted_samples import centred, problem_of


def wide(n=30, d=200, seed=0, units=True):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 8)) @ rng.standard_normal((8, d)) + rng.standard_normal((n, d))
    y = X[:, :4].sum(axis=1) + 2 * rng.standard_normal(n) > 0
    return X * np.exp(rng.normal(0, 2, d)) + 5 if units else X, y


@pytest.mark.parametrize("convert", [np.asarray, np.asfortranarray, sp.csr_array])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("C", [1e-3, 1.0, 1e4])
def test_the_optimum_is_the_same(convert, fit_intercept, C, monkeypatch):
    X, y = wide()
    model = ps.HalfspaceClassifier(C=C, fit_intercept=fit_intercept, tol=1e-12)
    inside = model.fit(convert(X), y)
    coef, intercept = inside.coef_.copy(), inside.intercept_.copy()
    monkeypatch.setattr(stages, "MOST_ROWS_OF_BASIS", 0)
    outside = ps.HalfspaceClassifier(C=C, fit_intercept=fit_intercept, tol=1e-12, max_iter=5000)
    outside.fit(convert(X), y)
    scale = np.abs(X @ coef.T).max()
    assert (
        np.abs(X @ (coef - outside.coef_).T + intercept - outside.intercept_).max() < 1e-4 * scale
    )


def test_the_basis_is_orthonormal_and_holds_the_rows():
    X, y = wide()
    rng = np.random.default_rng(0)
    outer = problem_of(centred(X, np.where(y, 1.0, -1.0)), 1e-3)
    inner = in_row_space(outer)
    z = rng.standard_normal(len(y) + 1)
    theta = inner.coordinates.leave(z)
    assert np.linalg.norm(theta[:-1]) == pytest.approx(np.linalg.norm(z[:-1]))
    np.testing.assert_allclose(inner.coordinates.enter(theta), z, atol=1e-12)
    assert outer.evaluate(theta).fun == pytest.approx(inner.evaluate(z).fun, rel=1e-12)


@pytest.mark.parametrize("extra", [0, 1])
def test_entries_after_the_weights_stay(extra):
    X = np.random.default_rng(0).standard_normal((3, 8))
    basis = RowSpace(X)
    np.testing.assert_allclose(basis.rows @ basis.rows.T, X @ X.T)
    z = np.arange(3.0 + extra)
    theta = basis.leave(z)
    assert len(theta) == 8 + extra
    np.testing.assert_allclose(X @ theta[:8], basis.rows @ z[:3], atol=1e-12)
    assert (theta[8:] == z[3:]).all()
    assert (basis.enter(theta)[3:] == z[3:]).all()


def test_the_coordinates_of_the_columns_change_nothing():
    theta = np.arange(3.0)
    assert ColumnCoordinates().enter(theta) is theta
    assert ColumnCoordinates().leave(theta) is theta


def test_a_warm_start_and_callbacks_speak_of_the_columns_of_X():
    X, y = wide(units=False)
    seen = []
    objective = ps.Halfspace(X, y, l2_penalty=1e-3, intercept=True)
    result = ps.minimize(objective, "whitened", tol=1e-10, callback=lambda row: seen.append(row.x))
    assert result.x.shape == (201,)
    assert all(x.shape == (201,) for x in seen)
    again = ps.minimize(objective, "whitened", result.x, tol=1e-8)
    assert again.n_iter == 0
    np.testing.assert_allclose(again.x, result.x, atol=1e-10)


def test_it_is_the_optimum():
    X, y = wide(units=False)
    model = ps.HalfspaceClassifier(C=10.0, tol=1e-10).fit(X, y)
    reference = Reference(X, np.where(y, 1.0, -1.0), "softplus", 0.1)  # F/C
    assert reference.excess(model.coef_[0], model.intercept_[0]) <= 1e-10


@pytest.mark.parametrize("intercept", [True, False])
def test_the_first_restart_is_at_the_optimum_of_softplus(intercept):
    X, y = wide(units=False)
    options = {"l2_penalty": 1e-2, "intercept": intercept}
    starts = []

    def callback(row):
        if row.iteration == 0:
            starts.append(row.x)

    bounded = ps.Halfspace(X, y, loss="sigmoid", **options)
    ps.minimize(bounded, "whitened", tol=1e-6, max_iter=1000, callback=callback, n_restarts=1)
    convex = ps.Halfspace(X, y, **options)
    lowest = ps.minimize(convex, "whitened", tol=1e-10).fun
    assert convex.value(starts[1]) <= lowest * (1 + 1e-3)
