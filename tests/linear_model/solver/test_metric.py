"""The metric: its solves against dense matrices, units, and its two levels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polarstep.linear_model.solver.columns import GramColumns, choose_gram_columns
from polarstep.linear_model.solver.metric import ENOUGH_ROWS, HessianMetric, SecondMoments
from polarstep.linear_model.solver.penalty import DiagonalPenalty
from weighted_samples import centred, made, samples_of, sparse_categories


def metric_of(X, penalty=0.0, intercept=True, **options):
    samples = centred(X, np.ones(len(X)))
    columns = GramColumns.every(samples.d)
    G = samples.gram(samples.weight, columns.place, samples.d)
    penalty = DiagonalPenalty(np.full(samples.d, penalty))
    return HessianMetric(G, columns, penalty, intercept, **options), G


@pytest.mark.parametrize("intercept", [True, False])
def test_a_metric_solves_with_its_matrix(intercept):
    X = made()[0]
    metric, G = metric_of(X, 0.3, intercept)
    H = G + np.diag([0.3] * 6 + [0.0])
    H = H if intercept else H[:6, :6]
    g = np.random.default_rng(0).standard_normal(len(H))
    np.testing.assert_allclose(metric.solve(g), np.linalg.solve(H, g), rtol=1e-9)
    np.testing.assert_allclose(metric.times(4.0).solve(g), np.linalg.solve(4 * H, g), rtol=1e-9)


@given(st.integers(0, 1000), st.sampled_from(["full", "twice", "constant", "few rows"]))
@settings(max_examples=40, deadline=None)
def test_a_metric_is_definite_and_does_not_depend_on_units(seed, kind):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((3 if kind == "few rows" else 50, 5))
    if kind == "twice":
        X[:, 4] = X[:, 3]
    elif kind == "constant":
        X[:, 4] = 2.0
    metric, _ = metric_of(X)
    g = rng.standard_normal(6)
    if kind == "constant":
        g[4] = 0.0
    x = metric.solve(g)
    assert np.isfinite(x).all()
    assert g @ x > 0
    units = 2.0 ** rng.integers(-20, 20, 5)
    scaled, _ = metric_of(X * units)
    all_units = np.append(units, 1.0)
    y = scaled.solve(g * all_units) * all_units
    if kind == "full":
        np.testing.assert_allclose(y, x, rtol=1e-7, atol=1e-9)
    assert g @ y == pytest.approx(g @ x, rel=1e-3)


def test_a_metric_of_two_levels_is_symmetric_and_definite():
    X, y = sparse_categories(n=3000, levels=(4, 1500), seed=0)
    samples = centred(X, y)
    columns = choose_gram_columns(samples)
    assert not columns.all_single
    assert columns.size < X.shape[1] // 2
    G = samples.gram(samples.weight, columns.place, columns.size)
    penalty = DiagonalPenalty(np.full(X.shape[1], 1e-6))
    metric = HessianMetric(G, columns, penalty, True, samples.squares(samples.weight))
    twice = metric.times(2.0)
    rng = np.random.default_rng(0)
    for _ in range(5):
        g, h = rng.standard_normal((2, X.shape[1] + 1))
        assert g @ metric.solve(g) > 0
        assert g @ metric.solve(h) == pytest.approx(h @ metric.solve(g), rel=1e-8)
        np.testing.assert_allclose(2.0 * twice.solve(g), metric.solve(g), rtol=1e-10)


def test_correlations_that_rest_on_few_rows_are_shrunk():
    X = made()[0]
    rows = np.array([ENOUGH_ROWS, ENOUGH_ROWS / 4, 1e9, 1e9, 1e9, 0.0])
    diagonal = np.arange(1.0, 7.0)
    metric, G = metric_of(X, diagonal=diagonal, effective_rows=rows)
    root = np.sqrt(np.append(diagonal * np.minimum(1.0, rows / ENOUGH_ROWS), 1.0))
    unit = np.sqrt(G.diagonal())
    H = G / np.outer(unit, unit) * np.outer(root, root)
    np.fill_diagonal(H, np.append(diagonal, 1.0))
    g = np.random.default_rng(0).standard_normal(7)
    np.testing.assert_allclose(metric.solve(g), np.linalg.solve(H, g), rtol=1e-9)


def test_second_moments_are_computed_once():
    samples, Z = samples_of()
    moments = SecondMoments(samples, GramColumns.every(6))
    assert not moments.is_known
    G, diagonal = moments.values
    assert moments.is_known
    assert diagonal is None
    assert moments.values[0] is G
    np.testing.assert_allclose(G[:6, :6], Z.T @ (samples.weight[:, None] * Z), atol=1e-12)
