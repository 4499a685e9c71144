"""The compiled kernels against NumPy: losses, their extremes, every layout and every odd size."""

import numpy as np
import pytest
import scipy.sparse as sp

from polarstep.linear_model.solver import kernels
from polarstep.linear_model.solver.dense_matrix import DenseMatrix
from polarstep.linear_model.solver.sparse_matrix import SparseMatrix
from polarstep.losses import LOSSES, smooth_hinge
from problems import ARCTAN

COMPILED = [*LOSSES.values(), smooth_hinge(0.05), smooth_hinge(3.0)]
SIZES = [1, 2, 63, 64, 65, 255, 256, 257, 511, 512, 513]
TINY = 1e-300  # smaller values need not be distinguished from zero
LAYOUTS = ["C", "F", "strided", "csr32", "csr64"]


def losses_at(loss, a, s=None):
    """Return (sum of s phi, s phi', s phi'') of one tile, as the kernel computes them."""
    a, k = np.array(a, float), len(a)
    second, e, bits = np.empty(k), np.empty(k), np.empty(k, np.int64)
    s = np.ones(k) if s is None else s
    value = kernels._loss(*loss.kernel, a, s, second, e, bits, k)
    return value, a, second


def laid_out(X, layout, dtype=np.float64):
    X = X.astype(dtype)
    if layout.startswith("csr"):
        X = sp.csr_matrix(X)
        kind = np.int32 if layout == "csr32" else np.int64
        X.indices, X.indptr = X.indices.astype(kind), X.indptr.astype(kind)
    elif layout == "F":
        X = np.asfortranarray(X)
    elif layout == "strided":
        X = np.repeat(X, 2, axis=0)[::2]
    form = SparseMatrix if sp.issparse(X) else DenseMatrix
    return form(X, np.zeros(X.shape[1])).block(0, X.shape[0])


def made(n, d, dtype=np.float64, seed=0):
    """Return X with some zeros, rounded to the dtype, and y, s, w and b."""
    rng = np.random.default_rng(seed)
    X = (rng.standard_normal((n, d)) * (rng.random((n, d)) < 0.7)).astype(dtype).astype(float)
    y = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    return X, y, rng.exponential(size=n), rng.standard_normal(d), 0.3


# ------------------------------------------------------------------ exp and log1p


def test_exp_is_right_to_three_units_in_the_last_place():
    rng = np.random.default_rng(0)
    halves = -np.arange(0.0, 708.0, 0.5) * np.log(2.0)  # where the power of two changes
    halves = halves[halves > -708]
    x = np.concatenate([-np.exp(rng.uniform(-40, np.log(708), 50_000)), halves, [0.0, -0.0, -708]])
    e, bits = x.copy(), np.empty(len(x), np.int64)
    kernels._exp_of_negative(e, bits, len(x))
    true = np.exp(x.astype(np.longdouble))
    assert (np.abs(e - true) / np.spacing(true.astype(float))).max() < 3
    assert (e[x == 0] == 1).all()


def test_exp_stays_at_its_least_value_and_keeps_nan():
    x = np.array([-708.0, -709.0, -1e5, -1e300, -np.inf, np.nan])
    kernels._exp_of_negative(x, np.empty(len(x), np.int64), len(x))
    assert (x[:-1] == x[0]).all()
    assert 0 < x[0] < 1e-306
    assert np.isnan(x[-1])


def test_exp_leaves_the_rest_of_the_tile_alone():
    x, bits = np.full(8, -1.0), np.zeros(8, np.int64)
    kernels._exp_of_negative(x, bits, 3)
    assert (x[3:] == -1).all()


def test_log1p_is_right_to_four_units_in_the_last_place():
    rng = np.random.default_rng(0)
    edge = 0.41421356 + np.arange(-50, 50) * 1e-16
    e = np.concatenate([rng.random(20_000), 10.0 ** rng.uniform(-300, 0, 20_000), edge, [0.0, 1.0]])
    found = np.array([kernels._log1p(x) for x in e])
    true = np.log1p(e.astype(np.longdouble))
    unit = np.spacing(np.maximum(true.astype(float), 5e-324))
    assert (np.abs(found - true) / unit).max() < 4
    assert found[-2] == 0
    assert np.isnan(kernels._log1p(np.nan))


# ------------------------------------------------------------------ losses on a tile


@pytest.mark.parametrize("loss", COMPILED, ids=str)
def test_losses_are_those_of_numpy(loss):
    a = np.concatenate([np.linspace(-45, 45, 9001), [0.0, -0.0, -1.0, 1e-9, -1e-9]])
    _, first, second = losses_at(loss, a)
    values = np.array([losses_at(loss, [x])[0] for x in a[::10]])
    np.testing.assert_allclose(values, loss.phi(a[::10]), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(first, loss.dphi(a), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(second, loss.d2phi(a), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("loss", COMPILED, ids=str)
@pytest.mark.parametrize("size", [700.0, 709.0, 1e3, 1e6, 1e100])
def test_losses_far_out_are_those_of_numpy(loss, size):
    for a in (np.array([-size]), np.array([size])):
        value, first, second = losses_at(loss, a)
        np.testing.assert_allclose(value, loss.phi(a)[0], rtol=1e-13, atol=TINY)
        np.testing.assert_allclose(first, loss.dphi(a), rtol=1e-13, atol=TINY)
        # The least pdf, exp(-708), times a margin of 1e100 is not zero, but negligible.
        np.testing.assert_allclose(second, loss.d2phi(a), rtol=1e-13, atol=TINY * size)


@pytest.mark.parametrize("loss", COMPILED, ids=str)
def test_nan_and_infinity_show(loss):
    """An infinite feature makes a margin infinite or NaN, and then a sum is not finite either."""
    value, first, second = losses_at(loss, [0.5, np.nan, -0.5])
    assert np.isnan(value)
    assert np.isnan(first[1])
    assert np.isfinite(first[[0, 2]]).all()
    assert np.isfinite(second[[0, 2]]).all()


@pytest.mark.parametrize("loss", COMPILED, ids=str)
def test_weights_multiply_and_zero_weights_silence(loss):
    rng = np.random.default_rng(0)
    a, s = 3 * rng.standard_normal(64), rng.exponential(size=64)
    s[::5] = 0.0
    value, first, second = losses_at(loss, a, s)
    assert value == pytest.approx(float(s @ loss.phi(a)), rel=1e-13)
    np.testing.assert_allclose(first, s * loss.dphi(a), rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(second, s * loss.d2phi(a), rtol=1e-12, atol=1e-16)
    assert not first[::5].any()
    assert not second[::5].any()


def test_only_built_in_losses_have_a_kernel():
    codes = {
        "softplus": kernels.SOFTPLUS,
        "sigmoid": kernels.SIGMOID,
        "normal_cdf": kernels.NORMAL_CDF,
        "smooth_hinge": kernels.SMOOTH_HINGE,
        "squared": kernels.SQUARED,
    }
    assert {name: loss.kernel[0] for name, loss in LOSSES.items()} == codes
    assert smooth_hinge(0.2).kernel == (kernels.SMOOTH_HINGE, 0.2)
    assert ARCTAN.kernel is None
    named = type(ARCTAN)(ARCTAN.phi, ARCTAN.dphi, ARCTAN.d2phi, name="softplus")
    assert named.kernel is None, "a name alone does not make it the built-in loss"


# ------------------------------------------------------------------ kernels on data


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tile", [64, 256, 512])
def test_evaluate(layout, dtype, tile):
    loss = LOSSES["softplus"]
    shapes = [(n, 3) for n in SIZES] + [(70, d) for d in range(1, 10)]
    for n, d in shapes:
        X, y, s, w, b = made(n, d, dtype, seed=n + d)
        centre = np.zeros(d) if layout.startswith("csr") else np.arange(1.0, d + 1)
        p = (X - centre) @ w
        a = -y * (p + b)
        r = -y * s * loss.dphi(a)
        margins, g = np.full(n, np.nan), np.ones(d)
        found = kernels.evaluate(
            laid_out(X, layout, dtype),
            centre,
            y,
            s,
            w,
            b,
            *loss.kernel,
            margins,
            False,
            g,
            tile,
        )
        expected = [s @ loss.phi(a), r.sum(), s @ p, s @ np.square(p)]
        # Sums of float32 data are float64 sums: the tolerance is the same.
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * n)
        np.testing.assert_allclose(margins, a, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(g, 1.0 + (X - centre).T @ r, rtol=1e-12, atol=1e-12 * n)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products(layout, dtype):
    for n, d in [(n, 5) for n in SIZES] + [(66, d) for d in range(1, 10)]:
        X, _, r, w, _ = made(n, d, dtype, seed=n * d)
        centre = np.zeros(d) if layout.startswith("csr") else np.linspace(-2, 2, d)
        data = laid_out(X, layout, dtype)
        out, g, q = np.full(n, np.nan), np.ones(d), np.ones(d)
        kernels.project(data, centre, w, out, 64)
        kernels.combine(data, centre, r, g, 256)
        kernels.combine_squares(data, centre, r, q, 64)
        np.testing.assert_allclose(out, (X - centre) @ w, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(g, 1 + (X - centre).T @ r, rtol=1e-12, atol=1e-12 * n)
        np.testing.assert_allclose(q, 1 + np.square(X - centre).T @ r, rtol=1e-12)


@pytest.mark.parametrize("loss", COMPILED, ids=str)
@pytest.mark.parametrize("n", SIZES)
def test_plane_and_curvatures(loss, n):
    rng = np.random.default_rng(n)
    a, p, s = rng.standard_normal(n), rng.standard_normal(n), rng.exponential(size=n)
    y, t, h = np.where(rng.random(n) < 0.5, 1.0, -1.0), 0.7, -0.4
    m = a + t * p - h * y
    first, second = s * loss.dphi(m), s * loss.d2phi(m)
    expected = [s @ loss.phi(m), first @ p, -first @ y]
    expected += [second @ p**2, -second @ (p * y), second.sum()]
    found = kernels.plane(a, p, y, s, t, h, *loss.kernel)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13 * n)
    out = np.empty(n)
    for floor in (0.0, 0.3):
        kernels.curvatures(m, s, floor, *loss.kernel, out)
        wanted = np.maximum(np.abs(second), floor * np.abs(first))
        np.testing.assert_allclose(out, wanted, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("layout", ["csr32", "csr64"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_grams_count_each_pair_once(layout, dtype):
    X, _, h, _, _ = made(40, 7, dtype)
    place = np.array([0, 2, 1, -1, 2, 2, 0], np.int32)
    A = np.zeros((7, 3))
    A[place >= 0, place[place >= 0]] = 1
    X_sums = np.column_stack([X @ A, np.ones(40)])
    triangle = np.zeros((4, 4))
    kernels.csr_gram_of_sums(*laid_out(X, layout, dtype), h, place, triangle)
    found = triangle + triangle.T - np.diag(np.diag(triangle))
    np.testing.assert_allclose(found, X_sums.T @ (h[:, None] * X_sums), rtol=1e-12)
    Z = np.column_stack([X, np.ones(40)])
    triangle = np.zeros((8, 8))
    kernels.csr_gram(*laid_out(X, layout, dtype), h, triangle)
    found = triangle + triangle.T - np.diag(np.diag(triangle))
    np.testing.assert_allclose(found, Z.T @ (h[:, None] * Z), rtol=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_feature_that_is_not_finite_shows_in_the_sums(value, layout):
    X, y, s, w, b = made(70, 3)
    X[65, 1] = value
    for at in (w, np.zeros(3)):  # 0 * inf is NaN, which a comparison must not hide
        for loss in COMPILED:
            margins, g = np.empty(70), np.zeros(3)
            sums = kernels.evaluate(
                laid_out(X, layout), np.zeros(3), y, s, at, b, *loss.kernel, margins,
                False, g, 64,
            )  # fmt: skip
            assert not (np.isfinite(sums[0]) and np.isfinite(g).all()), loss.name


@pytest.mark.parametrize("loss", COMPILED, ids=str)
@pytest.mark.parametrize("layout", ["C", "F", "csr32"])
def test_sums_have_the_same_bits_wherever_the_arrays_lie(loss, layout):
    """Arrays that are neighbours in memory made the compiler add in another order."""
    n, d = 300, 4
    X, y, s, w, b = made(n, d)
    rng, found = np.random.default_rng(0), set()

    def elsewhere(array):
        start = rng.integers(0, 64)
        place = np.empty(start + len(array) + rng.integers(0, 64))[start : start + len(array)]
        place[:] = array
        return place

    for _ in range(200):
        clutter = [np.empty(rng.integers(1, 500)) for _ in range(20)]  # noqa: F841
        block, margins, g, out = laid_out(X, layout), np.empty(n), np.zeros(d), np.empty(n)
        rows = elsewhere(y), elsewhere(s)
        sums = kernels.evaluate(
            block, np.zeros(d), *rows, elsewhere(w), b, *loss.kernel, margins, False, g, 256
        )
        more = kernels.plane(margins, elsewhere(y), *rows, 0.3, 0.1, *loss.kernel)
        more += kernels.curvatures(margins, rows[1], 0.01, *loss.kernel, out)
        found.add((sums, more, margins.tobytes(), g.tobytes(), out.tobytes()))
    assert len(found) == 1
