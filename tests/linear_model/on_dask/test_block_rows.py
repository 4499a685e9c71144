"""The rows of a block of models on Dask give the same sums as the same rows in memory."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp

from dask_cases import CHUNKS, FORMS, SOFTPLUS, WEIGHTS, D, N, da, data
from polarstep.linear_model.block.families import Margins, Softmax
from polarstep.linear_model.block.models import Models
from polarstep.linear_model.block.rows import BlockRows
from polarstep.linear_model.block.solve import solve_block
from polarstep.linear_model.on_dask import block_rows, reading
from polarstep.linear_model.on_dask.block_rows import DaskBlockRows, make_part
from polarstep.linear_model.on_dask.graphs import OnePerBlock, map_blocks

K = 3
X, Y, _ = data(classes=K)
MODELS = Models.of([0.1, 0.01, 0.1], [0, 1, 1], [0, 1, 2])
RNG = np.random.default_rng(0)
FOLDS = np.array([np.arange(N) % 3 > 0, np.arange(N) % 3 < 2]) * np.array([[1.0], [2.0]])


def both(form="dense", n_splits=2):
    """Return the same rows on Dask and in memory, with one vector of weights for each split."""
    collection, used = FORMS[form](X)
    _, samples, _ = reading.read_samples(
        collection, da.from_array(Y, chunks=200), WEIGHTS, loss=SOFTPLUS, intercept=True
    )
    there = DaskBlockRows.of_samples(samples, np.arange(K))
    kept = np.flatnonzero(WEIGHTS)
    share = (WEIGHTS / WEIGHTS.sum())[None]
    if n_splits == 2:
        share = FOLDS * WEIGHTS
        share /= share.sum(axis=1, keepdims=True)
        ends = np.cumsum([0, *(len(part.codes) for part in there.parts.compute())])
        shares = [share[:, kept][:, start:stop] for start, stop in pairwise(ends)]
        parts = map_blocks(
            "part", lambda part, s: make_part(part.codes, s), there.parts, OnePerBlock(shares)
        )
        there = DaskBlockRows(samples, parts.persist(), K)
    here = BlockRows.from_arrays(used[kept], Y[kept], share[:, kept], samples.centre)
    return there, here


@pytest.mark.parametrize("family", [Softmax(K), Margins(SOFTPLUS)], ids=["softmax", "margins"])
@pytest.mark.parametrize("form", ["dense", "F", "float32", "csr"])
def test_every_pass_gives_the_same_sums_as_in_memory(form, family):
    there, here = both(form)
    assert (there.n, there.d, there.size, there.is_sparse) == (
        here.n,
        here.d,
        here.size,
        here.is_sparse,
    )
    np.testing.assert_allclose(there.totals, here.totals, rtol=1e-13)
    theta, v = RNG.standard_normal((2, len(MODELS), family.n_outputs, D + 1)) / 20
    for mine, theirs in zip(
        there.evaluate(family, MODELS, theta, True),
        here.evaluate(family, MODELS, theta, True),
        strict=True,
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-12)
    arguments = family, MODELS, theta, True
    near = {"rtol": 1e-9, "atol": 1e-11}
    np.testing.assert_allclose(
        there.curvature_squares(*arguments), here.curvature_squares(*arguments), **near
    )
    state, expected = there.curvature_state(*arguments), here.curvature_state(*arguments)
    which = np.array([2, 0])
    np.testing.assert_allclose(
        there.hessian_products(family, MODELS.take(which), state[which], v[which], True),
        here.hessian_products(family, MODELS.take(which), expected[which], v[which], True),
        **near,
    )
    assert there.gram_columns().size == here.gram_columns().size
    assert there.gram_cost(4) == pytest.approx(here.gram_cost(4))


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("limit", [1 << 22, 600], ids=["everything", "a subsample"])
def test_subsamples_keep_the_weight_of_each_class_in_each_split(limit, form, monkeypatch):
    monkeypatch.setattr(block_rows, "CLIENT_VALUES", limit)
    there, here = both(form)
    assert (there.in_memory() is None) == (limit == 600)
    drawn = there.subsample(90, np.random.default_rng(0))
    again = there.subsample(90, np.random.default_rng(0))
    assert 60 < drawn.n < 140
    np.testing.assert_array_equal(drawn.weights, again.weights)
    np.testing.assert_allclose(drawn.totals, here.totals, rtol=1e-12)
    rows = drawn.matrix.X.toarray() if sp.issparse(drawn.matrix.X) else drawn.matrix.X
    known = {row.tobytes(): code for row, code in zip(X, Y, strict=True)}
    assert [known[row.tobytes()] for row in rows] == drawn.codes.tolist()
    assert there.subsample(10**6, np.random.default_rng(0)).n <= 1.5 * there.largest_subsample


def test_rows_of_no_split_are_not_drawn(monkeypatch):
    monkeypatch.setattr(block_rows, "CLIENT_VALUES", 600)
    there, _ = both()
    drawn = there.subsample(10**6, np.random.default_rng(0))
    assert drawn.weights.any(axis=0).all()
    everything = there.counts.sum()
    present = sum(part.weights.any(axis=0).sum() for part in there.parts.compute())
    assert everything == present <= there.n


@pytest.mark.parametrize("limit", [1 << 22, 600], ids=["everything", "a subsample"])
def test_the_same_minima(limit, monkeypatch):
    monkeypatch.setattr(block_rows, "CLIENT_VALUES", limit)
    there, here = both()
    options = {"intercept": True, "tol": 1e-14, "max_iter": 100}
    for family in (Softmax(K), Margins(SOFTPLUS)):
        mine, theirs = (
            solve_block(rows, family, MODELS, rng=np.random.default_rng(0), **options).theta
            for rows in (there, here)
        )
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-7)


def test_blocks_in_which_a_class_is_missing():
    y = np.sort(Y)
    _, samples, _ = reading.read_samples(
        da.from_array(X, chunks=(CHUNKS, D)), y, loss=SOFTPLUS, intercept=False
    )
    there = DaskBlockRows.of_samples(samples, np.arange(K))
    assert (there.counts == 0).any()
    assert there.counts.sum(axis=0).tolist() == np.bincount(Y).tolist()
    np.testing.assert_allclose(there.totals, np.bincount(Y)[None] / N)
