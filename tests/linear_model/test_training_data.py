"""Training data in memory: rows of weight zero, weights that sum to 1, the centre."""

import numpy as np
import pytest
import scipy.sparse as sp

from polarstep import HalfspaceClassifier
from polarstep.linear_model.training_data import are_plain, read_training_data
from polarstep.losses import LOSSES

RNG = np.random.default_rng(0)
X = RNG.normal([0.0, 5.0, -3.0], size=(30, 3))
Y = np.array(["no", "yes"])[RNG.integers(2, size=30)]


def read(X=X, y=Y, weight=None, check_finite=True, **options):
    estimator = HalfspaceClassifier(**options)
    return read_training_data(estimator, X, y, weight, check_finite=check_finite), estimator


def test_rows_of_weight_zero_are_left_out():
    weight = RNG.integers(0, 3, 30)
    data, estimator = read(weight=weight, class_weight={"yes": 2.0})
    kept = weight > 0
    np.testing.assert_array_equal(data.X, X[kept])
    np.testing.assert_array_equal(data.classes[data.codes], Y[kept])
    np.testing.assert_array_equal(data.weight, (weight * np.where(Y == "yes", 2.0, 1.0))[kept])
    assert data.total_weight == data.weight.sum()
    assert estimator.n_features_in_ == 3


def test_without_weights_nothing_is_copied():
    data, _ = read()
    assert np.shares_memory(data.X, X)
    assert data.weight is None
    assert data.total_weight == 30.0


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weight", [None, RNG.exponential(size=30)], ids=["plain", "weighted"])
@pytest.mark.parametrize("convert", [np.asarray, sp.csr_matrix])
def test_samples_have_weights_that_sum_to_one(intercept, weight, convert):
    data, _ = read(convert(X), weight=weight)
    samples, centre = data.samples(LOSSES["softplus"], intercept=intercept, n_threads=2)
    assert samples.weight.sum() == pytest.approx(1)
    np.testing.assert_array_equal(samples.y, np.where(Y == "yes", 1.0, -1.0))
    mean = np.average(X, axis=0, weights=weight)
    np.testing.assert_allclose(centre, mean if intercept else np.zeros(3))
    np.testing.assert_array_equal(samples.centre, centre)


def test_nan_is_refused_at_once_or_left_to_the_solver():
    bad = X.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        read(bad)
    assert np.isnan(read(bad, check_finite=False)[0].X[3, 1])


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("convert", [np.asarray, sp.csr_matrix])
def test_rows_of_a_block_are_those_of_the_samples(intercept, convert):
    data, _ = read(convert(X), weight=RNG.exponential(size=30))
    options = {"intercept": intercept, "n_threads": 2}
    rows, centre = data.block_rows(data.codes, **options)
    samples, expected = data.samples(LOSSES["softplus"], **options)
    np.testing.assert_array_equal(rows.weights[0], samples.weight)
    np.testing.assert_array_equal(rows.codes, data.codes)
    np.testing.assert_array_equal(rows.centre, samples.centre)
    np.testing.assert_array_equal(centre, expected)


def test_rows_of_weight_zero_can_be_kept():
    weight = np.r_[np.zeros(10), np.ones(len(X) - 10)]
    kept = read_training_data(HalfspaceClassifier(), X, Y, weight, check_finite=True, keep_all=True)
    assert kept.X.shape == X.shape
    np.testing.assert_array_equal(kept.weight, weight)


PLAIN = np.ones((4, 2)), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("X", "y", "expected"),
    [
        (*PLAIN, True),
        (PLAIN[0].astype(np.float32), PLAIN[1] == 1, True),
        (np.asfortranarray(PLAIN[0])[::2], PLAIN[1][::2].astype(np.uint8), True),
        (PLAIN[0], PLAIN[1].astype(float), False),
        (PLAIN[0], PLAIN[1][:, None], False),
        (PLAIN[0], PLAIN[1][:3], False),
        (PLAIN[0], PLAIN[1].tolist(), False),
        (PLAIN[0].astype(int), PLAIN[1], False),
        (PLAIN[0].astype(">f8"), PLAIN[1], False),
        (PLAIN[0][0], PLAIN[1], False),
        (PLAIN[0][:, :0], PLAIN[1], False),
        (np.matrix(PLAIN[0]), PLAIN[1], False),
        (sp.csr_array(PLAIN[0]), PLAIN[1], False),
    ],
)
def test_plain_data(X, y, expected):
    assert are_plain(X, y) == expected


def test_plain_data_are_read_as_scikit_learn_reads_them():
    estimator = HalfspaceClassifier()
    estimator.feature_names_in_ = np.array(["a", "b", "c"], object)  # of a former fit
    codes = RNG.integers(2, size=30)
    fast = read_training_data(estimator, X, codes, None, check_finite=False)
    slow, _ = read(y=codes)
    assert estimator.n_features_in_ == 3
    assert not hasattr(estimator, "feature_names_in_")
    np.testing.assert_array_equal(fast.X, slow.X)
    np.testing.assert_array_equal(fast.codes, slow.codes)
    np.testing.assert_array_equal(fast.classes, slow.classes)
