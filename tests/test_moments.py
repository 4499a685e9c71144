"""u, S and the geometry of S: singular matrices, units, spectra."""

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import example, given

import polarstep as ps
from problems import METHODS, covariance, one_hot, population, relative, skewed

# ------------------------------------------------------------------ singular S


def singular_data(name):
    X, y, _ = one_hot(3)
    rng = np.random.default_rng(4)
    n = len(y)
    numbers = rng.standard_normal((n, 2))
    return {
        "one-hot": (X, y),
        "constant column": (np.column_stack([numbers, np.full(n, 7.3)]), y),
        "duplicated column": (np.column_stack([numbers, numbers[:, 0], numbers[:, :1]]), y),
        "fewer rows than columns": (rng.standard_normal((6, 9)), y[:6]),
        "rank one": (np.outer(numbers[:, 0], [1.0, -2.0, 0.5]), y),
        "all of it": (np.column_stack([X, numbers, numbers.sum(1), np.ones(n)]), y),
    }[name]


SINGULAR = ["one-hot", "constant column", "duplicated column", "fewer rows than columns"]
SINGULAR += ["rank one", "all of it"]


@pytest.mark.parametrize("name", SINGULAR)
@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
def test_singular_moments(name, convert):
    X, y = singular_data(name)
    moments = ps.Moments.from_data(convert(X), y)
    S = np.cov(X.T, bias=True)
    values = np.linalg.eigvalsh(S)
    assert moments.rank == np.linalg.matrix_rank(X - X.mean(0), tol=1e-9) < X.shape[1]
    assert moments.mu == pytest.approx(values[-moments.rank], rel=1e-9)
    assert pytest.approx(values[-1], rel=1e-12) == moments.L
    assert moments.condition_number == pytest.approx(values[-1] / values[-moments.rank], rel=1e-9)
    pinv = np.linalg.pinv(S, rcond=1e-10, hermitian=True)
    assert relative(moments.solve(moments.u), pinv @ moments.u) < 1e-9
    assert moments.rho_star == pytest.approx(-moments.u @ pinv @ moments.u, rel=1e-10)
    w = np.random.default_rng(0).standard_normal(len(S))
    inside = moments.project(w)
    np.testing.assert_allclose(inside, pinv @ S @ w, atol=1e-10)
    np.testing.assert_allclose(moments.project(inside), inside, atol=1e-13)
    np.testing.assert_allclose(moments.project(moments.u), moments.u, atol=1e-14)
    assert moments.norm(w) == pytest.approx(moments.norm(inside), rel=1e-10)
    assert moments.dual_norm(S @ w) == pytest.approx(moments.norm(w), rel=1e-9)


def to_the_end(trace, max_iter):
    """A trace of max_iter iterations; a run ends before them where its gradient is exactly zero."""
    left = max_iter + 1 - len(trace)
    assert left == 0 or trace.grad_norm[-1] == 0.0
    return {name: np.append(v, [v[-1]] * left) for name, v in trace.as_dict().items()}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", SINGULAR)
def test_singular_s_follows_the_trajectory_of_the_reduced_problem(name, method):
    """In an orthonormal basis of range(S) there is the same problem, with a regular S."""
    X, y = singular_data(name)
    values, vectors = np.linalg.eigh(np.cov(X.T, bias=True))
    basis = vectors[:, values > 1e-10 * values[-1]]
    problems = [ps.Halfspace(A, y, "softplus", 0.05) for A in (X, (X - X.mean(0)) @ basis)]
    options = {"max_iter": 60, "tol": 0.0}
    full, reduced = (ps.minimize(problem, method, **options) for problem in problems)
    one, other = (to_the_end(run.trace, 60) for run in (full, reduced))
    np.testing.assert_allclose(one["fun"], other["fun"], rtol=1e-9)
    np.testing.assert_allclose(one["length"], other["length"], rtol=1e-7)
    np.testing.assert_allclose(one["direction_gap"], other["direction_gap"], atol=1e-9)
    np.testing.assert_allclose(one["grad_norm"], other["grad_norm"], atol=1e-9)
    np.testing.assert_allclose(basis.T @ full.x, reduced.x, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(basis @ (basis.T @ full.x), full.x, atol=1e-9)


@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
def test_balanced_one_hot_data_have_u_zero_up_to_rounding(convert):
    """Rounding errors outside the range of S are no reason to refuse the data."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        codes, y = np.repeat(np.arange(3), 10), np.tile([1.0, -1.0], 15)
        order = rng.permutation(30)
        X = np.eye(3)[codes[order]] * rng.uniform(0.5, 2, 3)
        objective = ps.Halfspace(convert(X), y[order])
        assert np.abs(objective.moments.u).max() < 1e-15
        for method in METHODS:
            run = ps.minimize(objective, method, max_iter=500)
            assert run.status in (ps.Status.converged, ps.Status.orthogonal_start)
            if run.success:
                assert run.fun == pytest.approx(np.log(2), abs=1e-12)


def test_a9a_sparse_equals_dense(a9a):
    X, y = a9a
    moments = ps.Moments.from_data(X, y)
    assert (len(moments.u), moments.rank) == (123, 107)
    objectives = ps.Halfspace(X, y), ps.Halfspace(X.toarray(order="F"), y)
    for method in METHODS:
        sparse, dense = (ps.minimize(f, method, max_iter=6, tol=0.0) for f in objectives)
        np.testing.assert_allclose(sparse.trace.fun, dense.trace.fun, rtol=1e-11)
        np.testing.assert_allclose(sparse.trace.direction_gap, dense.trace.direction_gap, rtol=1e-7)
        np.testing.assert_allclose(sparse.x, dense.x, rtol=1e-6, atol=1e-9)


# ------------------------------------------------------------------ units and spectra


@example(seed=0, d=5, singular=True)
@given(st.integers(0, 1000), st.integers(1, 6), st.booleans())
def test_units_of_the_features_do_not_matter(seed, d, singular):
    X, y = skewed(seed, 50, d, offset=0.0)
    if singular:
        X = np.column_stack([X, X @ np.arange(1.0, d + 1)])
    units = 10.0 ** np.random.default_rng(seed).integers(-6, 7, X.shape[1])
    here, there = ps.Moments.from_data(X, y), ps.Moments.from_data(X * units, y)
    assert there.rank == here.rank == d
    assert there.rho_star == pytest.approx(here.rho_star, rel=1e-8)
    w = here.project(np.random.default_rng(seed).standard_normal(X.shape[1]))
    assert there.norm(w / units) == pytest.approx(here.norm(w), rel=1e-9)
    assert there.dual_norm(units * here.u) == pytest.approx(here.dual_norm(here.u), rel=1e-8)
    gap = here.direction_gap(w)
    assert there.direction_gap(w / units) == pytest.approx(gap, rel=1e-6, abs=1e-12)
    best = there.solve(there.u)
    assert there.direction_gap(best) < 1e-14
    assert relative((X - X.mean(0)) @ (units * best), (X - X.mean(0)) @ here.solve(here.u)) < 1e-7


@pytest.mark.parametrize("kappa", [1.0, 1e4, 1e8, 1e10])
def test_spectrum(kappa):
    rng = np.random.default_rng(0)
    S = covariance(rng, 5, kappa, scale=7.0)
    moments = ps.Moments(S @ np.ones(5), S)
    assert pytest.approx(7.0) == moments.L
    assert moments.mu == pytest.approx(7.0 / kappa, rel=1e-15 * kappa + 1e-12)
    assert moments.condition_number == pytest.approx(kappa, rel=1e-15 * kappa + 1e-12)
    np.testing.assert_allclose(moments.solve(moments.u), np.ones(5), rtol=1e-14 * kappa + 1e-12)
    values, vectors = moments.eigen
    np.testing.assert_allclose((vectors * values) @ vectors.T, S, atol=1e-14)


def test_moments_of_one_feature():
    moments = ps.Moments.from_data([[1.0], [2.0], [6.0]], [1, -1, -1])
    assert (moments.rank, moments.condition_number) == (1, 1.0)
    assert moments.mean == pytest.approx([3.0])
    assert pytest.approx(np.array([[14 / 3]])) == moments.S
    assert moments.u == pytest.approx([4 / 3])
    assert (moments.n_samples, moments.n_passes, moments.y_squared) == (3, 3, 1.0)


def test_moments_of_a_population_are_taken_as_given():
    p = population(1, 3)
    moments = ps.Moments(list(p.u), p.S.tolist())
    assert (moments.u == p.u).all()
    assert (moments.S == p.S).all()
    assert (moments.mean == 0).all()
    assert moments.n_samples is None
    assert "u=" in repr(moments)
    single = ps.Moments(p.u, p.S.astype(np.float32))
    assert single.S.dtype == np.float64


# ------------------------------------------------------------------ what is refused

U, S = np.array([0.3, 0.1, 0.0]), np.eye(3)


def with_entry(value, row, column):
    bad = S.copy()
    bad[row, column] = value
    return bad


REFUSED = {
    "u outside": (ps.Moments, ([1.0, 1.0], np.diag([1.0, 0.0])), "`u` must lie in the range of S"),
    "u nan": (ps.Moments, ([np.nan, 1.0], np.eye(2)), "`u`.* nan at position 0"),
    "u words": (ps.Moments, (["a", "b"], np.eye(2)), "`u` must be a vector", TypeError),
    "u matrix": (ps.Moments, (np.eye(2), np.eye(2)), r"`u` must be a vector.* shape \(2, 2\)"),
    "S shape": (ps.Moments, (U, np.eye(2)), r"`S` must be a 3 x 3 matrix.* shape \(2, 2\)"),
    "S not square": (ps.Moments, (U, np.ones((3, 2))), "`S` must be a 3 x 3 matrix"),
    "S complex": (ps.Moments, (U, S + 0j), "`S` must be a 3 x 3 matrix.* not numeric", TypeError),
    "S words": (ps.Moments, (U, [["a"] * 3] * 3), "`S` must be a 3 x 3 matrix", TypeError),
    "S ragged": (ps.Moments, (U, [[1.0], [0, 1], [1]]), "`S` must be a 3 x 3 matrix", TypeError),
    "S nan": (ps.Moments, (U, with_entry(np.nan, 1, 2)), "`S`.* nan at row 1, column 2"),
    "S inf": (ps.Moments, (U, with_entry(np.inf, 2, 2)), "`S`.* inf at row 2, column 2"),
    "S zero": (ps.Moments, (0 * U, 0 * S), "`S` must not be zero"),
    "S not symmetric": (ps.Moments, (U, S + np.eye(3, k=1)), "`S` must be symmetric"),
    "S negative": (ps.Moments, (U, with_entry(-1.0, 1, 1)), "`S`.* semidefinite; got -1 in row 1"),
    "S negative definite": (ps.Moments, (U, -S), "`S` must be positive semidefinite"),
    "S zero diagonal": (ps.Moments, ([0, 0.0], [[0, 1], [1, 1.0]]), "`S`.* semidefinite"),
    "S indefinite": (ps.Moments, ([0, 0.0], [[1, 2], [2, 1.0]]), "`S` must be positive semidef"),
    "S indefinite as a whole": (
        ps.Moments,
        (np.zeros(3), np.full((3, 3), -0.9) + 1.9 * np.eye(3)),
        r"`S` must be positive semidefinite; got a matrix with a negative eigenvalue \(-0.8",
    ),
    "mean": (ps.Moments, (U, S, [1.0]), "`mean` must be a vector of 3"),
    "y_squared": (ps.Moments, (U, S, None, None, -1.0), "`y_squared`.* >= 0; got -1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    make, arguments, words, *error = REFUSED[case]
    with pytest.raises(error[0] if error else ValueError, match=f"(?s)^Moments: {words}") as caught:
        make(*arguments)
    assert type(caught.value) is (error[0] if error else ValueError)


def test_wide_data_are_refused():
    words = "from_data: `X` must have at most 20,000 columns.* Select or hash"
    with pytest.raises(ValueError, match=words):
        ps.Moments.from_data(sp.csr_array((2, 30_000)), [0, 1])
