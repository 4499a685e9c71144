"""The method whitened: sums over rows, metrics, the estimate it stops by, and runs by minimize."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize as scipy_minimize

import polarstep as ps
from newton import Reference
from polarstep import Status
from polarstep.linear_model.solver import problem as linear
from polarstep.linear_model.solver import whitened
from polarstep.linear_model.solver.metric import Coarse, Metric, choose_columns
from polarstep.linear_model.solver.samples import Samples, category_ranges, category_starts, shares
from polarstep.losses import LOSSES, smooth_hinge
from problems import ARCTAN, BOUNDED, relative, skewed

CONVEX = ["smooth_hinge", "softplus", "squared"]
KINDS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "float32": lambda X: np.ascontiguousarray(X, np.float32),
    "csr": sp.csr_matrix,
    "csr float32": lambda X: sp.csr_matrix(X.astype(np.float32)),
}


def made(n=150, d=6, seed=0):
    """(X in numbers of single precision, y, weights that sum to 1, centre)."""
    rng = np.random.default_rng(seed)
    X = (rng.standard_normal((n, d)) * (rng.random((n, d)) < 0.6)).astype(np.float32).astype(float)
    y = np.where(rng.random(n) < 0.4, 1.0, -1.0)
    s = rng.exponential(size=n)
    return X, y, s / s.sum(), rng.standard_normal(d)


def samples_of(kind="C", loss=LOSSES["softplus"], n_threads=1, **shape):
    X, y, s, centre = made(**shape)
    return Samples(KINDS[kind](X), y, s, centre, loss, n_threads), X - centre


# ------------------------------------------------------------------ sums over rows


@pytest.mark.parametrize("loss", [*LOSSES.values(), smooth_hinge(0.1), ARCTAN], ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_threads", [1, 3])
def test_sums_are_those_of_dense_numpy(kind, loss, n_threads):
    samples, Z = samples_of(kind, loss, n_threads)
    y, s = samples.y, samples.weight
    rng = np.random.default_rng(1)
    w, v, b, h, t = rng.standard_normal(6), rng.standard_normal(6), 0.4, -0.7, 1.3
    sums, margins = samples.evaluate(w, b)
    p = Z @ w
    a = -y * (p + b)
    r = -y * s * loss.dphi(a)
    np.testing.assert_allclose(margins, a, rtol=1e-11, atol=1e-12)
    found = [sums.value, sums.by_b, sums.mean, sums.square]
    np.testing.assert_allclose(found, [s @ loss.phi(a), r.sum(), s @ p, s @ p**2], rtol=1e-10)
    np.testing.assert_allclose(sums.by_w, Z.T @ r, rtol=1e-9, atol=1e-12)

    change = samples.project(v, h)
    np.testing.assert_allclose(change, -y * (Z @ v + h), rtol=1e-11, atol=1e-12)
    m = a + t * change - h * y
    np.testing.assert_allclose(samples.move(margins, change, t, h), m, rtol=1e-10, atol=1e-12)
    first, second = s * loss.dphi(m), s * loss.d2phi(m)
    expected = [s @ loss.phi(m), first @ change, -first @ y]
    expected += [second @ change**2, -second @ (change * y), second.sum()]
    np.testing.assert_allclose(
        samples.plane(margins, change, t, h), expected, rtol=1e-9, atol=1e-12
    )
    curvatures = samples.curvatures(a)
    np.testing.assert_allclose(curvatures, np.abs(s * loss.d2phi(a)), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(samples.squares(s), s @ Z**2, rtol=1e-9)
    assert samples.root_mean_square(p) == pytest.approx(np.sqrt(s @ p**2 / s.sum()))


@pytest.mark.parametrize("kind", KINDS)
def test_gram(kind):
    samples, Z = samples_of(kind)
    h = np.random.default_rng(2).exponential(size=samples.n)
    one = np.column_stack([Z, np.ones(samples.n)])
    found = samples.gram(h, np.arange(6, dtype=np.int32), 6)
    np.testing.assert_allclose(found, one.T @ (h[:, None] * one), rtol=1e-9, atol=1e-9)
    # Columns left out; of a sparse X also added up.
    place = np.array([1, -1, 0, 2, -1, 3] if not samples.is_sparse else [1, 0, 0, 2, -1, 1])
    k = place.max() + 1
    A = np.zeros((6, k))
    A[place >= 0, place[place >= 0]] = 1
    if not samples.is_sparse:
        place = np.where(place < 0, -1, np.cumsum(place >= 0) - 1)  # in the order of X
        A = np.eye(6)[:, place >= 0]
    one = np.column_stack([Z @ A, np.ones(samples.n)])
    found = samples.gram(h, place.astype(np.int32), k)
    np.testing.assert_allclose(found, one.T @ (h[:, None] * one), rtol=1e-9, atol=1e-9)


def test_the_gram_matrix_of_many_columns_is_single_precision_in_the_units_of_each():
    rng = np.random.default_rng(0)
    units = 10.0 ** rng.uniform(-6, 6, 300)
    X = rng.standard_normal((400, 300)) * units
    s = np.full(400, 1 / 400)
    samples = Samples(X, np.ones(400), s, np.zeros(300), LOSSES["softplus"])
    found = samples.gram(s, np.arange(300, dtype=np.int32), 300)
    scaled = found[:-1, :-1] / np.outer(units, units)
    np.testing.assert_allclose(scaled, (X / units).T @ (X / units) / 400, atol=1e-5)


@pytest.mark.parametrize("kind", ["C", "csr"])
def test_a_subsample_keeps_the_weight_of_each_class(kind):
    samples, _ = samples_of(kind, n=4000, d=3)
    samples.weight[:1000] = 0.0
    few = samples.sample(400, np.random.default_rng(0))
    assert few.n == pytest.approx(400, abs=2)
    assert (few.weight > 0).all()
    for label in (-1.0, 1.0):
        total = samples.weight[samples.y == label].sum()
        assert few.weight[few.y == label].sum() == pytest.approx(total, rel=1e-12)


def test_sums_over_subsamples_are_right_on_average():
    samples, Z = samples_of(n=300, d=2)
    samples.weight[:] = 1 / 300
    rng = np.random.default_rng(0)
    sums = np.array([(few := samples.sample(60, rng)).squares(few.weight) for _ in range(800)])
    error = sums.std(axis=0) / np.sqrt(len(sums))
    assert (np.abs(sums.mean(axis=0) - samples.weight @ Z**2) < 5 * error).all()


@given(st.integers(2, 5000), st.lists(st.integers(1, 5000), min_size=1, max_size=6))
def test_no_class_is_left_without_a_fair_share(m, sizes):
    counts = shares(m, sizes)
    for count, size in zip(counts, sizes, strict=True):
        assert 0 <= count <= size
        assert count >= min(size, m // (2 * len(sizes)))


def test_categories_are_told_from_other_sparse_data():
    rng = np.random.default_rng(0)
    codes = np.column_stack([rng.integers(0, 3, 200), 3 + rng.integers(0, 5, 200)])
    codes[:5, 1] = np.arange(3, 8)
    codes[:3, 0] = np.arange(3)
    X = sp.csr_matrix((np.ones(400), codes.ravel(), np.arange(201) * 2), shape=(200, 8))
    np.testing.assert_array_equal(category_starts(category_ranges(X)), [0, 3])
    mixed = sp.csr_matrix((rng.random((200, 8)) < 0.4).astype(float))
    np.testing.assert_array_equal(category_starts(category_ranges(mixed)), [0])


# ------------------------------------------------------------------ metrics


def metric_of(X, penalty=0.0, intercept=True, **options):
    s = np.full(len(X), 1 / len(X))
    samples = Samples(X, np.ones(len(X)), s, X.mean(axis=0), LOSSES["softplus"])
    d = X.shape[1]
    every = Coarse(np.arange(d, dtype=np.int32), d, d)
    G = samples.gram(s, every.place, d)
    return Metric(G, every, np.full(d, penalty), intercept, **options), G


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
    X = sparse_categories(n=3000, levels=(4, 1500), seed=0)[0]
    s = np.full(3000, 1 / 3000)
    samples = Samples(X, np.ones(3000), s, np.zeros(X.shape[1]), LOSSES["softplus"])
    coarse = choose_columns(samples)
    assert not coarse.is_all
    assert coarse.size < X.shape[1] // 2
    G = samples.gram(s, coarse.place, coarse.size)
    metric = Metric(G, coarse, np.full(X.shape[1], 1e-6), True, samples.squares(s))
    rng = np.random.default_rng(0)
    for _ in range(5):
        g, h = rng.standard_normal((2, X.shape[1] + 1))
        assert g @ metric.solve(g) > 0
        assert g @ metric.solve(h) == pytest.approx(h @ metric.solve(g), rel=1e-8)
    v = rng.standard_normal(X.shape[1])
    x = rng.standard_normal(coarse.size)
    assert coarse.restrict(v) @ x == pytest.approx(v @ coarse.extend(x))


def sparse_categories(n=3000, levels=(3, 40, 150), seed=0):
    rng = np.random.default_rng(seed)
    codes = [rng.choice(k, n, p=(p := 1 / np.arange(1.0, k + 1)) / p.sum()) for k in levels]
    score = sum(rng.standard_normal(k)[code] for k, code in zip(levels, codes, strict=True))
    columns = np.array([c + o for c, o in zip(codes, np.cumsum([0, *levels[:-1]]), strict=True)]).T
    pointers = np.arange(n + 1) * len(levels)
    X = sp.csr_matrix((np.ones(columns.size), columns.ravel(), pointers), shape=(n, sum(levels)))
    return X, np.where(score + rng.logistic(size=n) > 0, 1.0, -1.0)


# ------------------------------------------------------------------ the optimum, by minimize


def optimum(objective):
    """scipy's minimum of an objective, in columns of unit variance."""
    d = objective.design.n_features
    unit = np.ones(d + objective.intercept)
    unit[:d] = np.sqrt(objective.design.variance)

    def f(theta):
        x = theta / unit
        return objective.value(x), objective.gradient(x) / unit

    return scipy_minimize(f, np.zeros(len(unit)), jac=True, tol=1e-14).fun


PENALTIES = [
    {},
    {"length_penalty": 0.05},
    {"l2_penalty": 0.1},
    {"length_penalty": 0.01, "l2_penalty": 0.01},
]


@pytest.mark.parametrize("loss", CONVEX)
@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_minimize_reaches_the_optimum(loss, penalty, intercept, weighted):
    X, y = skewed(n=250)
    weight = np.random.default_rng(0).exponential(size=250) if weighted else None
    for convert in (np.asarray, sp.csr_matrix):
        objective = ps.Halfspace(
            convert(X), y, loss, **penalty, intercept=intercept, sample_weight=weight
        )
        result = ps.minimize(objective, "whitened", tol=1e-9)
        assert result.status is Status.converged
        assert result.fun <= optimum(objective) * (1 + 1e-8)
        assert result.fun == pytest.approx(objective.value(result.x), rel=1e-12)
        assert result.gap <= 1e-9
        assert len(result.x) == X.shape[1] + intercept
        np.testing.assert_allclose(result.x, result.length * result.direction, rtol=1e-12)


@pytest.mark.parametrize("loss", [*BOUNDED, "arctan"])
@pytest.mark.parametrize("intercept", [True, False])
def test_losses_that_are_not_convex_end_in_a_critical_point(loss, intercept):
    for seed in range(3):
        X, y = skewed(seed, n=250)
        loss = ARCTAN if loss == "arctan" else loss
        objective = ps.Halfspace(X, y, loss, 0.02, intercept=intercept)
        result = ps.minimize(objective, "whitened", tol=1e-10, max_iter=500)
        assert result.success
        assert objective.moments.dual_norm(objective.gradient(result.x)) < 1e-4
        more = ps.minimize(objective, "whitened", tol=1e-10, max_iter=500, n_restarts=3)
        assert more.fun <= result.fun + 1e-12


def test_a_start_is_taken():
    X, y = skewed()
    objective = ps.Halfspace(X, y, "softplus", 0.1)
    best = ps.minimize(objective, "whitened", tol=1e-12).x
    assert ps.minimize(objective, "whitened", best, tol=1e-8).n_iter == 0
    far = ps.minimize(objective, "whitened", 50 * np.ones(len(best)), tol=1e-10)
    assert far.success
    assert relative(far.x, best) < 1e-3
    np.testing.assert_array_equal(far.trace.fun[0], objective.value(50 * np.ones(len(best))))


@pytest.mark.parametrize("loss", ["softplus", "sigmoid"])
def test_f_falls_at_every_iterate_and_the_trace_is_consistent(loss):
    X, y = skewed(n=400)
    seen = []
    result = ps.minimize(
        ps.Halfspace(X, y, loss, 0.01), "whitened", tol=1e-12, callback=seen.append, max_iter=300
    )
    trace = result.trace
    assert len(seen) == len(trace) == result.n_iter + 1
    assert (np.diff(trace.fun) <= 1e-12 * np.abs(trace.fun[0])).all()
    assert (np.diff(trace.passes) >= 1).all()
    assert (np.diff(trace.seconds) >= 0).all()
    np.testing.assert_array_equal(seen[-1].x, result.x)


def test_callbacks_stop_a_run():
    X, y = skewed()
    for kind in (StopIteration, KeyboardInterrupt):

        def stop(row, kind=kind):
            if row.iteration == 1:
                raise kind

        result = ps.minimize(ps.Halfspace(X, y), "whitened", tol=1e-14, callback=stop)
        assert result.status is Status.interrupted
        assert result.n_iter == 1
        assert not result.success

    def fail(row):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        ps.minimize(ps.Halfspace(X, y), "whitened", callback=fail)


def test_options_are_checked():
    X, y = skewed()
    objective = ps.Halfspace(X, y)
    with pytest.raises(TypeError, match=r"`options` must be one of .*n_restarts.*step_size"):
        ps.minimize(objective, "whitened", step_size=0.1)
    with pytest.raises(TypeError, match="`n_threads` must be a whole number >= 1"):
        ps.minimize(objective, "whitened", n_threads=0.5)
    with pytest.raises(ValueError, match=r"`max_length` must be infinite.*length_penalty"):
        ps.minimize(ps.Halfspace(X, y, max_length=2.0), "whitened")
    with pytest.raises(ValueError, match="`w0` must be a vector of 4"):
        ps.minimize(objective, "whitened", np.ones(3))
    short = ps.minimize(objective, "whitened", max_iter=0)
    assert short.status is Status.max_iter
    assert short.n_iter == 0


@pytest.mark.parametrize("kind", ["C", "F", "csr"])
def test_threads_and_seeds(kind):
    X, y = gaussian(6000, 5)
    objective = ps.Halfspace(KINDS[kind](X), y)
    one = ps.minimize(objective, "whitened", tol=1e-10)
    three = ps.minimize(objective, "whitened", tol=1e-10, n_threads=3)
    assert three.n_passes == one.n_passes
    np.testing.assert_allclose(three.x, one.x, rtol=1e-6)
    np.testing.assert_allclose(ps.minimize(objective, "whitened", tol=1e-10).x, one.x, rtol=1e-9)
    other = ps.minimize(objective, "whitened", tol=1e-10, seed=5)
    assert relative(other.x, one.x) > 1e-9
    np.testing.assert_allclose(other.x, one.x, atol=1e-3)


def gaussian(n, d, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return X, np.where(X @ rng.standard_normal(d) + rng.logistic(size=n) > 0, 1.0, -1.0)


# ------------------------------------------------------------------ the estimate it stops by


def heavy(n, d, seed=0):
    rng = np.random.default_rng(seed)
    X = np.exp(1.5 * rng.standard_normal((n, d)))
    return X, np.where(np.log(X) @ rng.standard_normal(d) + rng.logistic(size=n) > 0, 1.0, -1.0)


def rare(n, d, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    X[:, d // 2 :] *= rng.random((n, d - d // 2)) < 2e-3
    return X, np.where(X @ rng.standard_normal(d) + rng.logistic(size=n) > 0, 1.0, -1.0)


def correlated(n, d, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 1))
    X = z + 1e-3 * rng.standard_normal((n, d))
    return X, np.where(z[:, 0] + rng.logistic(size=n) > 0, 1.0, -1.0)


TABLE = {
    "gaussian": gaussian(6000, 10),
    "heavy tails": heavy(6000, 8),
    "rare": rare(6000, 10),
    "correlated": correlated(6000, 8),
    "categories": sparse_categories(),
    "skewed": skewed(n=5000),
    "few": gaussian(80, 6),
}


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("loss", ["softplus", "smooth_hinge"])
@pytest.mark.parametrize("alpha", [1e-2, 1e-6])
def test_the_estimate_is_not_below_the_truth(name, loss, alpha):
    """At the end, to a tenth and rounding; tol is kept to the letter."""
    X, y = TABLE[name]
    n = X.shape[0]
    reference = Reference(X, y, loss, alpha, weight=np.full(n, 1 / n))
    objective = ps.Halfspace(X, y, loss, l2_penalty=alpha, intercept=True)
    for tol in (1e-3, 1e-4, 1e-6, 1e-8, 1e-10):
        result = ps.minimize(objective, "whitened", tol=tol)
        assert result.success
        w, b = result.x[:-1], result.x[-1] - objective.design.mean @ result.x[:-1]
        reached = reference.excess(w, b)
        assert reached <= tol + 1e-14
        assert reached <= 1.1 * result.gap + 1e-13


@pytest.mark.parametrize("name", ["gaussian", "heavy tails", "rare", "skewed", "few"])
def test_passes_do_not_depend_on_the_units_of_columns(name):
    X, y = TABLE[name]
    rng = np.random.default_rng(0)
    plain = ps.minimize(ps.Halfspace(X, y, l2_penalty=1e-16), "whitened", tol=1e-6)
    for _ in range(3):
        units = 10.0 ** rng.uniform(-6, 6, X.shape[1])
        result = ps.minimize(ps.Halfspace(X * units, y, l2_penalty=1e-28), "whitened", tol=1e-6)
        assert result.n_passes == plain.n_passes
        assert result.n_iter == plain.n_iter
        assert result.fun == pytest.approx(plain.fun, rel=1e-6)


@pytest.mark.parametrize("shift", [1e4, 1e8])
def test_columns_far_from_zero(shift):
    X, y = gaussian(5000, 6)
    X = np.round(X, 2) * 1.28  # numbers that 1e8 does not round much
    plain = ps.minimize(ps.Halfspace(X, y, intercept=True), "whitened", tol=1e-8)
    far = ps.minimize(ps.Halfspace(X + shift, y, intercept=True), "whitened", tol=1e-8)
    assert far.success
    assert far.n_passes <= plain.n_passes + 2
    np.testing.assert_allclose(far.x, plain.x, atol=1e-3)


def test_subsamples_are_nested_and_grow():
    X, y = gaussian(50_000, 5)
    s = np.full(len(y), 1 / len(y))
    samples = Samples(X, y, s, np.zeros(5), LOSSES["softplus"])
    problem = linear.Problem(samples, np.zeros(5), True)
    stages = whitened.stages_of(problem, np.random.default_rng(0))
    sizes = [stage.samples.n for stage in stages]
    assert sizes == sorted(sizes)
    assert len(sizes) >= 2
    assert sizes[-1] == 50_000
    rows = [{row.tobytes() for row in stage.samples.X} for stage in stages]
    for few, more in pairwise(rows):
        assert few <= more


def test_a_read_of_all_rows_is_what_passes_count():
    X, y = gaussian(4000, 4)
    calls, evaluate, project = [], Samples.evaluate, Samples.project

    class Counting(Samples):
        def evaluate(self, w, b):
            calls.append(self.n)
            return evaluate(self, w, b)

        def project(self, v, h):
            calls.append(self.n)
            return project(self, v, h)

    s = np.full(4000, 1 / 4000)
    samples = Counting(X, y, s, np.zeros(4), LOSSES["softplus"])
    problem = linear.Problem(samples, np.zeros(4), True)
    rng = np.random.default_rng(0)
    result = whitened.run(whitened.stages_of(problem, rng), None, 1e-10, 100, rng)
    assert result.success
    assert calls.count(4000) <= result.n_passes <= calls.count(4000) + 3
