"""The splits of a cross-validation: what cross-validators yield, weights of rows, and errors."""

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

from polarstep.linear_model.splits import read_splits, require_every_class, split_weights

RNG = np.random.default_rng(0)
X = RNG.standard_normal((20, 3))
Y = np.array(["no", "yes"] * 10)
WEIGHT = RNG.exponential(size=20)


@pytest.mark.parametrize(
    ("cv", "same"),
    [
        (None, StratifiedKFold(5)),
        (3, StratifiedKFold(3)),
        (KFold(4, shuffle=True, random_state=1), KFold(4, shuffle=True, random_state=1)),
        (list(KFold(4).split(X)), KFold(4)),
        (((train, held_out) for train, held_out in KFold(4).split(X)), KFold(4)),
    ],
    ids=["None", "number", "splitter", "list", "generator"],
)
def test_rows_are_those_of_scikit_learn(cv, same):
    ours, theirs = read_splits(cv, X, Y, "fit"), list(same.split(X, Y))
    assert len(ours) == len(theirs)
    for split, (train, held_out) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(split.train, train)
        np.testing.assert_array_equal(split.held_out, held_out)


def test_groups_reach_the_splitter():
    groups = np.arange(20) // 5
    for split in read_splits(GroupKFold(4), X, Y, "fit", {"groups": groups}):
        assert not set(groups[split.train]) & set(groups[split.held_out])


def test_masks_and_indices_from_the_end_become_indices():
    mask = np.arange(20) < 15
    (first,) = read_splits([(mask, ~mask)], X, Y, "fit")
    np.testing.assert_array_equal(first.train, np.arange(15))
    np.testing.assert_array_equal(first.held_out, np.arange(15, 20))
    (second,) = read_splits([([0, 1, 2], [-1, -2])], X, Y, "fit")
    np.testing.assert_array_equal(second.held_out, [19, 18])


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        ([], "`cv` must make at least one split; got none"),
        ([([0, 1], [])], "no row to hold out in split 0"),
        ([([0, 1], [2]), ([], [1])], "no row to train on in split 1"),
        ([([0, 20], [1])], "index 20 with 20 rows"),
        ([([0, 1], [-21])], "index -21 with 20 rows"),
        ([([0.0, 1.0], [2])], "vectors of row indices; got an array of shape .2,. and dtype float"),
        ([([[0, 1]], [2])], "vectors of row indices; got an array of shape .1, 2."),
    ],
)
def test_unusable_splits_are_refused(cv, message):
    with pytest.raises(ValueError, match=message):
        read_splits(cv, X, Y, "fit")


def test_weights_of_a_split_sum_to_one_and_leave_held_out_rows_out():
    splits = read_splits(4, X, Y, "fit")
    weights, totals = split_weights(splits, WEIGHT)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    for split, row, total in zip(splits, weights, totals, strict=True):
        assert not row[split.held_out].any()
        np.testing.assert_allclose(row[split.train] * total, WEIGHT[split.train])


def test_a_row_that_is_listed_twice_counts_twice():
    splits = read_splits([([0, 0, 1], [2])], X, Y, "fit")
    weights, totals = split_weights(splits, np.ones(20))
    np.testing.assert_allclose(weights[0, :3], [2 / 3, 1 / 3, 0])
    assert totals == [3]


def test_a_split_without_weight_has_weights_of_zero():
    splits = read_splits([([0, 1], [2])], X, Y, "fit")
    weights, totals = split_weights(splits, np.r_[0.0, 0.0, np.ones(18)])
    assert not weights.any()
    assert totals == [0]


def test_a_class_that_no_training_row_has_is_named():
    codes = (Y == "yes").astype(int)
    classes = np.array(["no", "yes"])
    require_every_class(np.full((2, 20), 0.05), codes, classes, "fit")
    weights = np.full((2, 20), 0.1)
    weights[1, codes == 1] = 0
    with pytest.raises(ValueError, match=r"fit: `cv` must .* got split 1 without class yes"):
        require_every_class(weights, codes, classes, "fit")
