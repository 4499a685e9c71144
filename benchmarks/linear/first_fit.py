"""Time of the import and the first fit in a new process, without and with cached kernels.

python benchmarks/linear first-fit
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from statistics import median

DATA = "X = np.random.default_rng(0).standard_normal((500, 10)); y = (X[:, 0] > 0).astype(int)"
CODE = """
import time; start = time.perf_counter()
import numpy as np; numpy = time.perf_counter()
{imports}; imported = time.perf_counter()
{data}
{fit}; end = time.perf_counter()
print(numpy - start, imported - numpy, end - imported)
"""
OURS = ("import polarstep as ps", "ps.HalfspaceClassifier().fit(X, y)")
THEIRS = (
    "from sklearn.linear_model import LogisticRegression",
    "LogisticRegression().fit(X, y)",
)


def run(imports: str, fit: str, cache: str) -> list[float]:
    """Return the seconds of importing numpy, importing the library, and the first fit."""
    code = CODE.format(imports=imports, fit=fit, data=DATA)
    alone = {**os.environ, "NUMBA_CACHE_DIR": cache}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=alone)
    return [float(word) for word in done.stdout.split()]


def measure(rounds: int) -> dict[str, list[float]]:
    """Return medians over the rounds, each of which begins with an empty cache."""
    found: dict[str, list[list[float]]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            for name in ("polarstep, kernels not cached", "polarstep, kernels cached"):
                found.setdefault(name, []).append(run(*OURS, cache))
            found.setdefault("scikit-learn", []).append(run(*THEIRS, cache))
    table = {
        name: [median(part) for part in zip(*runs, strict=True)] for name, runs in found.items()
    }
    print(f"\n{'':32}{'numpy':>8}{'import':>8}{'fit':>8}{'sum':>8}   seconds, new process")
    for name, parts in table.items():
        print(f"{name:32}" + "".join(f"{t:8.2f}" for t in (*parts, sum(parts))))
    return table
