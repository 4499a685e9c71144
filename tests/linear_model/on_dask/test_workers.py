"""Workers that are processes: compiled losses, errors, and a worker that dies."""

import os
import signal
from operator import attrgetter

import numpy as np
import pytest

from dask_cases import CHUNKS, SOFTPLUS, D, Y, da, data, in_memory, refusal, solution, spoilt
from polarstep.linear_model.on_dask import reading
from polarstep.losses import LOSSES


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


# Sockets of the killed process and of closed event loops are left to the garbage collector.
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_processes(client):
    """All checks share one cluster, because a cluster takes seconds to start."""
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
            killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    np.testing.assert_array_equal(solution(samples, observe=kill_one), undisturbed)
    assert killed[0] not in client.run(os.getpid).values()
