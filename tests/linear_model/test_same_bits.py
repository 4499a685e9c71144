"""A fit has the same bits each time, in every process, thread and place in memory."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from classifier_cases import THREE, UNITS, X, Y
from polarstep import HalfspaceClassifier, LogisticRegression

LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "float32": np.float32,
    "csr": sp.csr_array,
}


def digests():
    """Return the digests of several fits, which may go through subsamples."""
    rng = np.random.default_rng(0)
    data = rng.exponential(size=(3_000, 40)) * np.logspace(-3, 3, 40)
    score = data @ np.logspace(3, -3, 40) / 40 + rng.logistic(size=3_000)
    three = np.array([*"abc"])[np.digitize(score, [0, 1])]
    fits = [
        (LogisticRegression(n_jobs=2), score > 1),
        (LogisticRegression(C=0.1), three),
        (HalfspaceClassifier(loss="sigmoid"), np.array(["no", "yes"])[(score > 1).astype(int)]),
        (HalfspaceClassifier(class_weight={"a": 2.0}), three),
    ]
    return [sha256(model.fit(data, y).coef_.tobytes()).hexdigest() for model, y in fits]


def bits(model, data, y):
    model.fit(data, y)
    return model.coef_.tobytes() + model.intercept_.tobytes() + model.result_.trace.fun.tobytes()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("model", "y"),
    [
        (LogisticRegression(), Y),
        (LogisticRegression(n_jobs=2), Y),
        (HalfspaceClassifier(), THREE),
        (LogisticRegression(), THREE),
    ],
    ids=["two", "two threads", "three", "softmax"],
)
def test_in_one_process(model, y, layout):
    rng, found = np.random.default_rng(0), set()
    for _ in range(25):
        clutter = [np.empty(rng.integers(1, 500)) for _ in range(20)]
        found.add(bits(model, LAYOUTS[layout](X / UNITS), y))
        del clutter
    assert len(found) == 1


def test_in_threads():
    models = [LogisticRegression() for _ in range(12)]
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda model: bits(model, X / UNITS, Y), models))
    assert found == {bits(LogisticRegression(), X / UNITS, Y)}


def test_in_every_process():
    code = "import test_same_bits; print(*test_same_bits.digests())"
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1]), *sys.path]
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == digests()
