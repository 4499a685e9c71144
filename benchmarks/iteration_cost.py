"""Measure the time per iteration of each method relative to NumPy's products X w and X^T r.

    python benchmarks/iteration_cost.py [--data DIR] [--rounds 7] [--iterations 10]

Every round times every contestant once, in turn, so that a change of the machine's speed affects
all of them. The table shows the median, smallest and largest ratio over the rounds. The time of an
iteration is that of whole calls of `minimize`, including the trace. The results are written to
benchmarks/results/iteration_cost.json.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import polarstep as ps
from polarstep.experiments.data import tables as datasets
from polarstep.experiments.records import environment

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "gd": ("gd", {}),
    "agd": ("agd", {}),
    "wn": ("wn", {}),
    "bn": ("bn", {}),
    "gdnp": ("gdnp", {}),
    "gdnp, 40 bisection steps": ("gdnp", {"bisection_steps": 40}),
}


def dense_gaussian() -> tuple[np.ndarray, np.ndarray]:
    u, S = datasets.gaussian_moments(100, 1e3, 0.5, 0)
    return datasets.gaussian_sample(u, S, 500_000, 0)


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(X: Any, y: np.ndarray, rounds: int, iterations: int, label: str) -> dict[str, Any]:
    n, d = X.shape
    rng = np.random.default_rng(0)
    w, r = rng.standard_normal(d), rng.standard_normal(n)
    setup = seconds(lambda: ps.Halfspace(X, y).moments)
    objective = ps.Halfspace(X, y)
    times: dict[str, list[float]] = {"numpy": [], **{name: [] for name in METHODS}}

    def products() -> None:
        for _ in range(iterations):
            X @ w
            X.T @ r

    def run(name: str, max_iter: int) -> None:
        method, options = METHODS[name]
        ps.minimize(objective, method, max_iter=max_iter, tol=0.0, **options)

    for round_ in tqdm(range(rounds + 1), desc=label):  # the first round only warms up
        now = {"numpy": seconds(products)}
        for name in METHODS:
            start = seconds(lambda name=name: run(name, 0))
            now[name] = seconds(lambda name=name: run(name, iterations)) - start
        if round_:
            for name, value in now.items():
                times[name].append(value / iterations)
    table = {name: summary(np.array(t), np.array(times["numpy"])) for name, t in times.items()}
    products_s = table["numpy"]["milliseconds"] / 1e3
    return {"n": n, "d": d, "setup_ratio": setup / products_s, "methods": table}


def summary(times: np.ndarray, products: np.ndarray) -> dict[str, float]:
    ratios = times / products
    return {
        "milliseconds": 1e3 * float(np.median(times)),
        "ratio": float(np.median(ratios)),
        "lowest": float(ratios.min()),
        "highest": float(ratios.max()),
    }


def show(label: str, result: dict[str, Any]) -> None:
    print(f"\n{label}: {result['n']:,} x {result['d']}")
    print(f"{'':26}{'ms/iteration':>13}{'x two products':>16}{'range':>16}")
    for name, row in result["methods"].items():
        spread = f"{row['lowest']:.2f}-{row['highest']:.2f}"
        print(f"{name:26}{row['milliseconds']:13.2f}{row['ratio']:16.2f}{spread:>16}")
    print(f"Moments (means, u, Gram, spectrum), once: {result['setup_ratio']:.1f} x two products")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("POLARSTEP_DATA"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--iterations", type=int, default=10)
    args = parser.parse_args()
    problems = {"dense Gaussian": dense_gaussian}
    if args.data and datasets.find_a9a(Path(args.data)):
        problems["a9a (sparse)"] = lambda: datasets.a9a(Path(args.data))
    else:
        print("a9a is skipped: pass --data DIR, where DIR contains libsvm/a9a.")
    results: dict[str, Any] = {"environment": environment()}
    for label, make in problems.items():
        results[label] = measure(*make(), args.rounds, args.iterations, label)
        show(label, results[label])
    out = Path(__file__).parent / "results" / "iteration_cost.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(results, indent=1))
    print(f"\nSaved: {out}")


if __name__ == "__main__":
    main()
