"""A fit has the same bits each time, in every process, thread and place in memory."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

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
CODE = """
import hashlib, numpy as np
from polarstep import HalfspaceClassifier, LogisticRegression
rng = np.random.default_rng(0)
X = rng.exponential(size=(3_000, 40)) * np.logspace(-3, 3, 40)
score = X @ np.logspace(3, -3, 40) / 40 + rng.logistic(size=3_000)
for model, y in (
    (LogisticRegression(n_jobs=2), score > 1),
    (HalfspaceClassifier(loss="sigmoid"), np.array(["no", "yes"])[(score > 1).astype(int)]),
    (HalfspaceClassifier(class_weight={"a": 2.0}), np.array([*"abc"])[np.digitize(score, [0, 1])]),
):
    print(hashlib.sha256(model.fit(X, y).coef_.tobytes()).hexdigest())
"""


def bits(model, data, y):
    model.fit(data, y)
    return model.coef_.tobytes() + model.intercept_.tobytes() + model.result_.trace.fun.tobytes()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("model", "y"),
    [(LogisticRegression(), Y), (LogisticRegression(n_jobs=2), Y), (HalfspaceClassifier(), THREE)],
    ids=["two", "two threads", "three"],
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
    found = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", CODE],
            capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed},
        )  # fmt: skip
        found.add(done.stdout)
    (output,) = found
    assert len(output.split()) == 3
