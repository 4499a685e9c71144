"""The loop: results, passes, optima, and a real situation for every status."""

import numpy as np
import pytest

import polarstep as ps
from polarstep import Status
from problems import ARCTAN, BOUNDED, METHODS

RNG = np.random.default_rng(1)
Y = np.where(RNG.random(400) < 0.5, 1.0, -1.0)
X = (RNG.standard_normal((400, 4)) + 0.5 * Y[:, None]) * [1.0, 0.5, 2.0, 1.0] + 3.0


class CountingMatrix(np.ndarray):
    """An array that counts the products it takes part in."""

    products = 0

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if ufunc is np.matmul:
            CountingMatrix.products += 1
        plain = [i.view(np.ndarray) if isinstance(i, CountingMatrix) else i for i in inputs]
        return getattr(ufunc, method)(*plain, **kwargs)


@pytest.mark.parametrize("method", METHODS)
def test_results_are_consistent(method):
    w0 = RNG.standard_normal(4)
    before = w0.copy()
    result = ps.minimize(ps.Halfspace(X, Y), method, w0, max_iter=30, tol=0.0)
    trace = result.trace
    np.testing.assert_array_equal(w0, before)
    np.testing.assert_allclose(result.x, result.length * result.direction, rtol=1e-12)
    assert trace.fun[-1] < trace.fun[0]
    assert {len(column) for column in trace.as_dict().values()} == {31}
    assert result.n_iter == 30
    assert result.n_passes == 62
    np.testing.assert_array_equal(trace.passes, 2 * np.arange(31) + 2)
    objective = ps.Halfspace(X, Y)
    assert result.fun == pytest.approx(objective.value(result.x), rel=1e-12)
    gradient = objective.moments.dual_norm(objective.gradient(result.x))
    assert result.grad_norm == pytest.approx(gradient, rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bisection_steps", [None, 40])
def test_passes_are_the_products_that_were_made(method, bisection_steps):
    objective = ps.Halfspace(X, Y)
    objective.design.X = np.ascontiguousarray(X).view(CountingMatrix)
    options = {"bisection_steps": bisection_steps} if method == "gdnp" else {}
    CountingMatrix.products = 0
    result = ps.minimize(objective, method, max_iter=12, tol=0.0, **options)
    assert CountingMatrix.products == result.n_passes == 26


def test_converged_and_max_iter():
    objective = ps.Halfspace(X, Y, length_penalty=0.1)
    assert ps.minimize(objective, "gdnp", max_iter=2000).status is Status.converged
    short = ps.minimize(objective, "gdnp", max_iter=1)
    assert short.status is Status.max_iter
    assert not short.success


@pytest.mark.parametrize("max_iter", [0, 1, 7])
def test_max_iter_counts_steps(max_iter):
    result = ps.minimize(ps.Halfspace(X, Y), "bn", max_iter=max_iter, tol=0.0)
    assert result.n_iter == max_iter == len(result.trace) - 1
    assert result.n_passes == 2 * max_iter + 2


@pytest.mark.parametrize("objective", ["LeastSquares", "GaussianHalfspace"])
def test_moments_alone_take_no_passes(objective):
    problems = {
        "LeastSquares": ps.LeastSquares(X, Y),
        "GaussianHalfspace": ps.GaussianHalfspace([0.5, 0.1], np.eye(2)),
    }
    result = ps.minimize(problems[objective], "gdnp", max_iter=5, tol=0.0)
    assert result.n_passes == 0
    assert not result.trace.passes.any()


@pytest.mark.parametrize("method", METHODS)
def test_u_zero_is_critical(method):
    """No feature is correlated with the label: wt = 0, but gdnp has no direction to step in."""
    unlucky = ps.Halfspace([[1.0, 0], [1, 1], [-1, 0], [-1, -1], [1, 1], [-1, -1]],
                           [0, 0, 0, 0, 1, 1])  # fmt: skip
    balanced = ps.Halfspace([[1.0, 2], [1, 2], [-1, 3], [-1, 3], [5, 0], [5, 0]], [0, 1] * 3)
    for objective in (unlucky, balanced):
        assert np.abs(objective.moments.u).max() < 1e-15
        result = ps.minimize(objective, method, max_iter=3000)
        if method == "gdnp":
            assert result.status is Status.orthogonal_start
            assert "no feature is correlated" in result.message
        else:
            assert result.status is Status.converged
            assert result.fun == pytest.approx(np.log(2), abs=1e-12)


def test_diverged_keeps_the_last_finite_iterate():
    result = ps.minimize(ps.LeastSquares(X, Y), "gd", max_iter=5000, step_size=1e3)
    assert result.status is Status.diverged
    assert np.isfinite(result.x).all()
    assert np.isfinite(result.trace.fun).all()
    assert result.n_iter == len(result.trace) - 1 > 10
    assert "step_size" in result.message


def wild(limit):
    """A loss that is NaN for large margins."""

    def cut(f):
        return lambda a: np.where(np.abs(a) > limit, np.nan, f(a))

    arctan = ARCTAN
    return ps.MarginLoss(cut(arctan.phi), cut(arctan.dphi), cut(arctan.d2phi), "wild", 0.65, 1.0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("limit", [0.5, 4.0, 12.0])
def test_a_loss_that_becomes_nan_ends_in_diverged(method, limit):
    objective = ps.Halfspace(X, Y, wild(limit))
    options = {} if method == "gdnp" else {"step_size": 3.0}
    result = ps.minimize(objective, method, max_iter=3000, tol=0.0, **options)
    assert result.status is Status.diverged
    assert np.isfinite(result.trace.fun[1:]).all()


def test_a_start_that_overflows_is_diverged():
    result = ps.minimize(ps.Halfspace(X, Y), "gd", np.full(4, 1e200))
    assert result.status is Status.diverged
    assert result.n_iter == 0


def test_a_population_far_out_is_diverged():
    objective = ps.GaussianHalfspace([0.5, 0.1], np.eye(2), "softplus")
    result = ps.minimize(objective, "gd", [1.0, 1.0], step_size=1e9)
    assert result.status is Status.diverged


@pytest.mark.parametrize("population", [True, False])
def test_orthogonal_start_to_rounding(population):
    objective = ps.Halfspace(X, Y)
    if population:
        objective = ps.GaussianHalfspace(objective.moments.u, objective.moments.S)
    u = objective.moments.u
    w = RNG.standard_normal(4)
    w -= u * (u @ w) / (u @ u)
    result = ps.minimize(objective, "gdnp", w)
    assert result.status is Status.orthogonal_start
    assert result.n_iter == 0
    assert ps.minimize(objective, "gdnp", w - 1e-9 * u, max_iter=1).n_iter == 1
    assert ps.minimize(objective, "gd", w).status is not Status.orthogonal_start


@pytest.mark.parametrize("options", [{}, {"bisection_steps": 20}])
def test_no_length_root(options):
    u, S = np.array([0.5, 0.1]), np.eye(2)
    for loss in ["sigmoid"] if options else BOUNDED:
        result = ps.minimize(ps.GaussianHalfspace(u, S, loss), "gdnp", **options)
        assert result.status is Status.no_length_root
        assert "length_penalty" in result.message
        penalised = ps.GaussianHalfspace(u, S, loss, length_penalty=1e-3)
        assert ps.minimize(penalised, "gdnp", **options, tol=1e-5).status is Status.converged
    apart = [[-2.0, 1], [-1, 0], [1, 0], [2, -1]]
    separable = ps.Halfspace(apart, [0, 0, 1, 1])
    result = ps.minimize(separable, "gdnp", **options)
    assert result.status is Status.no_length_root
    assert np.isfinite(result.x).all()


@pytest.mark.parametrize("signal", [StopIteration, KeyboardInterrupt])
def test_interruptions_keep_the_iterates_so_far(signal):
    def callback(progress):
        if progress.iteration == 5:
            raise signal

    result = ps.minimize(ps.Halfspace(X, Y), "gdnp", callback=callback, tol=0.0)
    assert result.status is Status.interrupted
    assert result.n_iter == 5
    assert len(result.trace) == 6


def test_an_interruption_within_a_step_keeps_the_steps_before():
    calls = 0

    def dphi(a):
        nonlocal calls
        calls += 1
        if calls > 30:
            raise KeyboardInterrupt
        return ARCTAN.dphi(a)

    loss = ps.MarginLoss(ARCTAN.phi, dphi, ARCTAN.d2phi, "arctan", 0.65, 1.0)
    result = ps.minimize(ps.Halfspace(X, Y, loss, 0.1), "gdnp", tol=0.0)
    assert result.status is Status.interrupted
    assert 0 < result.n_iter < 30
    assert result.fun == result.trace.fun[-1]
    with pytest.raises(KeyboardInterrupt):  # not even the start was reached
        ps.minimize(ps.Halfspace(X, Y, loss, 0.1), "gdnp")


def test_other_errors_of_a_callback_are_raised():
    def callback(progress):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        ps.minimize(ps.Halfspace(X, Y), callback=callback)


@pytest.mark.parametrize("shape", [(2, 1), (200, 1), (3, 8)], ids=["n=2", "d=1", "n<d"])
@pytest.mark.parametrize("method", METHODS)
def test_small_shapes(shape, method):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(shape), np.arange(shape[0]) % 2
    result = ps.minimize(ps.Halfspace(x, y, length_penalty=0.1), method, max_iter=3000)
    assert result.status is Status.converged
    assert result.trace.fun[-1] <= result.trace.fun[0]
