"""Rows in blocks on Dask workers give the same answers as the same rows in memory."""

import dask
import numpy as np
import pytest
import scipy.sparse as sp

from dask_cases import (
    ARCTAN,
    CHUNKS,
    FORMS,
    SOFTPLUS,
    WEIGHTS,
    D,
    both,
    da,
    data,
    in_memory,
    problem,
    solution,
    values,
)
from polarstep.linear_model.on_dask import graphs, reading
from polarstep.linear_model.on_dask import samples as cluster
from polarstep.linear_model.solver import whitened
from polarstep.linear_model.solver.newton_cg import can_use_newton_cg
from polarstep.linear_model.solver.stages import subsample_sizes
from polarstep.losses import LOSSES


@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["plain", "weights"])
@pytest.mark.parametrize("form", FORMS)
def test_every_method_gives_the_same_result_as_in_memory(form, weight):
    there, here = both(form, weight=weight)
    assert (there.n, there.d, there.is_sparse) == (here.n, here.d, here.is_sparse)
    assert there.size == here.size
    np.testing.assert_allclose(there.centre, here.centre, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(values(there.weight), here.weight, rtol=1e-12)

    rng = np.random.default_rng(1)
    w, v = rng.standard_normal((2, D)) / 30
    sums, margins = there.evaluate(w, 0.3)
    expected, expected_margins = here.evaluate(w, 0.3)
    for mine, theirs in zip(sums, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(values(margins), expected_margins, rtol=1e-9, atol=1e-11)

    p, expected_p = there.project(v, -0.2), here.project(v, -0.2)
    np.testing.assert_allclose(values(p), expected_p, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(
        there.plane(margins, p, 0.7, 0.1), here.plane(expected_margins, expected_p, 0.7, 0.1),
        rtol=1e-9, atol=1e-11,
    )  # fmt: skip
    assert there.largest(p) == pytest.approx(here.largest(expected_p))
    assert there.in_memory() is None
    assert there.root_mean_square(p) == pytest.approx(here.root_mean_square(expected_p))
    moved = there.move(margins, p, 0.7, 0.1)
    expected_moved = here.move(expected_margins, expected_p, 0.7, 0.1)
    h, expected_h = there.curvatures(moved), here.curvatures(expected_moved)
    np.testing.assert_allclose(values(h), expected_h, rtol=1e-9, atol=1e-14)
    assert there.total(h) == pytest.approx(here.total(expected_h), rel=1e-10)
    np.testing.assert_allclose(there.squares(h), here.squares(expected_h), rtol=1e-9)

    product, total = there.gram_times_vector(h, v, 0.3)
    expected_product, expected_total = here.gram_times_vector(expected_h, v, 0.3)
    np.testing.assert_allclose(product, expected_product, rtol=1e-8, atol=1e-10)
    assert total == pytest.approx(expected_total, rel=1e-8)

    place = np.arange(D, dtype=np.int32)
    near = {"rtol": 1e-9, "atol": 1e-10 * here.squares(expected_h).max()}
    np.testing.assert_allclose(there.gram(h, place, D), here.gram(expected_h, place, D), **near)
    few = np.array([0, -1, 1, -1, -1, 2], np.int32)
    np.testing.assert_allclose(there.gram(h, few, 3), here.gram(expected_h, few, 3), **near)
    np.testing.assert_allclose(there.effective_rows(), here.effective_rows(), rtol=1e-9)
    assert there.gram_cost(4) == pytest.approx(here.gram_cost(4))


@pytest.mark.parametrize("loss", [*LOSSES.values(), ARCTAN], ids=str)
def test_every_loss(loss):
    there, here = both(loss=loss)
    w = np.full(D, 0.02)
    np.testing.assert_allclose(there.evaluate(w, 0.1)[0].by_w, here.evaluate(w, 0.1)[0].by_w)
    other = there.with_loss(SOFTPLUS).evaluate(w, 0.1)[0].value
    assert other == pytest.approx(here.with_loss(SOFTPLUS).evaluate(w, 0.1)[0].value)


def test_effective_rows_uses_the_same_rows_as_in_memory():
    n = 5_300
    X, y, _ = data(n)
    chunks = (1_111, 889, 2_300, 1_000)
    _, there, _ = reading.read_samples(
        da.from_array(X, chunks=(chunks, D)), y, loss=SOFTPLUS, intercept=True
    )
    here = in_memory(X, np.where(y == 1, 1.0, -1.0), np.ones(n), X.mean(axis=0))
    np.testing.assert_allclose(there.effective_rows(), here.effective_rows(), rtol=1e-9)


def test_categories():
    rng = np.random.default_rng(0)
    parts = [sp.csr_array(np.eye(k)[rng.integers(k, size=400)]) for k in (5, 3, 8)]
    X = sp.csr_array(sp.hstack(parts))
    y = rng.integers(2, size=400)
    blocks = [dask.delayed(X[start : start + 100]) for start in range(0, 400, 100)]
    stacked = da.concatenate(
        [da.from_delayed(block, (100, 16), dtype=float, meta=X[:0]) for block in blocks]
    )
    _, there, _ = reading.read_samples(stacked, y, loss=SOFTPLUS, intercept=True)
    here = in_memory(X, np.where(y == 1, 1.0, -1.0), np.ones(400), there.centre)
    assert there.category_starts().tolist() == here.category_starts().tolist() == [0, 5, 8]
    place = np.array([0] * 5 + [1] * 3 + [2] * 8, np.int32)
    np.testing.assert_allclose(
        there.gram(there.weight, place, 3), here.gram(here.weight, place, 3), atol=1e-12
    )
    uneven = da.concatenate([stacked, da.from_array(np.ones((50, 16))).map_blocks(sp.csr_array)])
    _, there, _ = reading.read_samples(uneven, np.append(y, y[:50]), loss=SOFTPLUS, intercept=True)
    assert there.category_starts().tolist() == [0]


def test_blocks_without_curvature_add_nothing():
    there, _ = both()
    lengths = there.census.counts.sum(axis=1).tolist()
    nothing = graphs.BlockValues({k: np.zeros(n) for k, n in enumerate(lengths)}, [*range(5)])
    assert not there.gram(nothing, np.arange(D, dtype=np.int32), D).any()


@pytest.mark.parametrize("form", ["dense", "csr", "float32"])
def test_the_same_fit(form):
    there, here = both(form)
    np.testing.assert_allclose(solution(there), solution(here), rtol=1e-6, atol=1e-8)


def test_the_same_fit_with_more_columns_than_rows():
    rng = np.random.default_rng(0)
    X = sp.csr_array(sp.random(300, 1_200, 0.02, "csr", None, rng))
    y = rng.integers(2, size=300)
    blocks = [dask.delayed(X[start : start + 100]) for start in range(0, 300, 100)]
    stacked = da.concatenate(
        [da.from_delayed(block, (100, 1_200), dtype=float, meta=X[:0]) for block in blocks]
    )
    _, there, _ = reading.read_samples(stacked, y, loss=SOFTPLUS, intercept=True)
    here = in_memory(X, np.where(y == 1, 1.0, -1.0), np.ones(300), there.centre)
    assert can_use_newton_cg(problem(there))
    np.testing.assert_allclose(solution(there), solution(here), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("limit", [1 << 25, 0], ids=["sampled here", "sampled there"])
def test_the_same_fit_with_subsamples(limit, monkeypatch):
    monkeypatch.setattr(cluster, "CLIENT_VALUES", limit)
    X, y, _ = data(30_000)
    _, there, _ = reading.read_samples(
        da.from_array(X, chunks=(7_000, D)), y, loss=SOFTPLUS, intercept=True
    )
    assert subsample_sizes(problem(there))
    here = in_memory(X, np.where(y == 1, 1.0, -1.0), np.ones(len(y)), X.mean(axis=0))
    np.testing.assert_allclose(solution(there), solution(here), rtol=1e-6, atol=1e-8)


def test_one_against_the_rest():
    X, y, weight = data(classes=3)
    names = np.array(["ox", "ass", "hen"])[y]
    classes, there, total = reading.read_samples(
        da.from_array(X, chunks=(CHUNKS, D)), names, weight, loss=SOFTPLUS, intercept=True
    )
    assert classes.tolist() == ["ass", "hen", "ox"]
    assert total == pytest.approx(weight.sum())
    here = in_memory(X, np.searchsorted(classes, names).astype(float), weight, there.centre)
    for k in range(3):
        mine, theirs = there.one_against_rest(float(k)), here.one_against_rest(float(k))
        w = np.full(D, 0.02)
        np.testing.assert_allclose(mine.evaluate(w, 0.1)[0].by_w, theirs.evaluate(w, 0.1)[0].by_w)
        sample = mine.subsample(100, np.random.default_rng(0))
        expected = theirs.weight[theirs.y > 0].sum()
        assert sample.weight[sample.y > 0].sum() == pytest.approx(expected)


def largest_result(n, monkeypatch):
    from dask.sizeof import sizeof

    X, y, weight = data(n)
    sizes = []
    compute = dask.compute

    def recording(*arguments, **options):
        results = compute(*arguments, **options)
        sizes.append(sizeof(results))
        return results

    with monkeypatch.context() as patch:
        patch.setattr(dask, "compute", recording)
        _, samples, _ = reading.read_samples(
            da.from_array(X, chunks=(n // 5, D)), da.from_array(y, chunks=n // 5),
            da.from_array(weight, chunks=n // 5), loss=SOFTPLUS, intercept=True,
        )  # fmt: skip
        rng = np.random.default_rng(0)
        # Without subsamples the whole fit runs on the workers.
        whitened.solve([problem(samples)], None, 1e-10, 30, rng)
        samples.effective_rows()
        samples.subsample(50, rng)
    return max(sizes)


def test_transfers_to_the_client_do_not_grow_with_the_rows(monkeypatch):
    assert largest_result(40_000, monkeypatch) == largest_result(1_000, monkeypatch)
