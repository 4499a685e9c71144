"""HalfspaceClassifier takes X and y of every kind, and names what is wrong with bad input."""

import numpy as np
import pytest
import scipy.sparse as sp

from classifier_cases import SCORE, THREE, UNITS, WEIGHT, X, Y, fit, spoiled
from polarstep import HalfspaceClassifier, LogisticRegression
from problems import relative


def test_rows_of_weight_zero_are_ignored():
    spoiled, weight = X.copy(), np.ones(300)
    spoiled[:5], weight[:5] = np.nan, 0.0
    ours, theirs = fit(spoiled, Y, weight), fit(X[5:], Y[5:])
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6)


def test_a_class_of_weight_zero_stays_in_classes():
    weight = np.where(THREE == 1, 0.0, 1.0)
    model = fit(X, THREE, weight)
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])
    assert not (model.predict(X) == 1).any()


@pytest.mark.parametrize(
    "kind", ["F", "strided", "csr", "csc", "coo", "int64", "lists", "csr_array"]
)
def test_every_layout_gives_the_same(kind):
    made = {
        "F": np.asfortranarray, "strided": lambda X: np.repeat(X, 2, axis=0)[::2],
        "csr": sp.csr_matrix, "csc": sp.csc_matrix, "coo": sp.coo_matrix,
        "lists": np.ndarray.tolist,
        "csr_array": sp.csr_array,
        "int64": lambda X: with_long_indices(sp.csr_matrix(X)),
    }[kind](X)  # fmt: skip
    before = made.copy()
    for name in ("softplus", "sigmoid"):
        found, expected = fit(made, Y, loss=name), fit(X, Y, loss=name)
        assert relative(found.coef_ * UNITS, expected.coef_ * UNITS) < 1e-4
        np.testing.assert_array_equal(found.predict(made), expected.predict(X))
    if sp.issparse(made):
        assert (made != before).nnz == 0
    else:
        np.testing.assert_array_equal(made, before)


@pytest.mark.parametrize("kind", [HalfspaceClassifier, LogisticRegression])
@pytest.mark.parametrize("values", [">f8", "<f8"])
@pytest.mark.parametrize("indices", ["u4", "u8", "i2", ">i8"])
@pytest.mark.parametrize("convert", [sp.csr_matrix, sp.csc_array])
def test_sparse_data_of_other_types_and_byte_orders(kind, values, indices, convert):
    made = convert(X)
    made.data, made.indices = made.data.astype(values), made.indices.astype(indices)
    made.indptr = made.indptr.astype(indices)
    found, expected = kind().fit(made, THREE), kind().fit(sp.csr_array(X), THREE)
    np.testing.assert_array_equal(found.coef_, expected.coef_)
    np.testing.assert_array_equal(
        found.predict_proba(made), expected.predict_proba(sp.csr_array(X))
    )
    assert made.indices.dtype == indices


def with_long_indices(X):
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def test_duplicate_sparse_entries_are_added_up_and_X_is_left_alone():
    rows, columns = np.nonzero(np.ones_like(X))
    twice = np.concatenate([rows, rows]), np.concatenate([columns, columns])
    made = sp.coo_matrix((np.concatenate([X.ravel() / 2] * 2), twice), shape=X.shape).tocsr(
        copy=True
    )
    order = np.argsort(twice[0], kind="stable")
    doubled = sp.csr_matrix(
        (np.concatenate([X.ravel() / 2] * 2)[order], twice[1][order], np.arange(301) * 8),
        shape=X.shape,
    )
    assert doubled.nnz == 2 * made.nnz
    np.testing.assert_allclose(fit(doubled).coef_, fit(made).coef_, rtol=1e-7)
    assert doubled.nnz == 2 * made.nnz


def test_float32_data_are_summed_in_float64():
    single = X.astype(np.float32)
    found, expected = fit(single), fit(single.astype(float))
    assert found.coef_.dtype == np.float64
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-8)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames_give_names(library):
    frames = pytest.importorskip(library)
    names = ["a", "b", "c", "d"]
    frame = frames.DataFrame(dict(zip(names, X.T, strict=True)))
    model = fit(frame, frames.Series(Y.tolist()))
    assert list(model.feature_names_in_) == names
    assert model.n_features_in_ == 4
    np.testing.assert_allclose(model.coef_, fit().coef_, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(frame), fit().predict(X))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[["b", "a", "c", "d"]])


@pytest.mark.parametrize(
    "labels",
    [("no", "yes"), (False, True), (-1, 1), (0.0, 1.0), (5, 7), (-3, -2)],
    ids=lambda labels: type(labels[0]).__name__ + str(labels[0]),
)
def test_labels_of_every_kind(labels):
    y = np.array(labels)[Y]
    model = fit(X, y)
    np.testing.assert_array_equal(model.classes_, np.array(labels))
    assert model.classes_.dtype == y.dtype
    np.testing.assert_allclose(model.coef_, fit().coef_, rtol=1e-7)
    np.testing.assert_array_equal(model.predict(X) == labels[1], fit().predict(X) == 1)
    if labels[0] == "no":
        np.testing.assert_allclose(fit(X, y.astype(object)).coef_, model.coef_, rtol=1e-7)


def test_many_string_classes():
    names = np.array(["north", "south", "west"])[THREE]
    model = fit(X, names)
    np.testing.assert_array_equal(model.classes_, ["north", "south", "west"])
    np.testing.assert_allclose(model.coef_, fit(X, THREE).coef_, rtol=1e-7)
    assert set(model.predict(X)) <= set(names)


BAD = {
    "nan": ({}, (spoiled(np.nan), Y), ValueError, "NaN"),
    "inf": ({}, (spoiled(np.inf), Y), ValueError, "infinity"),
    "sparse nan": ({}, (spoiled(np.nan, sp.csr_matrix), Y), ValueError, "NaN"),
    "nan by another method": ({"method": "gdnp"}, (spoiled(np.nan), Y), ValueError, "(?i)nan"),
    "overflow": ({}, (1e300 * X, Y), ValueError, "`X` must.*reasonable size.* Rescale"),
    "one class": ({}, (X, np.ones(300)), ValueError, "`y` must hold two classes.* 1 class"),
    "weights leave one class": ({}, (X, Y, Y), ValueError, "`y` must hold two classes"),
    "negative weights": ({}, (X, Y, -WEIGHT), ValueError, "`sample_weight` must.*>= 0.*; got -"),
    "no weight": ({}, (X, Y, 0 * WEIGHT), ValueError, "(?i)weight"),
    "nan weight": ({}, (X, Y, np.full(300, np.nan)), ValueError, "`sample_weight`.*finite.*nan"),
    "few weights": (
        {}, (X, Y, WEIGHT[:-1]), ValueError, r"`sample_weight` must .*300.*; got shape \(299,\)"
    ),
    "weights overflow": (
        {}, (X, Y, np.full(300, 1e308)), ValueError,
        "`sample_weight` must have a finite sum.*; got inf. Divide all weights",
    ),
    "class weights overflow": (
        {"class_weight": {0: 1e300}}, (X, Y, np.full(300, 1e9)), ValueError,
        "`sample_weight` must be finite after multiplication by the class weights",
    ),
    "nan label": ({}, (X, np.where(np.arange(300) == 3, np.nan, Y)), ValueError, "y contains NaN"),
    "real y": ({}, (X, SCORE), ValueError, "continuous"),
    "few labels": ({}, (X, Y[:-1]), ValueError, "inconsistent"),
    "words": ({}, ([["a"], ["b"]], [0, 1]), ValueError, "could not convert"),
    "complex": ({}, (X + 1j, Y), ValueError, "Complex"),
    "C zero": ({"C": 0}, (X, Y), ValueError, "`C` must be a number > 0; got 0"),
    "C negative": ({"C": -1.0}, (X, Y), ValueError, "`C` must be"),
    "C nan": ({"C": np.nan}, (X, Y), ValueError, "`C` must be"),
    "C word": ({"C": "much"}, (X, Y), TypeError, "`C` must be.* 'much'"),
    "tol zero": ({"tol": 0.0}, (X, Y), ValueError, "`tol` must be"),
    "max_iter zero": ({"max_iter": 0}, (X, Y), ValueError, "`max_iter` must be .* >= 1"),
    "max_iter real": ({"max_iter": 1.5}, (X, Y), TypeError, "`max_iter` must be a whole"),
    "n_restarts": ({"n_restarts": -1}, (X, Y), ValueError, "`n_restarts` must be"),
    "n_jobs": ({"n_jobs": 0}, (X, Y), ValueError, "`n_jobs` must not be zero.* -1 for all"),
    "loss": ({"loss": "softplu"}, (X, Y), ValueError, "`loss`.* Did you mean 'softplus'"),
    "loss number": ({"loss": 3}, (X, Y), TypeError, "`loss` must be a name or a MarginLoss"),
    "method": ({"method": "gdn"}, (X, Y), ValueError, "`method`.* Did you mean 'gd"),
    "method without intercept": (
        {"method": "agd", "fit_intercept": False}, (X, Y), ValueError,
        "`fit_intercept` must be True.* Use method='whitened'",
    ),
    "class_weight word": ({"class_weight": "fair"}, (X, Y), ValueError, "class_weight.*'fair'"),
    "class_weight negative": ({"class_weight": {0: -1.0}}, (X, Y), ValueError, "(?i)class_weight"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_by_name(case):
    options, arguments, kind, text = BAD[case]
    with pytest.raises(kind, match=text):
        HalfspaceClassifier(**options).fit(*arguments)


def test_predictions_refuse_bad_input():
    model = fit()
    with pytest.raises(ValueError, match="NaN"):
        model.predict(spoiled(np.nan))
    with pytest.raises(ValueError, match="3 features, but HalfspaceClassifier is expecting 4"):
        model.predict(X[:, :3])
