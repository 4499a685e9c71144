"""Data in Dask collections and in memory, for the tests of `linear_model.on_dask`."""

import numpy as np
import pytest
import scipy.sparse as sp

pytest.importorskip("dask", reason="Dask is not installed: pip install 'polarstep[dask]'")
da = pytest.importorskip("dask.array", reason="Dask has no arrays: pip install 'polarstep[dask]'")

from polarstep.linear_model.on_dask import reading  # noqa: E402
from polarstep.linear_model.solver import whitened  # noqa: E402
from polarstep.linear_model.solver.penalty import DiagonalPenalty  # noqa: E402
from polarstep.linear_model.solver.problem import Problem  # noqa: E402
from polarstep.linear_model.solver.samples import Samples  # noqa: E402
from polarstep.linear_model.solver.stages import make_stages  # noqa: E402
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
# Each form gives X as a Dask collection, and the matrix that the solver has to use.
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
    return Samples.from_arrays(X[kept], y[kept], weight[kept] / weight.sum(), centre, loss)


def both(form="dense", *, loss=SOFTPLUS, weight=WEIGHTS, intercept=True):
    """Return the same samples in Dask and in memory."""
    collection, used = FORMS[form](X)
    weights = None if weight is None else da.from_array(weight, chunks=300)
    _, there, _ = reading.read_samples(
        collection, da.from_array(Y, chunks=200), weights, loss=loss, intercept=intercept
    )
    weight = np.ones(N) if weight is None else weight
    dense = used.toarray() if sp.issparse(used) else used.astype(float)
    centre = np.average(dense, axis=0, weights=weight) if intercept else np.zeros(D)
    return there, in_memory(used, np.where(Y == 1, 1.0, -1.0), weight, centre, loss)


def values(handle):
    """Compute `BlockValues` and return the value of each row."""
    parts = handle.compute()
    return np.concatenate([part[-1] if isinstance(part, tuple) else part for part in parts])


def problem(samples, alpha=1e-3):
    return Problem(samples, DiagonalPenalty(np.full(samples.d, alpha)), True)


def solution(samples, tol=1e-15, **options):
    rng = np.random.default_rng(0)
    stages = make_stages(problem(samples), rng)
    point, ended = whitened.solve(stages, None, tol, 60, rng, **options)
    assert ended != "max_iter"
    return point.theta


def frame(parts=4):
    """Return the data as a Dask data frame with columns x0, x1, ..., label, weight and row."""
    pd = pytest.importorskip("pandas", reason="data frames need pandas")
    reason = "Dask has no data frames: pip install 'polarstep[dask]'"
    dd = pytest.importorskip("dask.dataframe", reason=reason)

    table = pd.DataFrame(X, columns=[f"x{j}" for j in range(D)])
    table["label"] = np.where(Y == 1, "yes", "no")
    table["weight"] = WEIGHTS
    table["row"] = np.arange(N)
    return dd.from_pandas(table, npartitions=parts)


def refusal(kind, X, y, weight=None, **options):
    """Return the text of the error that reading these collections raises."""
    with pytest.raises(kind) as caught:
        reading.read_samples(X, y, weight, loss=SOFTPLUS, intercept=False, who="fit", **options)
    return str(caught.value)


def spoilt(value, row=400, column=3):
    """Return X with one value replaced."""
    bad = X.copy()
    bad[row, column] = value
    return bad
