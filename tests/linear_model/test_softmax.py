"""Softmax regression by the solver for blocks: its result, starts, and classes without rows."""

import numpy as np
import pytest

from block_problems import softmax_minimum
from classifier_cases import THREE, UNITS, X
from polarstep import Status
from polarstep.linear_model.block.models import Models
from polarstep.linear_model.block.rows import BlockRows
from polarstep.linear_model.softmax import (
    ABSENT_INTERCEPT,
    solve_softmax,
    with_absent,
    without_absent,
)

ROWS = BlockRows.from_arrays(X / UNITS, THREE, np.full(300, 1 / 300), (X / UNITS).mean(axis=0))
ALPHA = 1e-2


def solve(rows=ROWS, start=None, callback=None, **options):
    options = {"intercept": True, "tol": 1e-13, "max_iter": 100, "who": "fit", **options}
    options["centre"] = (X / UNITS).mean(axis=0)
    rng = np.random.default_rng(0)
    return solve_softmax(rows, 3, ALPHA, start, rng=rng, callback=callback, **options)


def test_the_minimum_is_newtons():
    result = solve()
    assert result.status is Status.converged
    expected = softmax_minimum(ROWS, Models.of([ALPHA]), True)
    np.testing.assert_allclose(result.x, expected.reshape(3, 5), atol=1e-6)
    np.testing.assert_allclose(result.x.sum(axis=0), 0, atol=1e-13)
    assert result.trace.fun[-1] == result.fun
    assert result.n_passes >= result.n_iter > 0
    assert np.isnan(result.length)
    assert np.isnan(result.direction).all()


def test_a_start_at_the_minimum_takes_no_iterations():
    assert solve(start=solve().x, tol=1e-9).n_iter == 0


def test_an_interrupted_run_returns_its_last_iterate():
    def stop(row):
        if row.iteration == 2:
            raise StopIteration

    result = solve(callback=stop)
    assert (result.status, result.n_iter) == (Status.interrupted, 2)
    assert result.x.shape == (3, 5)


def test_nan_is_named():
    bad = X.copy()
    bad[7, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        solve(BlockRows.from_arrays(bad, THREE, ROWS.weights, np.zeros(4)))


def test_classes_without_rows_are_left_out_and_never_predicted():
    present, codes = without_absent(np.array([3, 0, 3, 1]), 5)
    assert present.tolist() == [0, 1, 3]
    assert codes.tolist() == [2, 0, 2, 1]
    theta = with_absent(np.arange(6.0).reshape(3, 2), present, 5)
    assert theta[present].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert theta[[2, 4]].tolist() == [[0, ABSENT_INTERCEPT]] * 2
    assert 0 < np.exp(ABSENT_INTERCEPT) < 3e-308
    everyone, same = without_absent(THREE, 3)
    assert everyone.tolist() == [0, 1, 2]
    assert same is THREE
