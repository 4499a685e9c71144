"""HalfspaceClassifier on Dask collections: fit, predict, names, refusals."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import polarstep as ps

da = pytest.importorskip("dask.array", reason="needs Dask: pip install 'polarstep[dask]'")
dd = pytest.importorskip("dask.dataframe", reason="needs Dask: pip install 'polarstep[dask]'")
pd = pytest.importorskip("pandas", reason="needs pandas")

PREDICTIONS = ("decision_function", "predict", "predict_proba", "predict_log_proba")


def data(n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    X = rng.exponential(size=(400, 5)) * [1, 10, 100, 0.1, 1] + 3
    if n_classes == 2:
        return X, np.where(X[:, 0] + 2 * rng.standard_normal(400) > 4, "yes", "no")
    return X, np.digitize(X[:, 0] + rng.standard_normal(400), [3.5, 4.5])


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kind", ["array", "frame"])
def test_the_same_as_in_memory(kind, n_classes):
    X, y = data(n_classes)
    near = ps.HalfspaceClassifier(tol=1e-13).fit(X, y)
    if kind == "array":
        blocks, labels = da.from_array(X, chunks=(150, 2)), da.from_array(y, chunks=150)
    else:
        names = [f"f{i}" for i in range(X.shape[1])]
        frame = pd.DataFrame({**dict(zip(names, X.T, strict=True)), "label": y})
        parts = dd.from_pandas(frame, npartitions=3)
        blocks, labels = parts[names], parts["label"]
    far = ps.HalfspaceClassifier(tol=1e-13).fit(blocks, labels)
    scale = np.abs(near.coef_).max(axis=1, keepdims=True)
    assert np.abs((far.coef_ - near.coef_) / scale).max() < 1e-6
    assert list(far.classes_) == list(near.classes_)
    if kind == "frame":
        assert list(far.feature_names_in_) == names
    assert far.score(blocks, labels) == pytest.approx(near.score(X, y), abs=0.003)
    weight = labels == y[0]
    assert far.score(blocks, labels, weight) == pytest.approx(near.score(X, y, y == y[0]), abs=0.01)
    # These scores are so large that probabilities underflow.
    logarithms = far.predict_log_proba(1e4 * blocks).compute()
    assert np.isfinite(logarithms).all()
    np.testing.assert_allclose(logarithms, near.predict_log_proba(1e4 * X), rtol=1e-4, atol=1e-2)
    for name in PREDICTIONS:
        lazy = getattr(far, name)(blocks)
        assert isinstance(lazy, da.Array)
        expected = getattr(near, name)(X)
        if name == "predict":
            assert (lazy.compute() == expected).all()
        else:
            np.testing.assert_allclose(lazy.compute(), expected, rtol=1e-4, atol=1e-4)


def test_logarithms_of_saturated_probabilities_are_those_in_memory():
    X, y = data(3)
    model = ps.HalfspaceClassifier().fit(X, y)
    far = 1e4 * X
    lazy = model.predict_log_proba(da.from_array(far, chunks=(150, 5)))
    np.testing.assert_array_equal(lazy.compute(), model.predict_log_proba(far))
    assert np.isfinite(lazy.compute()).all()
    sparse = model.sparsify().decision_function(da.from_array(X, chunks=(150, 5)))
    np.testing.assert_allclose(sparse.compute(), model.densify().decision_function(X))


def test_weights_and_class_weights():
    X, y = data(2)
    weight = np.random.default_rng(0).integers(0, 3, len(y))
    near = ps.HalfspaceClassifier(tol=1e-13, class_weight="balanced").fit(X, y, weight)
    parts = (da.from_array(a, chunks=(100, *a.shape[1:])) for a in (X, y, weight))
    far = ps.HalfspaceClassifier(tol=1e-13, class_weight="balanced").fit(*parts)
    np.testing.assert_allclose(far.coef_, near.coef_, rtol=1e-6)


def test_input_that_is_refused():
    X, y = (da.from_array(a, chunks=100) for a in data(2))
    with pytest.raises(ValueError, match=r"`method` must be 'whitened' on Dask; got 'gdnp'"):
        ps.HalfspaceClassifier(method="gdnp").fit(X, y)
    model = ps.HalfspaceClassifier().fit(X, y)
    with pytest.raises(ValueError, match="must have the 5 columns that it had in fit; got 3"):
        model.predict(X[:, :3])
    frame = dd.from_pandas(pd.DataFrame(np.eye(5), columns=list("abcde")), npartitions=1)
    model = ps.HalfspaceClassifier().fit(frame, da.from_array(np.arange(5) % 2, chunks=5))
    with pytest.raises(ValueError, match="in the same order; got b, a, c, d, e"):
        model.predict(frame[list("bacde")])


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_separable_classes_are_reported_without_a_penalty(share):
    rng = np.random.default_rng(0)
    X = rng.normal([0.0, 1e3, 0.0], size=(3_000, 3))
    y = X[:, 0] > 0.5  # entirely; or else in part, where a level of x2 has one class alone
    if share:
        y = rng.random(3_000) < 0.5
        X[:, 2] = y & (rng.random(3_000) < share)
    near = [da.from_array(X, chunks=(700, 3)), da.from_array(y, chunks=700)]
    with pytest.warns(ConvergenceWarning, match="separates the classes.*led by .*x[02]"):
        model = ps.HalfspaceClassifier(C=np.inf).fit(*near)
    direction = model.result_.separation.direction[0]
    scores = (X @ direction[:3] + direction[3]) * np.where(y, 1.0, -1.0)
    assert scores.min() > -1e-8
    assert scores.max() > 0.1


def test_overlapping_and_collinear_data_converge_to_the_least_norm_without_a_penalty():
    X, y = data(2)
    X = np.hstack([X, 1e3 * X[:, :1]])
    near = ps.HalfspaceClassifier(C=np.inf, tol=1e-12).fit(X, y)
    blocks = da.from_array(X, chunks=(150, 6)), da.from_array(y, chunks=150)
    far = ps.HalfspaceClassifier(C=np.inf, tol=1e-12).fit(*blocks)
    assert far.result_.success
    np.testing.assert_allclose(near.coef_[0, 5], 1e3 * near.coef_[0, 0], rtol=1e-6)
    np.testing.assert_allclose(far.coef_, near.coef_, rtol=1e-4)
