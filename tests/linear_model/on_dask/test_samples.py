"""Samples in Dask collections, against the same ones in memory."""

import os
import signal
import subprocess
import sys
from operator import attrgetter

import numpy as np
import pytest
import scipy.sparse as sp

dask = pytest.importorskip("dask", reason="Dask is not installed: pip install 'polarstep[dask]'")
da = pytest.importorskip("dask.array", reason="Dask has no arrays: pip install 'polarstep[dask]'")

from polarstep.linear_model.on_dask import reading  # noqa: E402
from polarstep.linear_model.on_dask import samples as cluster  # noqa: E402
from polarstep.linear_model.solver import problem as linear  # noqa: E402
from polarstep.linear_model.solver import whitened  # noqa: E402
from polarstep.linear_model.solver.samples import Samples  # noqa: E402
from polarstep.losses import LOSSES, MarginLoss  # noqa: E402

SOFTPLUS = LOSSES["softplus"]
ARCTAN = MarginLoss(np.arctan, lambda a: 1 / (1 + a**2), lambda a: -2 * a / (1 + a**2) ** 2)
N, D = 700, 6
CHUNKS = (250, 90, 1, 200, 159)


def data(n=N, d=D, seed=0, classes=2):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * np.geomspace(1, 30, d) + rng.uniform(-3, 3, d)
    X[rng.uniform(size=X.shape) < 0.3] = 0.0
    scores = X @ rng.standard_normal((d, classes)) / np.geomspace(1, 30, d).mean()
    y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    return X, y, rng.exponential(size=n) * (rng.uniform(size=n) < 0.9)


X, Y, WEIGHTS = data()
# How X comes in Dask, and as what it has to be used.
FORMS = {
    "dense": lambda X: (da.from_array(X, chunks=(CHUNKS, D)), X),
    "columns": lambda X: (da.from_array(X, chunks=(CHUNKS, (2, 4))), X),
    "F": lambda X: (da.from_array(X, chunks=(CHUNKS, D)).map_blocks(np.asfortranarray), X),
    "float32": lambda X: (
        da.from_array(X.astype(np.float32), chunks=(CHUNKS, D)),
        X.astype(np.float32),
    ),
    "int": lambda X: (
        da.from_array(X.astype(int), chunks=(CHUNKS, D)),
        X.astype(int).astype(float),
    ),
    "csr": lambda X: (
        da.from_array(X, chunks=(CHUNKS, D)).map_blocks(sp.csr_array),
        sp.csr_array(X),
    ),
    "csr_matrix in columns": lambda X: (
        da.from_array(X, chunks=(CHUNKS, (2, 4))).map_blocks(sp.csr_matrix),
        sp.csr_matrix(X),
    ),
    "csc": lambda X: (
        da.from_array(X, chunks=(CHUNKS, D)).map_blocks(sp.csc_array),
        sp.csr_array(X),
    ),
}


def in_memory(X, y, weight, centre, loss=SOFTPLUS):
    kept = np.flatnonzero(weight)
    return Samples(X[kept], y[kept], weight[kept] / weight.sum(), centre, loss)


def both(form="dense", *, loss=SOFTPLUS, weight=WEIGHTS, intercept=True):
    """The same samples in Dask and in memory."""
    collection, used = FORMS[form](X)
    weights = None if weight is None else da.from_array(weight, chunks=300)
    _, there, _ = reading.from_dask(
        collection, da.from_array(Y, chunks=200), weights, loss=loss, intercept=intercept
    )
    weight = np.ones(N) if weight is None else weight
    dense = used.toarray() if sp.issparse(used) else used.astype(float)
    centre = np.average(dense, axis=0, weights=weight) if intercept else np.zeros(D)
    return there, in_memory(used, np.where(Y == 1, 1.0, -1.0), weight, centre, loss)


def values(handle):
    """What `RowValues` stand for, brought here."""
    parts = handle.compute()
    return np.concatenate([part[-1] if isinstance(part, tuple) else part for part in parts])


def problem(samples, alpha=1e-3):
    return linear.Problem(samples, np.full(samples.d, alpha), True)


def solution(samples, tol=1e-15, **options):
    rng = np.random.default_rng(0)
    stages = whitened.stages_of(problem(samples), rng)
    point, ended = whitened.solve(stages, None, tol, 60, rng, **options)
    assert ended != "max_iter"
    return point.theta


# --- the same numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["plain", "weights"])
@pytest.mark.parametrize("form", FORMS)
def test_every_question_has_the_same_answer(form, weight):
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
    assert there.root_mean_square(p) == pytest.approx(here.root_mean_square(expected_p))
    moved = there.move(margins, p, 0.7, 0.1)
    expected_moved = here.move(expected_margins, expected_p, 0.7, 0.1)
    h, expected_h = there.curvatures(moved), here.curvatures(expected_moved)
    np.testing.assert_allclose(values(h), expected_h, rtol=1e-9, atol=1e-14)
    assert there.total(h) == pytest.approx(here.total(expected_h), rel=1e-10)
    np.testing.assert_allclose(there.squares(h), here.squares(expected_h), rtol=1e-9)

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


def test_rows_that_effective_rows_looks_at_are_those_looked_at_in_memory():
    n = 5_300
    X, y, _ = data(n)
    chunks = (1_111, 889, 2_300, 1_000)
    _, there, _ = reading.from_dask(
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
    _, there, _ = reading.from_dask(stacked, y, loss=SOFTPLUS, intercept=True)
    here = in_memory(X, np.where(y == 1, 1.0, -1.0), np.ones(400), there.centre)
    assert there.categories().tolist() == here.categories().tolist() == [0, 5, 8]
    place = np.array([0] * 5 + [1] * 3 + [2] * 8, np.int32)
    np.testing.assert_allclose(
        there.gram(there.weight, place, 3), here.gram(here.weight, place, 3), atol=1e-12
    )
    uneven = da.concatenate([stacked, da.from_array(np.ones((50, 16))).map_blocks(sp.csr_array)])
    _, there, _ = reading.from_dask(uneven, np.append(y, y[:50]), loss=SOFTPLUS, intercept=True)
    assert there.categories().tolist() == [0]


def test_blocks_without_curvature_add_nothing():
    there, _ = both()
    lengths = there.census.counts.sum(axis=1).tolist()
    nothing = cluster.Parts({k: np.zeros(n) for k, n in enumerate(lengths)}, [*range(5)])
    assert not there.gram(nothing, np.arange(D, dtype=np.int32), D).any()


@pytest.mark.parametrize("classes", [2, 4])
def test_the_sample_of_each_class_stands_for_it(classes):
    X, y, weight = data(3_000, classes=classes)
    _, there, _ = reading.from_dask(
        da.from_array(X, chunks=(700, D)), y, weight, loss=SOFTPLUS, intercept=True
    )
    few = there.sample(400, np.random.default_rng(0))
    assert isinstance(few, Samples)
    assert few.n == pytest.approx(400, abs=2)
    labels = [-1.0, 1.0] if classes == 2 else range(classes)
    for k, label in enumerate(labels):
        expected = weight[y == k].sum() / weight.sum()
        assert few.weight[few.y == label].sum() == pytest.approx(expected)
    rows = {tuple(row) for row in X[weight > 0]}
    assert all(tuple(row) in rows for row in few.X)
    assert len({tuple(row) for row in few.X}) == few.n
    same = there.sample(400, np.random.default_rng(0))
    np.testing.assert_array_equal(same.X, few.X)
    everything = there.sample(there.n, np.random.default_rng(0))
    assert everything.n == there.n


def test_a_large_sample_stays_on_the_workers(monkeypatch):
    there, _ = both("csr")
    here = there.sample(200, np.random.default_rng(0))
    monkeypatch.setattr(cluster, "_CLIENT_VALUES", 100)
    lazy = there.sample(200, np.random.default_rng(0))
    assert isinstance(lazy, cluster.DaskSamples)
    assert (lazy.n, lazy.size) == (here.n, here.size)
    np.testing.assert_allclose(values(lazy.weight), here.weight)
    w = np.full(D, 0.02)
    np.testing.assert_allclose(lazy.evaluate(w, 0.1)[0].by_w, here.evaluate(w, 0.1)[0].by_w)
    smaller = lazy.sample(50, np.random.default_rng(0))
    assert smaller.total(smaller.weight) == pytest.approx(1)


# --- the same fit -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["dense", "csr", "float32"])
def test_the_same_fit(form):
    there, here = both(form)
    np.testing.assert_allclose(solution(there), solution(here), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("limit", [1 << 25, 0], ids=["sampled here", "sampled there"])
def test_the_same_fit_by_way_of_subsamples(limit, monkeypatch):
    monkeypatch.setattr(cluster, "_CLIENT_VALUES", limit)
    X, y, _ = data(30_000)
    _, there, _ = reading.from_dask(
        da.from_array(X, chunks=(7_000, D)), y, loss=SOFTPLUS, intercept=True
    )
    assert whitened.subsample_sizes(problem(there))
    here = in_memory(X, np.where(y == 1, 1.0, -1.0), np.ones(len(y)), X.mean(axis=0))
    np.testing.assert_allclose(solution(there), solution(here), rtol=1e-6, atol=1e-8)


def test_one_against_the_rest():
    X, y, weight = data(classes=3)
    names = np.array(["ox", "ass", "hen"])[y]
    classes, there, total = reading.from_dask(
        da.from_array(X, chunks=(CHUNKS, D)), names, weight, loss=SOFTPLUS, intercept=True
    )
    assert classes.tolist() == ["ass", "hen", "ox"]
    assert total == pytest.approx(weight.sum())
    here = in_memory(X, np.searchsorted(classes, names).astype(float), weight, there.centre)
    for k in range(3):
        mine, theirs = there.one_against_rest(float(k)), here.one_against_rest(float(k))
        w = np.full(D, 0.02)
        np.testing.assert_allclose(mine.evaluate(w, 0.1)[0].by_w, theirs.evaluate(w, 0.1)[0].by_w)
        sample = mine.sample(100, np.random.default_rng(0))
        expected = theirs.weight[theirs.y > 0].sum()
        assert sample.weight[sample.y > 0].sum() == pytest.approx(expected)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 2.0, 1: 0.5, 2: 0.0}])
def test_class_weights_multiply_those_of_samples(class_weight):
    from sklearn.utils.class_weight import compute_class_weight

    X, y, weight = data(classes=3)
    _, there, total = reading.from_dask(
        da.from_array(X, chunks=(CHUNKS, D)), y, weight,
        loss=SOFTPLUS, intercept=True, class_weight=class_weight,
    )  # fmt: skip
    factors = compute_class_weight(class_weight, classes=np.arange(3), y=y, sample_weight=weight)
    expected = weight * factors[y]
    assert total == pytest.approx(expected.sum())
    np.testing.assert_allclose(values(there.weight), expected[expected > 0] / expected.sum())


def test_weights_of_any_size():
    weights = np.where(np.arange(N) % 2, 1e308, 1e300)
    _, here = both(weight=weights / 1e300)
    _, large, _ = reading.from_dask(
        da.from_array(X, chunks=(CHUNKS, D)), Y, weights, loss=SOFTPLUS, intercept=True
    )
    np.testing.assert_allclose(values(large.weight), here.weight)


# --- collections --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dd():
    reason = "Dask has no data frames: pip install 'polarstep[dask]'"
    return pytest.importorskip("dask.dataframe", reason=reason)


def frame(dd, parts=4):
    import pandas as pd

    table = pd.DataFrame(X, columns=[f"x{j}" for j in range(D)])
    table["label"] = np.where(Y == 1, "yes", "no")
    table["weight"] = WEIGHTS
    table["row"] = np.arange(N)
    return dd.from_pandas(table, npartitions=parts)


def test_data_frames(dd):
    table = frame(dd)
    columns = [f"x{j}" for j in range(D)]
    _, here = both()
    w = np.full(D, 0.02)
    expected = here.evaluate(w, 0.1)[0].by_w
    for y in (table["label"], table[["label"]], da.from_array(Y, chunks=N // 4)):
        classes, there, _ = reading.from_dask(
            table[columns], y, table["weight"], loss=SOFTPLUS, intercept=True
        )
        assert classes.tolist() in (["no", "yes"], [0, 1])
        np.testing.assert_allclose(there.evaluate(w, 0.1)[0].by_w, expected)
    _, there, _ = reading.from_dask(
        table[columns].to_dask_array(), table["label"], table["weight"],
        loss=SOFTPLUS, intercept=True,
    )  # fmt: skip
    np.testing.assert_allclose(there.evaluate(w, 0.1)[0].by_w, expected)


def test_data_frames_with_empty_partitions_and_nullable_columns(dd):
    table = frame(dd)
    table = table.astype({"x0": "Float64", "label": "category"})
    table = table[(table["x1"] > 0) | (table["row"] > N // 2)]
    table = table[table["row"] > N // 3]
    columns = [f"x{j}" for j in range(D)]
    _, there, _ = reading.from_dask(table[columns], table["label"], loss=SOFTPLUS, intercept=True)
    at = np.arange(N)
    rows = ((X[:, 1] > 0) | (at > N // 2)) & (at > N // 3)
    assert there.n == rows.sum()
    assert len(there.census.counts) < table.npartitions
    np.testing.assert_allclose(there.centre, X[rows].mean(axis=0))


def test_masked_arrays_of_unknown_length():
    collection = da.from_array(X, chunks=(CHUNKS, (2, 4)))
    mask = da.from_array(X[:, 0], chunks=(CHUNKS,)) > 0
    y = da.from_array(Y, chunks=(CHUNKS,))
    _, there, _ = reading.from_dask(
        collection[mask], y[mask].reshape(-1), loss=SOFTPLUS, intercept=True
    )
    np.testing.assert_allclose(there.centre, X[X[:, 0] > 0].mean(axis=0))


def test_a_single_block():
    _, there, _ = reading.from_dask(da.from_array(X), Y, loss=SOFTPLUS, intercept=False)
    assert len(there.census.counts) == 1
    assert not there.centre.any()


def test_persisted_blocks_are_used_where_they_lie():
    collection = da.from_array(X, chunks=(CHUNKS, D)).persist()
    _, there, _ = reading.from_dask(collection, Y, loss=SOFTPLUS, intercept=True)
    blocks = collection.__dask_graph__()
    for mine, key in zip(there._X.compute(), collection.__dask_keys__(), strict=True):
        assert np.shares_memory(mine, blocks[key[0]])


def test_read_only_blocks():
    def frozen(block):
        block = block.copy()
        block.flags.writeable = False
        return block

    collection = da.from_array(X, chunks=(CHUNKS, D)).map_blocks(frozen).persist()
    _, there, _ = reading.from_dask(collection, Y, WEIGHTS, loss=SOFTPLUS, intercept=True)
    _, here = both()
    w = np.full(D, 0.02)
    assert there.evaluate(w, 0.1)[0].value == pytest.approx(here.evaluate(w, 0.1)[0].value)


def test_is_dask():
    assert reading.is_dask(da.zeros(3))
    assert reading.is_dask(X, da.zeros(3))
    assert not reading.is_dask(X, [1.0], None)


def test_dask_is_imported_when_it_is_needed_only():
    code = (
        "import sys, numpy as np; from polarstep.linear_model.on_dask import reading;"
        "assert not reading.is_dask(np.zeros(3)); assert 'dask' not in sys.modules;"
        "sys.modules['dask'] = None; sys.modules['dask.array'] = None\n"
        "try: reading.from_dask(np.zeros((3, 1)), np.zeros(3), loss=None, intercept=True)\n"
        "except ModuleNotFoundError as error: assert \"'polarstep[dask]'\" in str(error), error\n"
        "else: raise AssertionError\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- complaints ---------------------------------------------------------------------------------


def refusal(kind, X, y, weight=None, **options):
    with pytest.raises(kind) as caught:
        reading.from_dask(X, y, weight, loss=SOFTPLUS, intercept=False, who="fit", **options)
    return str(caught.value)


def spoilt(value, row=400, column=3):
    bad = X.copy()
    bad[row, column] = value
    return bad


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named_with_its_place(value, kind):
    bad = da.from_array(spoilt(value), chunks=(CHUNKS, D)).map_blocks(kind)
    text = refusal(ValueError, bad, Y)
    assert f"got {value} at row 400 (row 59 of block 3), column 3" in text
    # A row of weight zero is not there, but counts.
    weight = np.ones(N)
    weight[[0, 345, 346]] = 0
    text = refusal(ValueError, bad, Y, weight)
    assert f"got {value} at row 400 (row 59 of block 3), column 3" in text
    weight[400] = 0
    _, there, _ = reading.from_dask(bad, Y, weight, loss=SOFTPLUS, intercept=True)
    assert np.isfinite(there.centre).all()


def test_columns_of_data_frames_are_named(dd):
    table = frame(dd, 1)
    columns = [f"x{j}" for j in range(D)]
    table["x3"] = table["x3"].where(table["row"] != 400)
    text = refusal(ValueError, table[columns], table["label"])
    assert "nan at row 400 (row 400 of block 0), column 'x3'" in text
    text = refusal(TypeError, table[[*columns, "label"]], table["label"])
    assert "in column 'label'" in text


def test_data_that_cannot_be_used():
    good = da.from_array(X, chunks=(CHUNKS, D))
    assert "hold numbers" in refusal(TypeError, good.astype(complex), Y)
    assert "hold numbers" in refusal(TypeError, good.astype(str), Y)
    objects = da.from_array(np.full((N, 2), None), chunks=(CHUNKS, 2))
    assert "hold numbers" in refusal(TypeError, objects, Y)
    hidden = good.map_blocks(lambda block: block.astype(str), dtype=float, meta=np.zeros((0, D)))
    assert "hold numbers" in refusal(TypeError, hidden, Y)
    assert "rows and columns" in refusal(ValueError, good[:, 0], Y)
    assert "Dask array or DataFrame" in refusal(TypeError, X, da.from_array(Y))
    mixed = da.concatenate([good, good.map_blocks(sp.csr_array)])
    assert "sparse" in refusal(ValueError, mixed, np.append(Y, Y))


def test_labels_that_cannot_be_used():
    good = da.from_array(X, chunks=(CHUNKS, D))
    assert "as many rows as `X`, 700; got 699" in refusal(ValueError, good, Y[:-1])
    assert "one column" in refusal(ValueError, good, np.column_stack([Y, Y]))
    assert "Series" in refusal(TypeError, good, None)
    assert "two classes or more; got 1" in refusal(ValueError, good, np.ones(N))
    assert "two classes or more; got 0" in refusal(ValueError, good[:0], Y[:0])
    labels = Y.astype(float)
    labels[400] = np.nan
    text = refusal(ValueError, good, labels)
    assert "hold a label for every row; got none at row 400 (row 59 of block 3)" in text
    labels = np.array(["a", "b"], object)[Y]
    labels[400] = None
    assert "none at row 400" in refusal(ValueError, good, labels)
    labels[400] = 3
    assert "can be sorted" in refusal(TypeError, good, labels)
    assert "continuous" in refusal(ValueError, good, Y + 0.5)
    many = da.from_array(np.zeros((2_000, 2)), chunks=(500, 2))
    assert "at most 1000 classes" in refusal(ValueError, many, np.arange(2_000))


def test_weights_that_cannot_be_used():
    good = da.from_array(X, chunks=(CHUNKS, D))
    for value in (-1.0, np.nan, np.inf):
        weights = np.ones(N)
        weights[400] = value
        text = refusal(ValueError, good, Y, weights)
        assert f"finite numbers >= 0 only; got {value:g} at row 400 (row 59 of block 3)" in text
    for class_weight in (None, "balanced"):
        text = refusal(ValueError, good, Y, np.zeros(N), class_weight=class_weight)
        assert "hold two classes or more; got 0" in text
    assert "hold numbers" in refusal(TypeError, good, Y, np.full(N, "a"))
    assert "`class_weight` must" in refusal(ValueError, good, Y, class_weight={0: -1.0, 1: 1.0})


def test_blocks_that_do_not_match():
    mask = da.from_array(X[:, 0], chunks=(CHUNKS,)) > 0
    unknown = da.from_array(X, chunks=(CHUNKS, D))[mask]
    text = refusal(ValueError, unknown, da.from_array(Y, chunks=200))
    assert "as many blocks as `X`, 5" in text
    text = refusal(ValueError, unknown, da.from_array(Y, chunks=(CHUNKS,)))
    assert "as many rows as `X` in every block" in text
    assert "compute_chunk_sizes" in text


# --- what comes to the client -------------------------------------------------------------------


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
        _, samples, _ = reading.from_dask(
            da.from_array(X, chunks=(n // 5, D)), da.from_array(y, chunks=n // 5),
            da.from_array(weight, chunks=n // 5), loss=SOFTPLUS, intercept=True,
        )  # fmt: skip
        rng = np.random.default_rng(0)
        # No subsample: the whole fit is on the workers.
        whitened.solve([problem(samples)], None, 1e-10, 30, rng)
        samples.effective_rows()
        samples.sample(50, rng)
    return max(sizes)


def test_what_comes_to_the_client_does_not_grow_with_the_rows(monkeypatch):
    assert largest_result(40_000, monkeypatch) == largest_result(1_000, monkeypatch)


# --- workers that are processes -----------------------------------------------------------------


@pytest.fixture
def client():
    reason = "Dask has no cluster: pip install 'polarstep[dask]'"
    distributed = pytest.importorskip("distributed", reason=reason)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0",
            silence_logs="CRITICAL",
        ) as workers,
        distributed.Client(workers) as client,
    ):  # fmt: skip
        yield client


# Sockets of the process that is killed, and of loops that are closed, are left to the collector.
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_processes(client):
    """One test, so that one cluster does."""
    check_that_losses_stay_compiled(client)
    check_that_errors_come_as_they_are()
    check_that_a_fit_outlives_a_worker(client)


def check_that_losses_stay_compiled(client):
    for loss in LOSSES.values():
        assert client.submit(attrgetter("kernel"), loss, pure=False).result() == loss.kernel


def check_that_errors_come_as_they_are():
    bad = da.from_array(spoilt(np.nan), chunks=(CHUNKS, D))
    assert "at row 400" in refusal(ValueError, bad, Y)
    many = da.from_array(np.zeros((2_000, 2)), chunks=(500, 2))
    assert "at most 1000 classes" in refusal(ValueError, many, np.arange(2_000))


def check_that_a_fit_outlives_a_worker(client):
    n = 20_000
    X, y, _ = data(n)
    collection = da.from_array(X, chunks=(3_000, D)).persist()
    labels = da.from_array(y, chunks=3_000)
    _, samples, _ = reading.from_dask(collection, labels, loss=SOFTPLUS, intercept=True)
    assert {type(block).__name__ for block in samples._X.graph.values()} == {"Future"}
    assert set(samples._X.keys) == {key for row in collection.__dask_keys__() for key in row}
    undisturbed = solution(samples)
    here = in_memory(X, np.where(y == 1, 1.0, -1.0), np.ones(n), X.mean(axis=0))
    np.testing.assert_allclose(undisturbed, solution(here), rtol=1e-6, atol=1e-8)

    killed = []

    def kill_one(point, rate):
        if not killed:
            killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    np.testing.assert_array_equal(solution(samples, observe=kill_one), undisturbed)
    assert killed[0] not in client.run(os.getpid).values()
