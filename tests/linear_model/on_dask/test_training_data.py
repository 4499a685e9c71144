"""Training data on Dask offer what those in memory offer, and the same paths follow from them."""

import numpy as np
import pytest

import polarstep as ps
from dask_cases import CHUNKS, WEIGHTS, D, Y, da, data, values
from polarstep.linear_model.on_dask import block_rows
from polarstep.linear_model.on_dask.training_data import DaskTrainingData
from polarstep.losses import LOSSES

X, THREE, _ = data(classes=3)


def test_samples_and_rows_of_a_block():
    found = DaskTrainingData.read(
        da.from_array(X, chunks=(CHUNKS, D)), THREE, WEIGHTS,
        class_weight={1: 2.0}, n_threads=1, who="path",
    )  # fmt: skip
    weight = WEIGHTS * np.where(THREE == 1, 2.0, 1.0)
    kept = weight > 0
    assert found.total_weight == pytest.approx(weight.sum())
    assert (found.n_features, found.classes.tolist()) == (D, [0, 1, 2])
    for intercept in (True, False):
        samples, centre = found.samples(LOSSES["sigmoid"], intercept=intercept, n_threads=1)
        rows, other = found.block_rows(intercept=intercept, n_threads=1)
        expected = np.average(X, axis=0, weights=weight) if intercept else np.zeros(D)
        np.testing.assert_allclose(centre, expected, rtol=1e-12)
        np.testing.assert_array_equal(centre, other)
        assert samples.loss.name == "sigmoid"
        np.testing.assert_allclose(values(samples.weight), weight[kept] / weight.sum())
        np.testing.assert_allclose(
            rows.totals, [np.bincount(THREE, weight) / weight.sum()], rtol=1e-12
        )


@pytest.mark.parametrize("limit", [1 << 22, 900], ids=["small", "large"])
@pytest.mark.parametrize("loss", ["softplus", "sigmoid"])
@pytest.mark.parametrize("y", [Y, THREE], ids=["two classes", "three classes"])
def test_the_same_path(y, loss, limit, monkeypatch):
    monkeypatch.setattr(block_rows, "CLIENT_VALUES", limit)
    model = ps.HalfspaceClassifier(loss=loss, tol=1e-15, fit_intercept=loss == "softplus")
    Cs = [0.01, 1.0]
    near = model.path(X, y, Cs, WEIGHTS)
    far = model.path(da.from_array(X, chunks=(CHUNKS, D)), y, Cs, WEIGHTS)
    for mine, theirs in zip(far, near, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6 * np.abs(theirs).max())
    assert not hasattr(model, "classes_")
