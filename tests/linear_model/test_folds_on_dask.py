"""LogisticRegressionCV on Dask: models, scores and choices are those of a fit in memory."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.metrics import log_loss, make_scorer
from sklearn.model_selection import GroupKFold, ShuffleSplit

import polarstep as ps
from polarstep.linear_model.folds_on_dask import UnreadRows
from polarstep.linear_model.on_dask import block_rows

da = pytest.importorskip("dask.array", reason="needs Dask: pip install 'polarstep[dask]'")
dd = pytest.importorskip("dask.dataframe", reason="needs Dask: pip install 'polarstep[dask]'")
pd = pytest.importorskip("pandas", reason="needs pandas")

N, D = 600, 4
RNG = np.random.default_rng(5)
X = RNG.exponential(size=(N, D)) * [0.1, 1.0, 10.0, 100.0]
SCORES = X @ (RNG.standard_normal((D, 3)) / [[0.1], [1.0], [10.0], [100.0]])
Y = np.array(["ape", "bee", "cat"])[(SCORES + RNG.gumbel(size=(N, 3))).argmax(axis=1)]
WEIGHT = RNG.integers(0, 3, N)


def blocks(*arrays):
    return [da.from_array(array, chunks=(170, *array.shape[1:])) for array in arrays]


def compare(arguments, options, y=Y, **others):
    """Check that a fit on Dask equals one in memory, and return both."""
    options = {"Cs": [0.01, 1.0, 100.0], "cv": 3, "tol": 1e-15, **options}
    near = ps.LogisticRegressionCV(**options).fit(X, y, *arguments, **others)
    far = ps.LogisticRegressionCV(**options).fit(*blocks(X, y, *arguments), **others)
    np.testing.assert_array_equal(far.C_, near.C_)
    np.testing.assert_array_equal(far.classes_, near.classes_)
    for label, scores in near.scores_.items():
        np.testing.assert_allclose(far.scores_[label], scores, rtol=1e-9)
        size = np.abs(near.coefs_paths_[label]).max(axis=(0, 1))
        difference = far.coefs_paths_[label] - near.coefs_paths_[label]
        assert (np.abs(difference) / size).max() < 1e-6
    np.testing.assert_allclose(far.coef_, near.coef_, rtol=1e-5, atol=1e-7)
    return far, near


@pytest.mark.parametrize("limit", [1 << 22, 900], ids=["small", "large"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_same_as_in_memory(n_classes, limit, monkeypatch):
    monkeypatch.setattr(block_rows, "CLIENT_VALUES", limit)
    y = Y if n_classes == 3 else Y == "ape"
    for arguments in ((), (WEIGHT,)):
        far, near = compare(arguments, {"class_weight": "balanced"}, y)
    lazy = da.from_array(X, chunks=(100, -1))
    assert far.score(lazy, y) == near.score(X, y)
    assert far.score(lazy, y, WEIGHT) == pytest.approx(near.score(X, y, WEIGHT))


@pytest.mark.parametrize(
    "scoring",
    ["neg_log_loss", "f1_macro", make_scorer(log_loss, response_method="predict_proba")],
    ids=str,
)
def test_scores_that_need_more_than_accuracy(scoring):
    far, near = compare((WEIGHT,), {"scoring": scoring})
    assert far.score(*blocks(X, Y)) == pytest.approx(near.score(X, Y), rel=1e-6)


def test_a_number_or_one_column_as_sample_weight():
    options = {"Cs": [1.0, 10.0], "cv": 3, "scoring": "neg_log_loss"}
    models = [
        ps.LogisticRegressionCV(**options).fit(*blocks(X, Y), weight)
        for weight in (2.0, blocks(np.full((N, 1), 2.0))[0])
    ]
    for near, far in zip(*(model.scores_.values() for model in models), strict=True):
        np.testing.assert_array_equal(near, far)


def test_scorers_that_read_rows_are_refused():
    with pytest.raises(TypeError, match="use X on Dask only by passing it to methods"):
        compare((), {"scoring": lambda model, X, y: np.asarray(X).sum()})
    rows = UnreadRows(5, 2)[np.array([1, 2])]
    assert (len(rows), rows.shape) == (2, (2, 2))


def test_splits_that_leave_out_rows_and_means_over_folds():
    splitter = ShuffleSplit(4, test_size=0.2, train_size=0.5, random_state=0)
    compare((), {"cv": splitter, "refit": False})


def test_groups():
    with config_context(enable_metadata_routing=True):
        groups = np.arange(N) % 7
        compare((), {"cv": GroupKFold(3)}, groups=groups)
        far = ps.LogisticRegressionCV(cv=GroupKFold(3)).fit(
            *blocks(X, Y), groups=da.from_array(groups, chunks=100)
        )
        near = ps.LogisticRegressionCV(cv=GroupKFold(3)).fit(X, Y, groups=groups)
        np.testing.assert_array_equal(far.C_, near.C_)


def test_data_frames():
    names = [f"x{j}" for j in range(D)]
    table = dd.from_pandas(pd.DataFrame(X, columns=names).assign(y=Y, s=WEIGHT), npartitions=3)
    model = ps.LogisticRegressionCV(Cs=3, cv=3).fit(table[names], table["y"], table["s"])
    near = ps.LogisticRegressionCV(Cs=3, cv=3).fit(X, Y, WEIGHT)
    assert model.feature_names_in_.tolist() == names
    np.testing.assert_array_equal(model.C_, near.C_)
    assert model.score(table[names], table["y"]) == pytest.approx(near.score(X, Y), abs=0.002)
    model.set_params(scoring="neg_log_loss")
    near.set_params(scoring="neg_log_loss")
    assert model.score(table[names], table["y"]) == pytest.approx(near.score(X, Y), rel=1e-4)
    with pytest.raises(ValueError, match="hold classes that it had in fit; got 'dog'"):
        model.score(table[names], table["y"].replace("cat", "dog"))


def test_what_is_refused():
    with pytest.raises(ValueError, match="split 0 without class ape"):
        compare((), {"cv": [(np.flatnonzero(Y != "ape"), np.arange(9))]})
    with pytest.raises(ValueError, match="rows of positive weight in each split"):
        compare((WEIGHT,), {"cv": [(np.arange(N), np.flatnonzero(WEIGHT == 0))]})
