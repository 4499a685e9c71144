"""Random subsamples of rows in blocks: their sizes, weights and places."""

import numpy as np
import pytest

from dask_cases import SOFTPLUS, D, both, da, data, values
from polarstep.linear_model.on_dask import reading
from polarstep.linear_model.on_dask import samples as cluster
from polarstep.linear_model.solver.samples import Samples


@pytest.mark.parametrize("classes", [2, 4])
def test_a_subsample_keeps_the_weight_of_each_class(classes):
    X, y, weight = data(3_000, classes=classes)
    _, there, _ = reading.read_samples(
        da.from_array(X, chunks=(700, D)), y, weight, loss=SOFTPLUS, intercept=True
    )
    few = there.subsample(400, np.random.default_rng(0))
    assert isinstance(few, Samples)
    assert few.n == pytest.approx(400, abs=2)
    labels = [-1.0, 1.0] if classes == 2 else range(classes)
    for k, label in enumerate(labels):
        expected = weight[y == k].sum() / weight.sum()
        assert few.weight[few.y == label].sum() == pytest.approx(expected)
    rows = {tuple(row) for row in X[weight > 0]}
    assert all(tuple(row) in rows for row in few.X)
    assert len({tuple(row) for row in few.X}) == few.n
    same = there.subsample(400, np.random.default_rng(0))
    np.testing.assert_array_equal(same.X, few.X)
    everything = there.subsample(there.n, np.random.default_rng(0))
    assert everything.n == there.n


def test_a_large_subsample_stays_on_the_workers(monkeypatch):
    there, _ = both("csr")
    here = there.subsample(200, np.random.default_rng(0))
    monkeypatch.setattr(cluster, "CLIENT_VALUES", 100)
    lazy = there.subsample(200, np.random.default_rng(0))
    assert isinstance(lazy, cluster.DaskSamples)
    assert (lazy.n, lazy.size) == (here.n, here.size)
    np.testing.assert_allclose(values(lazy.weight), here.weight)
    w = np.full(D, 0.02)
    np.testing.assert_allclose(lazy.evaluate(w, 0.1)[0].by_w, here.evaluate(w, 0.1)[0].by_w)
    smaller = lazy.subsample(50, np.random.default_rng(0))
    assert smaller.total(smaller.weight) == pytest.approx(1)
