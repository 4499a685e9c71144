"""LogisticRegression on Dask collections: the coefficients are those of a fit in memory."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

import polarstep as ps
from polarstep.linear_model.on_dask import block_rows

da = pytest.importorskip("dask.array", reason="needs Dask: pip install 'polarstep[dask]'")


def data(n=900, d=6, n_classes=4):
    rng = np.random.default_rng(3)
    X = rng.exponential(size=(n, d)) * np.geomspace(0.1, 100, d) + 3
    scores = X @ rng.standard_normal((d, n_classes)) / np.geomspace(0.1, 100, d).sum()
    y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    return X, np.array(["ape", "bee", "cat", "dog", "elk"])[y], rng.integers(0, 3, n)


def close(far, near, rtol=1e-7):
    scale = np.abs(near.coef_).max(axis=0)
    np.testing.assert_allclose(far.coef_ / scale, near.coef_ / scale, rtol, 1e-6)
    np.testing.assert_allclose(far.intercept_, near.intercept_, rtol, 1e-6)


@pytest.mark.parametrize("kind", [np.asarray, np.float32, sp.csr_array])
@pytest.mark.parametrize("limit", [1 << 22, 900], ids=["small", "large"])
def test_softmax(kind, limit, monkeypatch):
    monkeypatch.setattr(block_rows, "CLIENT_VALUES", limit)
    X, y, weight = data()
    options = {"tol": 1e-15, "class_weight": "balanced", "C": 0.1}
    near = ps.LogisticRegression(**options).fit(kind(X), y, weight)
    blocks = da.from_array(X, chunks=(250, -1)).map_blocks(kind)
    far = ps.LogisticRegression(**options).fit(blocks, da.from_array(y, chunks=300), weight)
    close(far, near)
    assert far.classes_.tolist() == near.classes_.tolist()
    assert far.result_.x.shape == near.result_.x.shape
    for name in ("predict_proba", "predict_log_proba"):
        lazy = getattr(far, name)(blocks).compute()
        np.testing.assert_allclose(lazy, getattr(near, name)(kind(X)), rtol=1e-4)
    assert far.score(blocks, y, weight) == pytest.approx(near.score(kind(X), y, weight), abs=0.002)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_class_of_no_weight_is_never_predicted(fit_intercept):
    X, y, _ = data()
    options = {"tol": 1e-13, "class_weight": {"cat": 0.0}, "fit_intercept": fit_intercept}
    near = ps.LogisticRegression(**options).fit(X, y)
    far = ps.LogisticRegression(**options).fit(da.from_array(X, chunks=(250, -1)), y)
    close(far, near)


def test_a_warm_start_ends_at_once():
    X, y, _ = data()
    blocks = da.from_array(X, chunks=(250, -1))
    model = ps.LogisticRegression(tol=1e-10).fit(blocks, y)
    again = model.set_params(warm_start=True).fit(blocks, y)
    assert again.n_iter_[0] <= 1


@pytest.mark.parametrize("limit", [1 << 22, 900], ids=["small", "large"])
def test_classes_that_a_hyperplane_separates(limit, monkeypatch):
    monkeypatch.setattr(block_rows, "CLIENT_VALUES", limit)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((900, 3))
    y = (X @ rng.standard_normal((3, 3))).argmax(axis=1)
    blocks = da.from_array(X, chunks=(300, -1))
    with pytest.warns(ConvergenceWarning, match="separate"):
        model = ps.LogisticRegression(C=np.inf).fit(blocks, y)
    assert model.result_.status.name == "separable"
    assert model.score(blocks, y) == 1.0
    # With a penalty the optimum exists, and is found although it lies far out.
    near = ps.LogisticRegression(C=1e4, tol=1e-12).fit(X, y)
    close(ps.LogisticRegression(C=1e4, tol=1e-14).fit(blocks, y), near, rtol=1e-5)
