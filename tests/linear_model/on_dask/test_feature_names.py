"""Names of the columns of data frames that are kept in fit and checked in predictions."""

from types import SimpleNamespace

import numpy as np
import pytest

from polarstep.linear_model.on_dask.feature_names import check_names, remember_names


def matrix(names=None, d=4):
    found = SimpleNamespace(shape=(10, d if names is None else len(names)))
    if names is not None:
        found.columns = names
    return found


def fitted(X):
    estimator = SimpleNamespace(n_features_in_=X.shape[1])
    remember_names(estimator, X)
    return estimator


def test_names_are_kept_until_a_fit_without_names():
    estimator = fitted(matrix([*"abcd"]))
    np.testing.assert_array_equal(estimator.feature_names_in_, [*"abcd"])
    remember_names(estimator, matrix())
    assert not hasattr(estimator, "feature_names_in_")
    remember_names(estimator, matrix())
    assert not hasattr(estimator, "feature_names_in_")


@pytest.mark.parametrize(("before", "now"), [("abcd", "abcd"), ("abcd", None), (None, "abcd")])
def test_columns_that_fit(before, now):
    estimator = fitted(matrix(before and [*before]))
    assert check_names(estimator, matrix(now and [*now])) is None


def test_columns_that_do_not_fit():
    estimator = fitted(matrix([*"abcd"]))
    with pytest.raises(ValueError, match="have the 4 columns that it had in fit; got 3"):
        check_names(estimator, matrix([*"abc"]))
    with pytest.raises(ValueError, match="in the same order; got b, a, c, d"):
        check_names(estimator, matrix([*"bacd"]))
