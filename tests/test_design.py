"""The data matrix in every form it comes in."""

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given

import polarstep as ps
from halfspace_cases import FORMS as SAMPLE_FORMS
from halfspace_cases import WEIGHTS, WT
from halfspace_cases import X as ROWS
from halfspace_cases import Y as LABELS
from problems import METHODS, relative, skewed, two_class


class Frame:
    """A stand-in for a data frame: NumPy can convert it to an array."""

    def __init__(self, X):
        self.X = X

    def __array__(self, dtype=None, copy=None):
        return np.array(self.X, dtype=dtype)


def unsorted_with_duplicates(X):
    """A valid CSR matrix in which entries come in two parts, in no order."""
    n, d = X.shape
    data = np.concatenate([0.25 * X[:, ::-1], 0.75 * X], axis=1).ravel()
    columns = np.tile(np.concatenate([np.arange(d)[::-1], np.arange(d)]), n)
    return sp.csr_array((data, columns, 2 * d * np.arange(n + 1)), shape=(n, d))


def wide_indices(X):
    A = sp.csr_array(X)
    A.indices, A.indptr = A.indices.astype(np.int64), A.indptr.astype(np.int64)
    return A


FORMS = {
    "list": lambda X: X.tolist(),
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda X: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    "big endian": lambda X: X.astype(">f8"),
    "object": lambda X: X.astype(object),
    "matrix": lambda X: sp.csr_matrix(X).todense(),
    "frame": Frame,
    "csr_array": sp.csr_array,
    "csr_matrix": sp.csr_matrix,
    "csc": sp.csc_array,
    "coo": sp.coo_matrix,
    "lil": sp.lil_array,
    "duplicates": unsorted_with_duplicates,
    "64-bit indices": wide_indices,
}


def sparse_data(seed=0, n=60, d=5):
    """Data with many zeros, one column without any, and one that is nearly empty."""
    X, y = skewed(seed, n, d, offset=2.0)
    rng = np.random.default_rng(seed)
    X[rng.uniform(size=(n, d)) < 0.6] = 0.0
    X[:, 1] = 3.0 + rng.standard_normal(n)
    X[3:, 2] = 0.0
    return X, y


# ------------------------------------------------------------------ forms of X


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_matrix_gives_the_same_products(form):
    X, y = sparse_data()
    design, centred = ps.Design(FORMS[form](X)), X - X.mean(0)
    w, r = np.arange(1.0, 6.0), np.linspace(-1, 2, 60)
    np.testing.assert_allclose(design.mean, X.mean(0), atol=1e-14)
    np.testing.assert_allclose(design.matvec(w), centred @ w, atol=1e-12)
    np.testing.assert_allclose(design.rmatvec(r), centred.T @ r, atol=1e-12)
    np.testing.assert_allclose(design.gram(), np.cov(X.T, bias=True), atol=1e-13)
    for method in METHODS:
        same = ps.minimize(ps.Halfspace(FORMS[form](X), y), method, max_iter=15, tol=0.0)
        dense = ps.minimize(ps.Halfspace(X, y), method, max_iter=15, tol=0.0)
        np.testing.assert_allclose(same.trace.fun, dense.trace.fun, rtol=1e-11)
        np.testing.assert_allclose(same.x, dense.x, rtol=1e-8)


WHOLE = [bool, np.int8, np.uint8, np.int64, np.uint16]


@pytest.mark.parametrize(
    ("convert", "dtype"),
    [(np.asarray, np.float16), *((c, t) for c in (np.asarray, sp.csr_array) for t in WHOLE)],
)
def test_whole_numbers_do_not_wrap_around(convert, dtype):
    X = np.random.default_rng(0).integers(0, 2 if dtype is bool else 120, size=(50, 4))
    design = ps.Design(convert(X.astype(dtype)))
    np.testing.assert_allclose(design.mean, X.mean(0), rtol=1e-12)
    np.testing.assert_allclose(design.gram(), np.cov(X.T, bias=True), atol=1e-9)


def test_data_are_used_where_they_lie():
    X, _ = skewed(0, 50, 4)
    read_only = X.copy()
    read_only.flags.writeable = False
    single = X.astype(np.float32)
    for A in (X, np.asfortranarray(X), read_only, single, np.asfortranarray(single)):
        assert np.shares_memory(ps.Design(A).X, A)
    for A in (sp.csr_array(X), sp.csr_matrix(single)):
        assert np.shares_memory(ps.Design(A).X.data, A.data)
    assert np.shares_memory(ps.Halfspace(X, X[:, 0] > 1).design.X, X)


@pytest.mark.parametrize("form", FORMS)
def test_data_are_not_modified(form):
    X, y = sparse_data()
    A = FORMS[form](X)
    before = [np.array(v) for v in (A.data, A.indices)] if form == "duplicates" else np.array(X)
    ps.minimize(ps.Halfspace(A, y), max_iter=3)
    after = [A.data, A.indices] if form == "duplicates" else X
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("convert", [np.asarray, np.asfortranarray, sp.csr_array, sp.csc_array])
def test_single_precision_agrees_to_its_digits(convert):
    X, y = sparse_data(1, 3000, 5)
    single = ps.Halfspace(convert(X.astype(np.float32)), y)
    double = ps.Halfspace(convert(X.astype(np.float32).astype(np.float64)), y)
    assert single.design.X.dtype == np.float32
    # Every sum is a float64 sum: only the entries themselves are rounded.
    assert relative(single.moments.S, double.moments.S) < 1e-13
    assert relative(single.moments.u, double.moments.u) < 1e-12
    a, b = ps.minimize(single, max_iter=20), ps.minimize(double, max_iter=20)
    np.testing.assert_allclose(a.trace.fun, b.trace.fun, rtol=1e-12)
    exact = ps.minimize(ps.Halfspace(X, y), max_iter=20)
    np.testing.assert_allclose(a.trace.fun, exact.trace.fun, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
def test_matrices_of_many_blocks(convert, dtype):
    rng = np.random.default_rng(2)
    for n, d in ((9000, 70), (3, 300_000)):
        X = rng.standard_normal((n, d)).astype(dtype)
        design, centred = ps.Design(convert(X)), X - X.mean(0, dtype=float)
        w, r = rng.standard_normal(d), rng.standard_normal(n)
        assert relative(design.matvec(w), centred @ w) < 1e-10
        assert relative(design.rmatvec(r), centred.T @ r) < 1e-10
        if d < 100:
            assert relative(design.gram(), centred.T @ centred / n) < 1e-10


def test_every_product_counts_as_one_pass():
    design = ps.Design(two_class()[0])
    assert design.n_passes == 1
    design.matvec(np.ones(4))
    design.rmatvec(np.ones(200))
    design.gram()
    assert design.n_passes == 4


def test_the_gram_matrix_is_computed_once_and_given_as_a_copy():
    design = ps.Design(two_class()[0])
    first = design.gram()
    expected = first.copy()
    first[:] = 0.0
    np.testing.assert_array_equal(design.gram(), expected)
    assert design.n_passes == 2


@given(st.integers(0, 1000), st.integers(1, 6), st.floats(-1e4, 1e4))
def test_centring_is_implicit(seed, d, offset):
    X, y = skewed(seed, 40, d, offset=0.0)
    here, there = ps.Moments.from_data(X, y), ps.Moments.from_data(X + offset, y)
    scale = 1e-15 * (1 + abs(offset)) * 1e2
    np.testing.assert_allclose(there.S, here.S, atol=scale * (1 + here.L))
    np.testing.assert_allclose(there.u, here.u, atol=scale * 10)
    np.testing.assert_allclose(there.mean - offset, here.mean, atol=scale)


@pytest.mark.parametrize("loss", ["softplus", "sigmoid"])
def test_columns_far_from_zero_keep_the_digits_they_have(loss):
    X, y = skewed(5, 300, 3, offset=0.0)
    offsets = np.array([1e8, -1e8, 3e7])
    there = X + offsets
    near = ps.Halfspace(there - offsets, y, loss, 0.1)
    far = ps.Halfspace(there, y, loss, 0.1)
    assert relative(far.moments.S, near.moments.S) < 1e-13
    assert relative(far.moments.u, near.moments.u) < 1e-6
    a, b = (ps.minimize(objective, max_iter=60, tol=0.0) for objective in (far, near))
    np.testing.assert_allclose(a.trace.fun, b.trace.fun, atol=1e-7)
    np.testing.assert_allclose(a.trace.direction_gap, b.trace.direction_gap, atol=1e-6)


def test_sparse_columns_without_zeros_keep_their_digits_too():
    """Two time stamps side by side: what matters is the ninth digit of either."""
    rng = np.random.default_rng(0)
    stamp = 1.6e9 + 2e4 * rng.standard_normal(400)
    wait = rng.exponential(size=400)
    X = np.column_stack([stamp, stamp + wait, rng.integers(0, 2, 400)])
    y = np.where(wait + 0.5 * rng.standard_normal(400) > 1, 1.0, -1.0)
    dense, sparse = (ps.Moments.from_data(A, y) for A in (X, sp.csr_array(X)))
    assert sparse.rank == 3
    assert relative(sparse.S, dense.S) < 1e-9
    assert sparse.rho_star == pytest.approx(dense.rho_star, rel=1e-4)


# ------------------------------------------------------------------ the intercept and the variances


@pytest.mark.parametrize("form", SAMPLE_FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_intercept_is_a_constant_feature(form, dtype):
    design = ps.Design(
        SAMPLE_FORMS[form](ROWS.astype(dtype)), sample_weight=WEIGHTS, intercept=True
    )
    rows = ROWS.astype(dtype).astype(float)
    rows = np.column_stack([rows - np.average(rows, axis=0, weights=WEIGHTS), np.ones(120)])
    assert design.shape == rows.shape
    r, s = np.linspace(-1, 2, 120), WEIGHTS / WEIGHTS.sum()
    np.testing.assert_allclose(design.matvec(WT), rows @ WT, atol=1e-12)
    np.testing.assert_allclose(design.rmatvec(r), rows.T @ r, atol=1e-11)
    np.testing.assert_allclose(design.moment(r), rows.T @ (s * r), atol=1e-13)
    np.testing.assert_allclose(design.gram(), (rows * s[:, None]).T @ rows, atol=1e-13)
    assert design.average(r) == pytest.approx(s @ r, rel=1e-13)
    moments = ps.Moments.from_data(design, LABELS)
    assert moments.u[-1] == pytest.approx(-s @ LABELS)
    assert (moments.S[-1] == [0, 0, 0, 1]).all()
    assert moments.mean[-1] == 0.0


@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("weights", [None, np.arange(50) % 5])
def test_variances_of_columns(convert, weights):
    rng = np.random.default_rng(0)
    outlier = np.where(np.arange(50) == 0, 1e9, rng.standard_normal(50))
    sparse = rng.standard_normal(50) * (np.arange(50) % 3 > 0)
    columns = [1e8 + rng.standard_normal(50), np.full(50, 1e8 / 3), outlier, sparse, 0 * sparse]
    design = ps.Design(convert(np.column_stack(columns)), sample_weight=weights)
    exact = np.diag(np.cov(np.column_stack(columns).T, bias=True, aweights=weights))
    assert design.constant.tolist() == [False, True, False, False, True]
    np.testing.assert_allclose(design.variance[[0, 2, 3]], exact[[0, 2, 3]], rtol=1e-7)
