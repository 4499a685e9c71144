"""Bootstrap samples as weights of rows."""

import numpy as np

from polarstep.linear_model.resampling import bootstrap_weights


def test_counts_are_whole_and_add_up_to_the_number_of_rows():
    weights, totals = bootstrap_weights(50, np.full(30, 2.0), np.random.default_rng(0))
    assert weights.shape == (50, 30)
    counts = weights * totals[:, None] / 2.0
    np.testing.assert_allclose(counts, counts.round(), atol=1e-12)
    np.testing.assert_allclose(counts.sum(axis=1), 30)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)


def test_rows_of_weight_zero_are_never_drawn():
    weight = np.r_[np.zeros(10), np.arange(1.0, 11.0)]
    weights, totals = bootstrap_weights(20, weight, np.random.default_rng(0))
    assert not weights[:, :10].any()
    counts = weights[:, 10:] * totals[:, None] / weight[10:]
    np.testing.assert_allclose(counts.sum(axis=1), 10)


def test_counts_have_the_variance_and_covariance_of_a_multinomial_distribution():
    weights, totals = bootstrap_weights(40_000, np.ones(4), np.random.default_rng(0))
    counts = weights * totals[:, None]
    expected = 4 * (np.eye(4) / 4 - 1 / 16)
    np.testing.assert_allclose(np.cov(counts.T), expected, atol=0.02)


def test_the_generator_determines_the_samples():
    one, two = (bootstrap_weights(3, np.ones(9), np.random.default_rng(s))[0] for s in (1, 1))
    np.testing.assert_array_equal(one, two)
    other, _ = bootstrap_weights(3, np.ones(9), np.random.default_rng(2))
    assert not np.array_equal(one, other)


def test_groups_are_drawn_as_a_whole():
    groups = np.array([0, 0, 1, 2, 2, 2])
    weight = np.array([1.0, 2.0, 0.0, 1.0, 0.0, 3.0])
    rng = np.random.default_rng(0)
    weights, totals = bootstrap_weights(200, weight, rng, groups=groups)
    scaled = weights * totals[:, None]
    counts = scaled[:, [0, 3]]
    np.testing.assert_allclose(scaled[:, 1], 2 * counts[:, 0])
    np.testing.assert_allclose(scaled[:, 5], 3 * counts[:, 1])
    assert not scaled[:, [2, 4]].any()
    np.testing.assert_allclose(counts.sum(axis=1), 2)  # two groups have a positive weight
