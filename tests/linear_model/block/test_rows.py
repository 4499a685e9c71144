"""One pass over the rows of a block, against plain NumPy."""

import numpy as np
import pytest

from block_problems import D, K, N, dense_rows, make_rows, softmax_value
from polarstep.linear_model.block.families import Margins, Softmax
from polarstep.linear_model.block.models import Models
from polarstep.linear_model.block.rows import BlockRows
from polarstep.losses import LOSSES

LAYOUTS = ["C", "F", "csr", "float32"]


def _theta(n_models, k, p, seed=1):
    return np.random.default_rng(seed).standard_normal((n_models, k, p)) * 0.3


@pytest.mark.parametrize("kind", LAYOUTS)
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("splits", [1, 3])
def test_evaluate_matches_numpy_and_its_own_differences(kind, intercept, splits):
    rows, models = make_rows(kind, splits=splits), Models.of([0.0] * 4, np.arange(4) % splits)
    theta = _theta(4, K, D + intercept)
    fun, gradient = rows.evaluate(Softmax(K), models, theta, intercept)
    np.testing.assert_allclose(fun, softmax_value(rows, models, theta, intercept), rtol=1e-6)
    direction, h = _theta(4, K, D + intercept, 2), 1e-5
    up = rows.evaluate(Softmax(K), models, theta + h * direction, intercept)[0]
    down = rows.evaluate(Softmax(K), models, theta - h * direction, intercept)[0]
    slope = np.einsum("bkp,bkp->b", gradient, direction)
    np.testing.assert_allclose(slope, (up - down) / (2 * h), rtol=1e-6)


def test_rows_outside_a_split_are_not_read_for_it():
    rows = make_rows(splits=3)
    assert len(rows.segments) == 3
    assert sum(len(segment.rows) for segment in rows.segments) == N
    for segment in rows.segments:
        assert (rows.weights[:, segment.rows] > 0).all(axis=1).tolist() == segment.splits.tolist()


def test_rows_of_many_folds_are_grouped_by_fold():
    rows = make_rows(splits=20)
    folds = len(set((rows.weights == 0).argmax(axis=0)))
    assert len(rows.segments) == folds > 16
    for segment in rows.segments:
        assert (rows.weights[:, segment.rows] > 0).all(axis=1).tolist() == segment.splits.tolist()


def test_many_patterns_of_splits_are_read_at_once():
    rng = np.random.default_rng(0)
    rows = make_rows()
    weights = rng.integers(0, 2, (12, N)) / N
    many = BlockRows(rows.matrix, rows.codes, weights)
    assert len(many.segments) == 1
    models, theta = Models.of([0.0] * 12, np.arange(12)), _theta(12, K, D + 1)
    fun, _ = many.evaluate(Softmax(K), models, theta, True)
    np.testing.assert_allclose(fun, softmax_value(many, models, theta, True))


@pytest.mark.parametrize("kind", ["C", "csr"])
def test_threads_give_the_same_sums(kind):
    rows = make_rows(kind, n=5_000)
    X = rows.matrix.X
    several = BlockRows.from_arrays(X, rows.codes, rows.weights, rows.centre, 3)
    models, theta = Models.of([0.0]), _theta(1, K, D + 1)
    one = rows.evaluate(Softmax(K), models, theta, True)
    for got, expected in zip(several.evaluate(Softmax(K), models, theta, True), one, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("kind", ["C", "csr"])
@pytest.mark.parametrize(
    "family", [Softmax(K), Margins(LOSSES["softplus"])], ids=["softmax", "margins"]
)
def test_curvature_squares_match_numpy(kind, family):
    rows, models = make_rows(kind, splits=2), Models.of([0.0] * 2, [0, 1], [0, 1])
    theta = _theta(2, family.n_outputs, D + 1)
    scores = theta @ dense_rows(rows, True).T
    np.testing.assert_allclose(rows.scores(theta, True), scores, rtol=1e-9, atol=1e-12)
    h = family.curvatures(scores, rows.codes, rows.weights, models)
    expected = h @ np.square(dense_rows(rows, False))
    got = rows.curvature_squares(family, models, theta, True)
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_scores_of_some_rows_are_those_of_these_rows():
    rows, theta, at = make_rows(), _theta(2, K, D + 1), np.array([5, 3, 60])
    np.testing.assert_array_equal(rows.scores(theta, True, at), rows.scores(theta, True)[:, :, at])


@pytest.mark.parametrize("kind", ["C", "csr"])
def test_a_subsample_keeps_the_total_weight_of_each_class_in_each_split(kind):
    rows = make_rows(kind, n=4_000, splits=3)
    some = rows.subsample(600, np.random.default_rng(0))
    assert 500 < some.n < 800
    np.testing.assert_allclose(some.totals, rows.totals)


def test_take_multiplies_the_weights():
    rows, at = make_rows(splits=2), np.array([1, 4, 7])
    some = rows.take(at, np.array([2.0, 1.0, 3.0]))
    np.testing.assert_allclose(some.weights, rows.weights[:, at] * [2.0, 1.0, 3.0])
    np.testing.assert_array_equal(some.centred_array(True), dense_rows(rows, True)[at])


def test_a_number_that_is_not_finite_is_named():
    X = np.ones((4, 2))
    X[2, 1] = np.nan
    rows = BlockRows.from_arrays(X, np.arange(4) % 2, np.full((1, 4), 0.25), np.zeros(2))
    with pytest.raises(ValueError, match="NaN"):
        rows.raise_not_finite("Model")


@pytest.mark.parametrize("kind", ["C", "csr"])
def test_squared_lengths_do_not_depend_on_units(kind):
    rows = make_rows(kind)
    Z, s = dense_rows(rows, False), rows.weights[0]
    expected = 1.0 + (np.square(Z) / (s @ np.square(Z))).mean(axis=1)
    np.testing.assert_allclose(rows.squared_lengths, expected)


def test_the_row_space_keeps_scores():
    rows = make_rows(n=20, d=50)
    inside, basis = rows.in_row_space()
    theta = np.random.default_rng(0).standard_normal(21)
    outside = basis.leave(theta)
    np.testing.assert_allclose(
        inside.scores(theta[None, None], True), rows.scores(outside[None, None], True), atol=1e-10
    )
