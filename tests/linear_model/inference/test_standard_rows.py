"""Blocks of rows compute the same products, whether they are dense or sparse."""

import numpy as np
import pytest
import scipy.sparse as sp

from polarstep.linear_model.inference import standard_rows
from polarstep.linear_model.inference.standard_rows import (
    DenseBlock,
    SparseBlock,
    Standard,
    blocks_of_rows,
    largest_entries,
    standard_of,
)

RNG = np.random.default_rng(0)
N, D = 40, 90
X = RNG.standard_normal((N, D)) * (RNG.random((N, D)) < 0.05)
X[:, 0] += 3.0
CENTRE, UNIT = RNG.standard_normal(D), RNG.exponential(size=D)


def exact(intercept):
    Z = (X - CENTRE) / UNIT
    return np.column_stack([Z, np.ones(N)]) if intercept else Z


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(
    "kind", [DenseBlock, lambda X, standard: SparseBlock.of_rows(sp.csr_array(X), standard)]
)
def test_products(kind, intercept, monkeypatch):
    standard, Z = Standard(CENTRE, UNIT, intercept), exact(intercept)
    monkeypatch.setattr(standard_rows, "BLOCK_VALUES", 1_000)  # a few rows at a time
    block = kind(X, standard)
    h, V = RNG.standard_normal(N), RNG.standard_normal((Z.shape[1], Z.shape[1]))
    factors = RNG.standard_normal((2, N))
    np.testing.assert_allclose(block.gram(h), Z.T @ np.diag(h) @ Z, atol=1e-8, rtol=1e-9)
    np.testing.assert_allclose(block.times(V[:, :2]), Z @ V[:, :2], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(block.quadratic(V), np.diag(Z @ V @ Z.T), rtol=1e-9, atol=1e-7)
    for form in (np.asarray, sp.csr_array):
        np.testing.assert_allclose(block.combined(form(factors)), factors @ Z, atol=1e-9)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, lambda X: sp.csr_array(X[:, :5])])
def test_blocks_cover_the_rows(form, monkeypatch):
    monkeypatch.setattr(standard_rows, "BLOCK_VALUES", 1_000)
    rows = form(X)
    d = rows.shape[1]
    standard = Standard(CENTRE[:d], UNIT[:d], True)
    blocks = list(blocks_of_rows(rows, standard))
    seen = np.concatenate([np.arange(N)[at] for at, _ in blocks])
    assert seen.tolist() == list(range(N))
    stays_sparse = sp.issparse(rows) and d > 64
    assert all(isinstance(Z, SparseBlock if stays_sparse else DenseBlock) for _, Z in blocks)
    assert (len(blocks) == 1) == (d == 5 or stays_sparse)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, lambda X: X.astype(np.float32)])
def test_no_entry_is_larger_than_one(form):
    standard = standard_of(largest_entries(form(X), CENTRE), CENTRE, True)
    assert np.abs((X - CENTRE) / standard.unit).max() <= 1 + 1e-6


def test_constant_columns_have_a_unit():
    standard = standard_of(np.zeros(2), np.array([7.0, 0.0]), True)
    assert standard.unit.tolist() == [7.0, 1.0]


@pytest.mark.parametrize("intercept", [True, False])
def test_coefficients_and_covariances_for_raw_columns(intercept):
    standard = Standard(CENTRE[:3], UNIT[:3], intercept)
    p = standard.n_terms
    T = np.diag(np.append(1 / UNIT[:3], np.ones(int(intercept))))
    if intercept:
        T[-1, :3] = -CENTRE[:3] / UNIT[:3]
    theta = RNG.standard_normal((2, p))
    raw = standard.to_raw(theta)
    np.testing.assert_allclose(raw, theta @ T.T)
    w, b = raw[:, :3], raw[:, 3] if intercept else np.zeros(2)
    np.testing.assert_allclose(standard.from_raw(w, b), theta)
    A = RNG.standard_normal((2 * p, 2 * p))
    both = np.kron(np.eye(2), T)
    np.testing.assert_allclose(standard.covariance_to_raw(A), both @ A @ A.T @ both.T, atol=1e-12)
