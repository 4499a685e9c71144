"""One binary problem for each class: shared preparations, errors and interruptions."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from polarstep import Design, HalfspaceClassifier, Status
from polarstep.linear_model.one_against_rest import (
    ClassRun,
    join_results,
    solve_by_method,
    solve_whitened,
)
from polarstep.linear_model.solver.samples import Samples
from polarstep.losses import LOSSES

SOFTPLUS = LOSSES["softplus"]
RNG = np.random.default_rng(0)
X = RNG.standard_normal((300, 4))
CODES = np.digitize(X @ [1.0, -1.0, 0.5, 0.0] + RNG.logistic(size=300), [-1.0, 1.0])
ALPHA = 1e-2


def stop(row):
    raise StopIteration


def whitened(matrix, runs):
    samples = Samples.from_arrays(
        matrix, CODES.astype(float), np.full(300, 1 / 300), X.mean(axis=0), SOFTPLUS
    )
    rng = np.random.default_rng(0)
    options = {"intercept": True, "tol": 1e-12, "max_iter": 50, "n_restarts": 0}
    options["centre"] = X.mean(axis=0)
    return solve_whitened(samples, ALPHA, runs, **options, rng=rng, who="fit")


def by_method(runs):
    design = Design(X, intercept=True)
    options = {"method": "gdnp", "tol": 1e-8, "max_iter": 2_000}
    return design, solve_by_method(design, CODES, SOFTPLUS, ALPHA, runs, **options)


def test_both_ways_solve_the_same_problems():
    runs = [ClassRun(None, None)] * 3
    for ours, theirs in zip(whitened(X, runs), by_method(runs)[1], strict=True):
        assert ours.status is theirs.status is Status.converged
        np.testing.assert_allclose(ours.x, theirs.x, atol=1e-5)
        assert ours.fun == pytest.approx(theirs.fun, rel=1e-9)


def test_all_classes_share_one_design():
    """The means and the Gram matrix are computed once."""
    runs = [ClassRun(None, None)] * 3
    design, results = by_method(runs)
    # Besides the runs, the means and the Gram matrix take one pass each, and u one for each class.
    assert design.n_passes == sum(result.n_passes for result in results) + 2 + 3


def test_a_start_at_the_solution_takes_no_iterations():
    solved = whitened(X, [ClassRun(None, None)] * 3)
    again = whitened(X, [ClassRun(result.x, None) for result in solved])
    assert [result.n_iter for result in again] == [0, 0, 0]


def test_classes_after_an_interruption_are_not_fitted():
    runs = [ClassRun(None, None), ClassRun(None, stop), ClassRun(None, None)]
    for results in (whitened(X, runs), by_method(runs)[1]):
        assert [result.status for result in results] == [Status.converged, Status.interrupted]


@pytest.mark.parametrize("convert", [np.asarray, sp.csr_array])
def test_nan_is_named(convert):
    bad = X.copy()
    bad[7, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        whitened(convert(bad), [ClassRun(None, None)] * 3)


def test_joined_results_describe_all_classes():
    runs = [ClassRun(None, None)] * 3
    results = whitened(X, runs)
    worst = replace(results[1], status=Status.max_iter, gap=0.5)
    joined = join_results([results[0], worst, results[2]])
    assert (joined.status, joined.gap) == (Status.max_iter, 0.5)
    np.testing.assert_array_equal(joined.x, [result.x for result in results])
    assert joined.fun == pytest.approx(np.mean([result.fun for result in results]))
    assert joined.grad_norm == max(result.grad_norm for result in results)
    assert joined.n_iter == max(result.n_iter for result in results)
    assert joined.n_passes == sum(result.n_passes for result in results)
    trace = joined.trace
    assert len(trace) == joined.n_iter + 1
    assert trace.iteration.tolist() == list(range(len(trace)))
    assert trace.fun[0] == pytest.approx(np.mean([result.trace.fun[0] for result in results]))
    assert trace.fun[-1] == joined.fun
    assert (np.diff(trace.seconds) >= 0).all()
    scores = (X - X.mean(axis=0)) @ joined.x[:, :-1].T
    assert joined.length == pytest.approx(np.sqrt(np.square(scores).mean()))
    assert np.isnan(joined.trace.direction_gap).all()


def test_one_result_is_joined_unchanged_and_unknown_gaps_stay_unknown():
    results = by_method([ClassRun(None, None)] * 3)[1]
    assert join_results(results[:1]) is results[0]
    assert np.isnan(join_results(results).gap)


@pytest.mark.parametrize("sparse", [False, True])
def test_classes_of_a_wide_x_are_solved_together(sparse):
    rng = np.random.default_rng(0)
    n, d = (300, 300) if not sparse else (90, 1_200)
    X, y = rng.standard_normal((n, d)), np.arange(n) % 3
    X[:, :3] += np.eye(3)[y]
    if sparse:
        X = sp.csr_array(np.where(rng.random((n, d)) < 0.05, X, 0.0))
    model = HalfspaceClassifier(tol=1e-10, max_iter=200).fit(X, y)
    assert model.result_.status is Status.converged
    assert model.result_.n_passes < 200
    assert model.n_iter_.shape == (3,)
    for k in range(3):
        alone = HalfspaceClassifier(tol=1e-12, max_iter=500).fit(X, y == k)
        np.testing.assert_allclose(model.coef_[k], alone.coef_[0], rtol=1e-3, atol=1e-5)
    again = HalfspaceClassifier(tol=1e-8, warm_start=True)
    again.classes_, again.coef_, again.intercept_ = model.classes_, model.coef_, model.intercept_
    assert again.fit(X, y).n_iter_.max() <= 2


def test_infinity_in_a_wide_x_is_named():
    X = np.random.default_rng(0).standard_normal((300, 300))
    X[5, 7] = np.inf
    with pytest.raises(ValueError, match="X"):
        HalfspaceClassifier().fit(X, np.arange(300) % 3)
