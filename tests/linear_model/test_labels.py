"""Labels, class weights and sample weights: their coding, and what is refused."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from polarstep.linear_model.labels import (
    check_sample_weight,
    class_factors,
    encode_labels,
    require_two_classes,
    row_weights,
    solver_labels,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1], [-1.0, 1.0], [False, True], [5, 7], [255, 256], [0.5, 0.5], ["a", "b"],
        [2, 0, 1], [1.0, 2.0, 4.0], ["b", "a", "c"],
    ],
    ids=str,
)  # fmt: skip
def test_labels_are_coded_as_by_unique(labels):
    y = RNG.permutation(np.array(labels * 5))
    if labels == [0.5, 0.5]:
        with pytest.raises(ValueError, match="continuous"):
            encode_labels(y)
        return
    classes, codes = encode_labels(y)
    expected, inverse = np.unique(y, return_inverse=True)
    np.testing.assert_array_equal(classes, expected)
    np.testing.assert_array_equal(codes, inverse)
    assert classes.dtype == expected.dtype


def test_real_numbers_are_not_labels():
    with pytest.raises(ValueError, match="continuous"):
        encode_labels(np.array([0.1, 0.7, 0.3]))


def test_two_classes_become_signs_and_more_stay_numbers():
    assert solver_labels(np.array([0, 1, 1]), 2).tolist() == [-1.0, 1.0, 1.0]
    assert solver_labels(np.array([0, 2, 1]), 3).tolist() == [0.0, 2.0, 1.0]


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 2.0, 2: 0.0}], ids=str)
def test_class_factors_are_those_of_scikit_learn(class_weight):
    codes = RNG.integers(3, size=50)
    totals = np.bincount(codes).astype(float)
    expected = compute_class_weight(class_weight, classes=np.arange(3), y=codes)
    np.testing.assert_allclose(class_factors(class_weight, np.arange(3), totals, "fit"), expected)


def test_balanced_classes_have_the_same_total_weight():
    totals = np.bincount(RNG.integers(3, size=50), RNG.exponential(size=50))
    balanced = totals * class_factors("balanced", np.arange(3), totals, "fit")
    np.testing.assert_allclose(balanced, totals.sum() / 3)


def test_a_class_without_weight_is_not_balanced():
    assert class_factors("balanced", np.arange(3), np.array([2.0, 0.0, 2.0]), "fit")[1] == 0.0


def test_negative_class_weights_are_refused():
    with pytest.raises(
        ValueError, match=r"fit: `class_weight` must contain only finite numbers >= 0"
    ):
        class_factors({0: -1.0}, np.arange(2), np.ones(2), "fit")


def test_sample_and_class_weights_are_multiplied():
    codes, classes = np.array([0, 1, 1]), np.array(["a", "b"])
    assert row_weights(codes, classes, None, None, "fit") is None
    assert row_weights(codes, classes, [1, 2, 3], None, "fit").tolist() == [1, 2, 3]
    assert row_weights(codes, classes, None, {"a": 2.0}, "fit").tolist() == [2, 1, 1]
    assert row_weights(codes, classes, [1, 2, 3], {"b": 0.5}, "fit").tolist() == [1, 1, 1.5]
    balanced = row_weights(codes, classes, [1, 2, 3], "balanced", "fit")
    assert balanced[0] == pytest.approx(balanced[1:].sum())


def test_a_number_is_the_weight_of_every_sample():
    assert check_sample_weight(2, 3, "fit").tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("weight", "kind", "text"),
    [
        ([1, -1, 0], ValueError, "contain only numbers >= 0; got -1 at position 1"),
        ([1, np.nan, 0], ValueError, "contain only finite numbers; got nan at position 1"),
        ([0, 0, 0], ValueError, "give at least one sample a positive weight; got zeros only"),
        ([1, 1], ValueError, r"be a vector of 3 real numbers; got shape \(2,\)"),
        (["a", "b", "c"], TypeError, "be a vector of 3 real numbers"),
    ],
    ids=str,
)
def test_weights_that_are_refused(weight, kind, text):
    with pytest.raises(kind, match="^fit: `sample_weight` must " + text):
        check_sample_weight(weight, 3, "fit")


@pytest.mark.parametrize(("n", "got"), [(0, "0 classes"), (1, "1 class")])
def test_one_class_is_not_enough(n, got):
    with pytest.raises(ValueError, match=f"hold two classes or more; got {got} of positive weight"):
        require_two_classes(n, "fit")


def test_two_classes_are_enough():
    assert require_two_classes(2, "fit") is None
