"""Rows in memory and on Dask have the same sums."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

from inference_cases import GROUPS, THREE, WEIGHT, N, Softmax, X, Y, Z, fitted
from polarstep import LogisticRegression
from polarstep.linear_model.inference import summary
from polarstep.linear_model.inference.fitted_model import read_model
from polarstep.linear_model.inference.likelihood import likelihood_sums
from polarstep.linear_model.inference.rows import read_rows


def test_rows_in_memory():
    model = fitted(Z, class_weight={0: 2.0, 1: 1.0})
    known = read_model(model, None, "f")
    weight = np.where(np.arange(N) < 10, 0.0, WEIGHT)
    rows = read_rows(model, known, Z, Y, weight, np.char.add("g", GROUPS.astype(str)), "f")
    assert (rows.n, rows.d) == (N - 10, 3)
    product = weight * np.where(Y == 0, 2.0, 1.0)
    np.testing.assert_allclose(rows.class_totals, np.bincount(Y, product))
    assert rows.total_weight == pytest.approx(product.sum())
    assert set(rows.groups) == set(range(len(np.unique(GROUPS[10:]))))


def test_full_sparse_columns_far_from_zero_keep_their_digits():
    far = Z + np.array([1e9, 0.0, 0.0])
    known = read_model(fitted(Z), None, "f")
    model = fitted(Z)
    found = []
    for form in (np.asarray, sp.csr_array):
        rows = read_rows(model, known, form(far), Y, None, None, "f")
        information = rows.sum(likelihood_sums, np.zeros((1, 4))).information
        raw = rows.standard.covariance_to_raw(np.linalg.cholesky(np.linalg.inv(information)))
        found.append(raw[:3, :3])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


@pytest.mark.parametrize("kind", ["model", "HC0", "HC1", "HC3"])
@pytest.mark.parametrize("y", ["two", "three"])
def test_dask_gives_the_numbers_of_rows_in_memory(kind, y):
    reason = "Dask is not installed: pip install 'polarstep[dask]'"
    da = pytest.importorskip("dask.array", reason=reason)
    labels = Y if y == "two" else THREE
    model = fitted(X, weight=WEIGHT, C=1.0) if y == "two" else Softmax(1.0).fit(Z, THREE)
    rows, weight = (X, WEIGHT) if y == "two" else (Z, None)
    there = None if weight is None else da.from_array(weight, chunks=50)
    found = summary(
        model, da.from_array(rows, chunks=(70, 3)), da.from_array(labels, chunks=70),
        sample_weight=there, covariance=kind,
    )  # fmt: skip
    expected = summary(model, rows, labels, sample_weight=weight, covariance=kind)
    np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-8)
    np.testing.assert_allclose(found.std_err, expected.std_err, rtol=1e-8)
    for name in ("log_likelihood", "null_log_likelihood", "aic", "bic", "n", "total_weight"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name)), name


def test_dask_frames_have_names_and_no_groups():
    reason = "Dask has no data frames: pip install 'polarstep[dask]'"
    dd = pytest.importorskip("dask.dataframe", reason=reason)
    table = pd.DataFrame(Z, columns=["a", "b", "c"]).assign(y=Y)
    there = dd.from_pandas(table, npartitions=3)
    model = fitted(table[["a", "b", "c"]])
    found = summary(model, there[["a", "b", "c"]], there["y"])
    assert found.terms == ("a", "b", "c", "intercept")
    np.testing.assert_allclose(found.std_err, summary(model, table[["a", "b", "c"]], Y).std_err)
    with pytest.raises(ValueError, match="`groups` must be None for Dask collections"):
        summary(model, there[["a", "b", "c"]], there["y"], covariance="cluster", groups=GROUPS)
    with pytest.raises(ValueError, match="hold the classes that the model was fitted to"):
        summary(model, there[["a", "b", "c"]], there["y"] + 1)
    with pytest.raises(ValueError, match="in the same order"):
        summary(model, there[["b", "a", "c"]], there["y"])


def test_frames_must_have_the_columns_of_the_fit():
    table = pd.DataFrame(Z, columns=["a", "b", "c"])
    with pytest.raises(ValueError, match="feature names should match"):
        summary(fitted(table), table[["b", "a", "c"]], Y)


def test_data_must_be_valid():
    model = fitted(Z)
    bad = Z.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        summary(model, bad, Y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        summary(model, Z, Y[:-1])
    with pytest.raises(ValueError, match="sample_weight"):
        summary(model, Z, Y, sample_weight=-WEIGHT)


def test_separated_classes_on_dask_are_refused():
    """The rows on workers are not searched for a direction, and the status of the fit tells."""
    da = pytest.importorskip("dask.array", reason="Dask is not installed")
    apart = da.from_array(np.column_stack([Z, Y]), chunks=(80, 4))
    labels = da.from_array(Y, chunks=80)
    with pytest.warns(ConvergenceWarning, match="separates the classes"):
        model = LogisticRegression(C=np.inf).fit(apart, labels)
    with pytest.raises(ValueError, match=r"got classes that a hyperplane separates\."):
        summary(model, apart, labels)
