"""Weights and scores of the splits of a cross-validation on Dask, against those in memory."""

import numpy as np
import pytest

from dask_cases import CHUNKS, SOFTPLUS, WEIGHTS, D, N, da, data
from polarstep.linear_model.block.rows import BlockRows
from polarstep.linear_model.on_dask import reading
from polarstep.linear_model.on_dask.fold_rows import DaskFoldRows, Patterns, gather_labels
from polarstep.linear_model.splits import Split, split_weights

K = 3
X, Y, _ = data(classes=K)
FACTORS = np.array([1.0, 0.5, 2.0])
RNG = np.random.default_rng(0)
FOLDS = [Split(np.flatnonzero(np.arange(N) % 3 != f), np.arange(N)[f::3]) for f in range(3)]
# Rows that are drawn several times, rows that no split uses, and held-out rows out of order.
DRAWS = [Split(RNG.integers(N // 2, size=300), RNG.permutation(N)[:50]) for _ in range(2)]


def fold_rows(splits):
    collection = da.from_array(X, chunks=(CHUNKS, D))
    _, samples, total = reading.read_samples(
        collection, Y, WEIGHTS, loss=SOFTPLUS, intercept=True, keep_all=True
    )
    labels, lengths = gather_labels(samples.rows)
    assert labels.tolist() == Y.tolist()
    assert lengths == [*CHUNKS]
    patterns = Patterns.of_splits(splits, lengths)
    return DaskFoldRows(samples, np.arange(K), FACTORS, patterns), samples, total


@pytest.mark.parametrize("splits", [FOLDS, DRAWS], ids=["folds", "draws"])
def test_weights_and_scores_of_splits(splits):
    there, samples, total = fold_rows(splits)
    weights, totals = split_weights(splits, WEIGHTS * FACTORS[Y])
    here = BlockRows.from_arrays(X, Y, weights, samples.centre)
    np.testing.assert_allclose(total * there.shares, totals, rtol=1e-12)
    found = np.concatenate([part.weights for part in there.parts.compute()], axis=1)
    np.testing.assert_allclose(found, weights, rtol=1e-12)

    theta = RNG.standard_normal((len(splits), 2, K, D + 1)) / 30
    for f, (_, at) in enumerate(splits):
        expected = here.scores(theta[f], True, at)
        scores = there.held_out_scores(f, at, theta[f], True)
        np.testing.assert_allclose(scores, expected, rtol=1e-10, atol=1e-12)
        correct = expected.argmax(axis=1) == Y[at]
        for weighted in (False, True):
            accuracy = there.accuracies(theta, True, weighted)[f]
            s = WEIGHTS[at] if weighted else None
            np.testing.assert_allclose(accuracy, [np.average(row, weights=s) for row in correct])


def test_a_byte_for_each_row_describes_folds():
    patterns = Patterns.of_splits(FOLDS, CHUNKS)
    assert {block.dtype for block in patterns.of_rows.values} == {np.dtype(np.uint8)}
    assert [len(block) for block in patterns.of_rows.values] == [*CHUNKS]
    pattern = np.concatenate(patterns.of_rows.values)
    for f, (train, held_out) in enumerate(FOLDS):
        assert np.flatnonzero(patterns.train[pattern, f]).tolist() == train.tolist()
        assert np.flatnonzero(patterns.held_out[pattern, f]).tolist() == held_out.tolist()


def test_patterns_of_many_draws_stay_small_numbers():
    draws = [Split(RNG.integers(N, size=N), np.arange(N)) for _ in range(30)]
    patterns = Patterns.of_splits(draws, CHUNKS)
    pattern = np.concatenate(patterns.of_rows.values)
    assert pattern.max() < N
    for f, (train, _) in enumerate(draws):
        assert patterns.train[pattern, f].tolist() == np.bincount(train, minlength=N).tolist()


def test_a_split_that_holds_out_rows_of_weight_zero_has_no_accuracy():
    nothing = Split(np.arange(N), np.flatnonzero(WEIGHTS == 0)[:2])
    there, _, _ = fold_rows([nothing])
    theta = np.zeros((1, 1, K, D + 1))
    assert np.isnan(there.accuracies(theta, True, weighted=True)).all()
    assert np.isfinite(there.accuracies(theta, True, weighted=False)).all()
