"""Probabilities from scores: accurate, in the order of the scores, and agreeing with predict."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from polarstep.linear_model.probabilities import (
    chosen_codes,
    normalised_logarithms,
    normalised_probabilities,
    softmax_logarithms,
    softmax_probabilities,
)

LONG = np.longdouble
PAIRS = [
    (softmax_probabilities, softmax_logarithms),
    (normalised_probabilities, normalised_logarithms),
]
NAMES = ["softmax", "against the rest"]
SIZES = st.sampled_from([1e-18, 1e-10, 1.0, 30.0, 1e3, 1e8])
MATRICES = st.tuples(
    arrays(float, st.tuples(st.integers(1, 4), st.integers(3, 6)), elements=st.floats(-1, 1)),
    SIZES,
    st.sampled_from([0.0, 40.0, -800.0]),
)
VECTORS = st.tuples(arrays(float, st.integers(1, 6), elements=st.floats(-1, 1)), SIZES)


def reference(scores, against_rest):
    """Return the logarithms in extended precision, from ratios to the highest one."""
    scores = np.column_stack([np.zeros(len(scores)), scores]) if scores.ndim == 1 else scores
    scores = scores.astype(LONG)
    if against_rest:
        scores = -(np.maximum(-scores, 0) + np.log1p(np.exp(-np.abs(scores))))
    difference = scores - scores.max(axis=1, keepdims=True)
    return difference - np.log(np.exp(difference).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("pair", PAIRS, ids=NAMES)
@given(case=MATRICES)
def test_several_classes(pair, case):
    values, size, shift = case
    scores = values * size + shift
    check(pair, scores, reference(scores, pair[0] is normalised_probabilities))


@pytest.mark.parametrize("pair", PAIRS, ids=NAMES)
@given(case=VECTORS)
def test_two_classes(pair, case):
    scores = case[0] * case[1]
    check(pair, scores, reference(scores, against_rest=False))


def check(pair, scores, expected):
    probabilities, logarithms = (function(scores) for function in pair)
    np.testing.assert_allclose(logarithms, expected.astype(float), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(probabilities, np.exp(expected).astype(float), rtol=1e-9)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-14)
    for values in (probabilities, logarithms):
        np.testing.assert_array_equal(values.argmax(axis=1), chosen_codes(scores))
        best = scores == scores.max(axis=1, keepdims=True) if scores.ndim == 2 else scores == 0
        n_best = (values == values.max(axis=1, keepdims=True)).sum(axis=1)
        np.testing.assert_array_equal(n_best, best.sum(axis=1) if scores.ndim == 2 else 1 + best)
    if scores.ndim == 2:
        order = scores.argsort(axis=1, kind="stable")
        for values in (probabilities, logarithms):
            assert (np.diff(np.take_along_axis(values, order, axis=1), axis=1) >= 0).all()


def test_a_tie_of_saturated_probabilities_is_decided_like_the_class():
    """Against the rest, scores of 40 and 50 both have the probability 1 in float64."""
    scores = np.array([[40.0, 50.0, -3.0], [50.0, 40.0, 45.0]])
    for function in (normalised_probabilities, normalised_logarithms):
        values = function(scores)
        assert values[0, 1] > values[0, 0] > values[0, 2]
        assert values[1, 0] > values[1, 2] >= values[1, 1]


def test_a_tiny_score_decides_between_two_halves():
    scores = np.array([-1e-17, 0.0, 1e-17])
    for function in (softmax_probabilities, softmax_logarithms):
        assert function(scores).argmax(axis=1).tolist() == [0, 0, 1]
    assert softmax_probabilities(scores)[2].tolist() == [0.5, np.nextafter(0.5, 1)]


def test_logarithms_do_not_underflow_and_keep_the_order_of_saturated_rows():
    assert softmax_logarithms(np.array([1e5])).tolist() == [[-1e5, 0.0]]
    sure = softmax_logarithms(np.array([[50.0, 0.0, 0.0], [60.0, 0.0, 0.0]]))
    np.testing.assert_allclose(sure[:, 0], [-2 * np.exp(-50), -2 * np.exp(-60)], rtol=1e-12)
    np.testing.assert_allclose(
        normalised_logarithms(np.array([[-1e4, -1e5, -1e5]])), [[0.0, -9e4, -9e4]]
    )


def test_scores_that_are_all_very_negative_keep_their_ratios():
    expected = np.exp([0.0, -1.0, -2.0]) / np.exp([0.0, -1.0, -2.0]).sum()
    given_ = np.array([[-1e4, -1e4 - 1, -1e4 - 2]])
    np.testing.assert_allclose(normalised_probabilities(given_)[0], expected, rtol=1e-11)
