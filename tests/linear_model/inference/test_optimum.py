"""Newton's method near the optimum, and starts that are too far from it."""

from dataclasses import replace

import numpy as np
import pytest

from inference_cases import GROUPS, THREE, N, Softmax, Y, Z, fitted, newton
from polarstep import LogisticRegression
from polarstep.linear_model.inference.fitted_model import read_model
from polarstep.linear_model.inference.likelihood import LikelihoodSums, likelihood_sums
from polarstep.linear_model.inference.optimum import (
    climb,
    find_optimum,
    refuse_separation,
    steadiest_base,
)
from polarstep.linear_model.inference.rows import read_rows


def read(model, y, X=Z):
    known = read_model(model, None, "f")
    return known, read_rows(model, known, X, y, None, GROUPS, "f")


@pytest.mark.parametrize("ridge", [0.0, 2.0])
def test_the_optimum_is_reached_from_nearby(ridge):
    model = fitted(Z, C=1 / ridge if ridge else np.inf)
    model.coef_ = model.coef_ + 0.01
    known, rows = read(model, Y)
    found = find_optimum(rows, known, ridge, "f")
    ones = np.column_stack([Z, np.ones(N)])
    theta, H, _ = newton(ones, Y, np.ones(N), np.array([ridge] * 3 + [0.0]))
    np.testing.assert_allclose(rows.standard.to_raw(found.theta)[0], theta, rtol=1e-9)
    assert found.distance < 1e-8 < found.start_distance
    effective = np.trace((H - np.diag([ridge] * 3 + [0.0])) @ np.linalg.inv(H))
    assert found.df == pytest.approx(effective)


def test_the_distance_bounds_the_change_of_every_coefficient():
    model = fitted(Z, tol=1e-2)
    known, rows = read(model, Y)
    found = find_optimum(rows, known, 0.0, "f")
    start = rows.standard.from_raw(known.coef, known.intercept)
    change = np.abs(found.theta - start).ravel() / np.sqrt(np.diag(found.inverse.matrix))
    assert 0 < change.max() <= 1.1 * found.start_distance


def test_the_penalty_of_a_softmax():
    """At the optimum of sum_k ||w_k||^2/2 the gradient of the relative penalty cancels."""
    model = Softmax(0.01).fit(Z, THREE)
    known, rows = read(model, THREE)
    assert find_optimum(rows, known, 100.0, "f").start_distance < 1e-8
    with pytest.raises(ValueError, match="must be at the optimum"):
        find_optimum(rows, known, 0.0, "f")


def test_a_flat_likelihood_is_no_optimum():
    """Without curvature the gradient tells whether the predictions are wrong."""

    def flat(slope):
        return lambda theta: LikelihoodSums(0.0, np.full((1, 2), slope), np.zeros((2, 2)))

    far = climb(flat(1.0), np.zeros((1, 2)), None, farthest=1.0, total_weight=5.0)
    assert far.start_distance == np.inf
    at = climb(flat(0.0), np.zeros((1, 2)), None, farthest=1.0, total_weight=5.0)
    assert at.start_distance == 0.0


def test_steps_that_lead_away_are_not_taken():
    known, rows = read(fitted(Z), Y)
    start = rows.standard.from_raw(known.coef, known.intercept) + 0.5
    found = climb(
        lambda theta: rows.sum(likelihood_sums, theta), start, None, farthest=1e-3, total_weight=N
    )
    np.testing.assert_array_equal(found.theta, start)


@pytest.mark.parametrize("y", [Y, THREE])
def test_overlapping_classes_are_not_separated(y):
    model = Softmax().fit(Z, y)
    if y is Y:
        model = fitted(Z)
    known, rows = read(model, y)
    refuse_separation(rows, known, model, ["a", "b", "c"], "f")


def test_a_separating_direction_is_named_for_several_classes():
    apart = np.column_stack([Z, (THREE == "c") + 0.0])
    model = Softmax(1.0).fit(apart, THREE)
    known, rows = read(model, THREE, apart)
    with pytest.raises(ValueError, match="that a hyperplane separates along d"):
        refuse_separation(rows, known, model, list("abcd"), "f")


def test_a_fit_that_says_it_is_loose_may_be_farther_away():
    """At its default tolerance a fit of many rows may end several standard errors away."""
    model = fitted(Z)
    model.coef_ = model.coef_ + 0.05
    known, rows = read(model, Y)
    with pytest.raises(ValueError, match="must be at the optimum"):
        find_optimum(rows, known, 0.0, "f")
    found = find_optimum(rows, replace(known, excess=0.1), 0.0, "f")
    assert found.distance < 1e-8 < 1.0 < found.start_distance


def test_the_steadiest_base_has_the_largest_curvature():
    """A class that almost never is in doubt is not the base of the computation."""
    y = np.where(Z[:, 0] > np.sort(Z[:, 0])[-30], "apart", np.where(Y == 1, "b", "c"))
    model = LogisticRegression(C=1e3).fit(Z, y)
    known, rows = read(model, y)
    assert known.base == 0
    assert steadiest_base(rows, known) in (1, 2)
    two, of_two = read(fitted(Z), Y)
    assert steadiest_base(of_two, two) == 0


@pytest.mark.parametrize("base", ["a", "b", "c"])
def test_the_base_of_the_computation_does_not_show(base):
    known, rows = read(Softmax().fit(Z, THREE), THREE)
    other = known.with_base("abc".index(base))
    change = other.change_of_base(0)
    np.testing.assert_allclose(change @ other.coef, known.coef, atol=1e-12)
    one = find_optimum(rows, known, 0.0, "f")
    two = find_optimum(rows.coded_for(other), other, 0.0, "f")
    np.testing.assert_allclose(change @ two.theta, one.theta, rtol=1e-8, atol=1e-8)
