"""Checks of arguments: what they return, and how they complain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from polarstep import validation as v


def test_a_complaint_names_everything():
    text = v.complaint("f", "x", "be positive", -1, "Take the absolute value.")
    assert text == "f: `x` must be positive; got -1. Take the absolute value."


def test_an_unknown_name_lists_the_known_ones():
    assert v.look_up("b", {"a": 1, "b": 2}, "f", "x") == 2
    with pytest.raises(
        ValueError,
        match=r"^f: `x` must be one of 'gd', 'gdnp'; got 'gdpn'\. Did you mean 'gdnp'\?$",
    ):
        v.look_up("gdpn", {"gdnp": 1, "gd": 2}, "f", "x")
    with pytest.raises(ValueError, match=r"got \['a'\]"):
        v.look_up(["a"], {"a": 1}, "f", "x")
    assert "(nothing: there are none)" in v.unknown("a", [], "f", "x")


@pytest.mark.parametrize(
    ("value", "limits", "error", "says"),
    [
        ("1", {}, TypeError, "must be a finite number; got '1'"),
        (None, {"above": 0.0}, TypeError, "must be a finite number > 0; got None"),
        ([1, 2], {}, TypeError, "got a list"),
        (np.nan, {"finite": False}, ValueError, "must be a number; got nan"),
        (np.inf, {}, ValueError, "must be a finite number; got inf"),
        (0.0, {"above": 0.0}, ValueError, "> 0; got 0.0"),
        (0.5, {"at_least": 1.0}, ValueError, ">= 1; got 0.5"),
    ],
)
def test_numbers_that_are_refused(value, limits, error, says):
    with pytest.raises(error, match=f"f: `x` .*{says}"):
        v.number(value, "f", "x", **limits)


def test_numbers_that_are_taken():
    assert v.number(np.float32(2), "f", "x", above=0.0) == 2.0
    assert v.number(np.inf, "f", "x", finite=False) == np.inf
    assert type(v.number(1, "f", "x", at_least=1.0)) is float
    assert type(v.whole_number(np.int64(3), "f", "x")) is int
    assert v.flag(np.True_, "f", "x") is True


@pytest.mark.parametrize("value", [True, 1.0, "1", None])
def test_only_integers_are_whole_numbers(value):
    with pytest.raises(TypeError, match="f: `x` must be a whole number >= 0"):
        v.whole_number(value, "f", "x")
    with pytest.raises(ValueError, match="f: `x` must be a whole number >= 2; got 1"):
        v.whole_number(1, "f", "x", at_least=2)


@pytest.mark.parametrize("value", [1, "yes", None])
def test_only_true_and_false_are_flags(value):
    with pytest.raises(TypeError, match="f: `x` must be True or False"):
        v.flag(value, "f", "x")


def test_a_callback_is_a_function_or_none():
    v.check_callback(None, "f")
    v.check_callback(print, "f")
    with pytest.raises(TypeError, match="f: `callback` must be a function or None; got a str"):
        v.check_callback("print", "f")


def test_vectors():
    np.testing.assert_array_equal(v.vector([[1], [2]], "f", "x", length=2), [1.0, 2.0])
    assert v.vector(np.array([1], np.float32), "f", "x").dtype == np.float64
    with pytest.raises(ValueError, match="vector of 3 real numbers; got shape"):
        v.vector([1, 2], "f", "x", length=3)
    with pytest.raises(TypeError, match="got a list that is not numeric"):
        v.vector(["a"], "f", "x")
    with pytest.raises(TypeError, match="got an ndarray that is not numeric"):
        v.vector(np.array([1j]), "f", "x")
    with pytest.raises(ValueError, match="got inf at position 1"):
        v.vector([0.0, np.inf], "f", "x")


def test_matrices():
    assert v.matrix([[1, 2]], "f", "x", (1, 2)).shape == (1, 2)
    with pytest.raises(ValueError, match="a 2 x 2 matrix of real numbers; got shape"):
        v.matrix([[1, 2]], "f", "x", (2, 2))


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    places=st.sets(st.integers(0, 24), min_size=1, max_size=3),
    bad=st.sampled_from([np.nan, np.inf, -np.inf]),
)
def test_the_first_value_that_is_not_finite_is_named(shape, places, bad):
    """Dense and CSR matrices, in row-major order."""
    array = np.ones(shape)
    for at in places:
        array.flat[at % array.size] = bad
    row, column = divmod(min(at % array.size for at in places), shape[1])
    for X in (array, np.asfortranarray(array), sparse.csr_array(array)):
        assert v.first_not_finite(X) == (row, column)
        with pytest.raises(ValueError, match=f"{bad} at row {row}, column {column}"):
            v.check_finite(X, "f", "X")
    assert v.first_not_finite(np.ones(shape)) is None
    assert v.first_not_finite(sparse.csr_array(np.ones(shape))) is None


@given(st.lists(st.floats(0, 1e308), min_size=1, max_size=6).filter(lambda w: max(w) > 1e-300))
def test_weights_of_samples_have_mean_one(weights):
    found = v.sample_weights(weights, "f", length=len(weights))
    assert found.mean() == pytest.approx(1.0)
    shares = np.array(weights) / max(weights)
    np.testing.assert_allclose(found, found.max() * shares, rtol=1e-12)


def test_weights_that_are_refused():
    with pytest.raises(ValueError, match="must contain only numbers >= 0; got -1 at position 1"):
        v.sample_weights([1, -1], "f", length=2)
    with pytest.raises(
        ValueError, match="must give at least one sample a positive weight; got zeros only"
    ):
        v.sample_weights([0, 0], "f", length=2)


def test_signs():
    np.testing.assert_array_equal(v.signs([3, 7, 3], "f"), [-1.0, 1.0, -1.0])
    weights = np.array([1.0, 1.0, 0.0])
    np.testing.assert_array_equal(v.signs([0, 2, 1], "f", weights=weights)[:2], [-1.0, 1.0])
    with pytest.raises(ValueError, match="must hold two classes; got only 1"):
        v.signs([1, 1], "f")
    with pytest.raises(ValueError, match="only 1 where the weight is not zero"):
        v.signs([1, 1, 0], "f", weights=weights)
    with pytest.raises(ValueError, match=r"got 5 different values \(0, 1, 2, 3, \.\.\.\)"):
        v.signs(range(5), "f")
