"""Compare HalfspaceClassifier on a Dask cluster with dask-ml's LogisticRegression (dask-glm).

    python benchmarks/linear dask [--rounds 5] [--quick]

dask-ml is skipped if it is not installed (`pip install dask-ml dask-glm`, preferably in a separate
environment; polarstep does not need it). The data are 2,000,000 rows of two Gaussian classes with
50 columns, in 16 blocks, generated and held by two worker processes of one thread each.

dask-glm penalises the intercept and, by default, the weights of standardised columns; its solvers
newton and gradient_descent support no penalty. All its solvers therefore run with C infinite, where
the objectives agree, and those that support a penalty also with C = 1 and the penalty of polarstep
(`ridge`). Its lbfgs does not set SciPy's `factr`, whose default stops it early; "lbfgs, factr=10"
sets it. dask-glm standardises the columns again in every pass, which newton does not need.
scikit-learn runs on one thread on the data gathered in memory.

Each peer has the tightest tolerances and is stopped by max_iter: by the smallest one, determined
beforehand to within 10%, that reaches (F - F*)/F* <= 1e-8. A peer that does not reach it within
120 s runs with the max_iter that comes closest, and its time is compared with that of polarstep at
the same accuracy. F* comes from polarstep with tol=1e-13; Newton's decrement there, computed
independently, estimates its error. Fits of 20 s or more are measured in one round only.
"""

from __future__ import annotations

import gc
import logging
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from math import ceil
from typing import Any

import numpy as np
from dask_peers import Make, has_dask_ml, ours, peers
from dask_problem import BLOCKS, Objective, persisted_data
from report import lines
from tqdm import tqdm

TARGET = 1e-8
FULL, QUICK = (2_000_000, 50), (80_000, 20)
PENALTIES = (np.inf, 1.0)
LONGEST = 120.0  # seconds that a peer's fit may take
ONCE = 20.0  # seconds; slower fits are measured in one round only
PEERS = ("dask", "distributed", "dask-ml", "dask-glm")


# ------------------------------------------------------------------- settings


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    gc.collect()
    start = time.perf_counter()
    outcome = work()
    return time.perf_counter() - start, outcome


def setting(make: Make, objective: Objective, longest: float) -> dict[str, Any]:
    """Find the smallest max_iter that reaches TARGET, and the best accuracy of the peer."""
    tried: dict[int, tuple[float, float]] = {}

    def reached(k: int) -> float:
        seconds, model = timed(make(k))
        tried[k] = seconds, objective.suboptimality(model)
        return tried[k][1]

    k, before = 1, np.inf
    try:
        while (now := reached(k)) > 1e-13 and tried[k][0] < longest / 2:
            if k >= 8 and now > 0.99 * before:  # it stopped by itself or makes no progress
                break
            k, before = 2 * k, now
        best = min(max(found, 0.0) for _, found in tried.values())
        target = max(TARGET, 1.01 * best)
        high = min(k for k in tried if tried[k][1] <= target)
        low = high // 2
        while best <= TARGET and high - low > max(1, high // 10):
            middle = (low + high) // 2
            low, high = (low, middle) if reached(middle) <= target else (middle, high)
    except (ValueError, ArithmeticError, TypeError, AttributeError, KeyError) as error:
        text = str(error).splitlines() or [""]
        return {"why": f"{type(error).__name__}: {text[0][:80]}"}
    seconds, found = tried[high]
    what = {"max_iter": high, "target": target if best > TARGET else TARGET, "best": best}
    return {**what, "seconds": seconds, "reached": found, "tried": sorted(tried.items())}


# ------------------------------------------------------------------- measuring


def race(X: Any, y: Any, gathered: Any, C: float, rounds: int, longest: float) -> dict[str, Any]:
    objective = Objective(X, y, C)
    reference = ours(X, y, C, 1e-13)
    objective.best = objective.value(reference)
    settings = {}
    makers = peers(X, y, gathered, C, objective)
    for name, make in tqdm(makers.items(), desc=f"C={C:g}, settings", leave=False):
        settings[name] = setting(make, objective, longest)
        what = {key: value for key, value in settings[name].items() if key != "tried"}
        tqdm.write(f"C={C:g}, {name}: {what}")
    chosen = {name: s for name, s in settings.items() if "why" not in s}
    targets = sorted({TARGET, *(s["target"] for s in chosen.values())})
    work = {f"polarstep, tol={t:.1e}": partial(ours, X, y, C, t) for t in targets}
    ours_at = dict(zip(targets, work, strict=True))
    work |= {name: makers[name](s["max_iter"]) for name, s in chosen.items()}
    slow = {name for name, s in chosen.items() if s["seconds"] >= ONCE}
    times: dict[str, list[float]] = {name: [] for name in work}
    fitted: dict[str, Any] = {}
    for round_ in tqdm(range(rounds + 1), desc=f"C={C:g}, rounds", leave=False):
        for name, task in work.items():
            if name not in slow or round_ == rounds:
                seconds, fitted[name] = timed(task)
                times[name] += [seconds] if round_ else []  # the first round only warms up
    table = {}
    for name, values in times.items():
        our_times = times[ours_at[chosen[name]["target"]] if name in chosen else name]
        ratios = np.array(values) / our_times[-len(values) :]
        table[name] = {
            "seconds": float(np.median(values)),
            "rounds": len(values),
            "ratio": float(np.median(ratios)),
            "lowest": float(ratios.min()),
            "highest": float(ratios.max()),
            "suboptimality": objective.suboptimality(fitted[name]),
            "all_seconds": values,
            **({"passes": fitted[name].result_.n_passes} if name not in chosen else {}),
        }
    decrement, status = objective.decrement(reference), reference.result_.status.name
    optimum = {"value": objective.best, "newton_decrement": decrement, "status": status}
    return {"C": str(C), "reference": optimum, "settings": settings, "table": table}


def memory(X: Any, y: Any) -> list[dict[str, float]]:
    """Measure the peak memory that the client allocates during a fit, by number of rows.

    Sizes beyond that of the data repeat the data.
    """
    import dask.array as da

    rows = []
    for share in (0.125, 0.25, 0.5, 1, 2, 4):
        part, labels = da.concatenate([X] * ceil(share)), da.concatenate([y] * ceil(share))
        blocks = int(BLOCKS * share)
        part, labels = part.blocks[:blocks], labels.blocks[:blocks]
        seconds, _ = timed(partial(ours, part, labels, 1.0, TARGET))
        gc.collect()
        tracemalloc.start()
        ours(part, labels, 1.0, TARGET)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        sizes = {"rows": part.shape[0], "data_mb": part.nbytes / 1e6, "client_mb": peak / 1e6}
        rows.append({**sizes, "seconds": seconds})
    return rows


def measure(rounds: int, quick: bool) -> Iterator[dict[str, Any]]:
    """Yield the results so far after each part, so that an interruption loses little."""
    from distributed import Client, LocalCluster

    if not has_dask_ml():
        print("dask-ml is skipped because it is not installed: pip install dask-ml dask-glm.")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        warnings.catch_warnings(),
        LocalCluster(**options, silence_logs=logging.ERROR) as cluster,
        Client(cluster),
    ):
        warnings.simplefilter("ignore")
        n, d = QUICK if quick else FULL
        X, y = persisted_data(n, d)
        installed = {name: version(name) for name in PEERS if find_spec(name.replace("-", "_"))}
        result = {"n": n, "d": d, "versions": installed, "memory": memory(X, y), "races": []}
        yield result
        gathered = X.compute(), y.compute()
        rounds, longest = (1, LONGEST / 60) if quick else (rounds, LONGEST)
        for C in PENALTIES:
            result["races"].append(race(X, y, gathered, C, rounds, longest))
            yield result


# ------------------------------------------------------------------- report


def markdown(result: dict[str, Any], environment: dict[str, Any]) -> str:
    machine = ", ".join(f"{k} {v}" for k, v in {**environment, **result["versions"]}.items())
    size = f"{result['n']:,} x {result['d']}, {BLOCKS} blocks, two workers of one thread"
    parts = ["# On a Dask cluster", "", f"{size}; {machine}.", ""]
    parts += [
        "Ratios are relative to polarstep at the same suboptimality: 1e-8, or the best value of a",
        'peer that does not reach it. "at best" is the best suboptimality with many iterations.',
    ]
    for race_ in result["races"]:
        rows = [["C=" + race_["C"]]]
        rows[0] += ["seconds", "rounds", "ratio", "range", "(F - F\\*)/F\\*", "at best", "max_iter"]
        for name, row in race_["table"].items():
            peer = ["", f"{row.get('passes', 0):.3g} passes"]
            if name in race_["settings"]:
                found = race_["settings"][name]
                best = f"{found['best']:.0e}" if found["best"] > 1e-13 else "< 1e-13"
                peer = [best, str(found["max_iter"])]
            numbers = [f"{row['seconds']:.3g}", str(row["rounds"]), f"{row['ratio']:.2f}"]
            spread = f"{row['lowest']:.2f}-{row['highest']:.2f}"
            rows.append([name, *numbers, spread, f"{row['suboptimality']:.1e}", *peer])
        best = race_["reference"]
        parts += ["", *lines(rows), "", f"F* = {best['value']:.15g} ({best['status']}), with an"]
        error = f"{best['newton_decrement']:.0e}"
        parts += [f"estimated relative error of {error} (Newton's decrement)."]
        failed = {name: s["why"] for name, s in race_["settings"].items() if "why" in s}
        parts += ["", *(f"- {name}: {why}" for name, why in failed.items())] if failed else []
    rows = [["rows", "data, MB", "peak on the client, MB", "seconds"]]
    for row in result["memory"]:
        sizes = [f"{row['data_mb']:.0f}", f"{row['client_mb']:.1f}"]
        rows.append([f"{row['rows']:,}", *sizes, f"{row['seconds']:.3g}"])
    parts += ["", "Memory that polarstep allocates on the client:", "", *lines(rows), ""]
    return "\n".join(parts)
