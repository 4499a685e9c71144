"""Workers that are processes: compiled losses, errors, and a worker that dies."""

import os
import signal
from operator import attrgetter

import dask
import numpy as np
import pytest

import polarstep as ps
from dask_cases import CHUNKS, SOFTPLUS, D, Y, da, data, in_memory, refusal, solution, spoilt
from polarstep.linear_model import cross_validation, logistic
from polarstep.linear_model.on_dask import block_rows, reading
from polarstep.losses import LOSSES

# Sockets of killed processes and of closed event loops are left to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(scope="module")
def client():
    """All tests share one cluster, because a cluster takes seconds to start."""
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


def kill_a_worker(client):
    """Kill one of the workers and return the number of its process."""
    number = next(iter(client.run(os.getpid).values()))
    os.kill(number, signal.SIGKILL)
    return number


def test_one_model(client):
    # Losses stay compiled.
    kernels = [client.submit(attrgetter("kernel"), loss, pure=False) for loss in LOSSES.values()]
    assert client.gather(kernels) == [loss.kernel for loss in LOSSES.values()]

    # Errors keep their types and texts.
    bad = da.from_array(spoilt(np.nan), chunks=(CHUNKS, D))
    assert "at row 400" in refusal(ValueError, bad, Y)
    many = da.from_array(np.zeros((2_000, 2)), chunks=(500, 2))
    assert "at most 1000 classes" in refusal(ValueError, many, np.arange(2_000))

    # Persisted blocks are used without a copy, and the fit is the same as in memory.
    X, y, _ = data(20_000)
    collection = da.from_array(X, chunks=(3_000, D)).persist()
    labels = da.from_array(y, chunks=3_000)
    _, samples, _ = reading.read_samples(collection, labels, loss=SOFTPLUS, intercept=True)
    assert {type(block).__name__ for block in samples.X.graph.values()} == {"Future"}
    assert set(samples.X.keys) == {key for row in collection.__dask_keys__() for key in row}
    undisturbed = solution(samples)
    here = in_memory(X, np.where(y == 1, 1.0, -1.0), np.ones(len(y)), X.mean(axis=0))
    np.testing.assert_allclose(undisturbed, solution(here), rtol=1e-6, atol=1e-8)

    # If a worker dies, lost blocks are recomputed identically.
    killed = []

    def kill_one(point, convergence):
        if not killed:
            killed.append(kill_a_worker(client))

    np.testing.assert_array_equal(solution(samples, observe=kill_one), undisturbed)
    assert killed[0] not in client.run(os.getpid).values()


def coefficients(X, y, observe, monkeypatch):
    """Return the coefficients of softmax regression, and of all models of a cross-validation.

    At every iteration of a fit, the function `observe` is called.
    """
    for module in (logistic, cross_validation):
        monkeypatch.setattr(module, "progress_printer", lambda who: observe)
    softmax = ps.LogisticRegression(tol=1e-15, verbose=1).fit(X, y)
    options = {"Cs": [0.01, 1.0], "cv": 2, "tol": 1e-15, "verbose": 1, "refit": False}
    search = ps.LogisticRegressionCV(**options).fit(X, y)
    return softmax.coef_, *search.coefs_paths_.values(), search.scores_[0], search.C_


def test_many_models(client, monkeypatch):
    """Models of several classes and a cross-validation do not depend on where the rows are."""
    monkeypatch.setattr(block_rows, "CLIENT_VALUES", 3_000)  # so that most rows stay on workers
    X, y, _ = data(4_000, classes=3)
    blocks = da.from_array(X, chunks=(1_000, D)), da.from_array(y, chunks=1_000)
    undisturbed = coefficients(*blocks, lambda row: None, monkeypatch)
    here = coefficients(X, y, lambda row: None, monkeypatch)
    rest = [ps.HalfspaceClassifier(tol=1e-15).fit(*rows).coef_ for rows in (blocks, (X, y))]
    for mine, theirs in [rest, *zip(undisturbed, here, strict=True)]:
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6 * np.abs(theirs).max())

    # One worker dies in each of the fits. Lost blocks are recomputed identically.
    def kill(row):
        if row.iteration == 2:
            killed.append(kill_a_worker(client))

    killed = []
    for mine, theirs in zip(coefficients(*blocks, kill, monkeypatch), undisturbed, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert len(killed) == 2

    # Nor do the digits depend on the scheduler.
    with dask.config.set(scheduler="threads"):
        threads = coefficients(*blocks, lambda row: None, monkeypatch)
    for mine, theirs in zip(threads, undisturbed, strict=True):
        np.testing.assert_array_equal(mine, theirs)
