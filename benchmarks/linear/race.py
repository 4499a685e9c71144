"""Time to reach a relative suboptimality of 1e-8: each peer's settings, then the rounds."""

from __future__ import annotations

import gc
import multiprocessing
import signal
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import peers
import sklearn
from reference import RESULTS, Exact, optima, store, stored, suboptimality
from scipy import sparse
from tqdm import tqdm

from problems import Problem

TARGET = 1e-8
SETTINGS = RESULTS / "linear_settings.json"
TOLERANCES = [10.0**-k for k in range(1, 15)]
# A fit may take 20 times as long as the best peer's, but between 2 and 60 s of CPU time.
LONGEST, SHORTEST, SLOWER = 60.0, 2.0, 20.0
ONCE = 5.0  # peers slower than the best one by this factor run in one round only
FAST = 0.5  # seconds; settings and curves take the fastest of six fits below this time
SAMPLE = 0.02  # seconds; the rounds repeat faster fits until this time has passed
READ, GRAM = "one read of X", "one Gram matrix"


@dataclass
class Setting:
    """The loosest tolerance with which a peer reaches TARGET, or why there is none."""

    tol: float | None
    seconds: float
    reached: float | None
    why: str = ""
    variant: int = 0


# ------------------------------------------------------------------- single fits


def fit(estimator: Any, problem: Problem) -> Any:
    return estimator.fit(problem.X, problem.y)


def timed(work: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    start = time.perf_counter()
    for _ in range(repeats):
        outcome = work()
    return (time.perf_counter() - start) / repeats, outcome


def attempt(estimator: Any, problem: Problem, limit: float) -> tuple[float, Any] | str:
    """Fit in a separate process; return CPU seconds and the solution, or why the fit failed.

    CPU seconds do not depend on what else the machine is doing.
    """
    context = multiprocessing.get_context("fork")  # shares the data without a copy
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=fit_and_send, args=(estimator, problem, limit, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        process.join()
        late = process.exitcode == -signal.SIGPROF
        return f"takes more than {limit:.3g} s" if late else "ended without a result"
    finally:
        process.kill()
        process.join()


def fit_and_send(estimator: Any, problem: Problem, limit: float, sender: Any) -> None:
    warnings.simplefilter("ignore")
    try:
        seconds = np.inf
        for _ in range(6):  # the first fit also imports modules
            signal.setitimer(signal.ITIMER_PROF, limit)  # ends this process
            start = time.process_time()
            wall = timed(lambda: fit(estimator, problem))[0]
            spent = time.process_time() - start
            seconds = min(seconds, spent if spent > FAST else wall)  # the CPU clock may be coarse
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            if seconds > FAST:
                break
        weights, intercepts = peers.solution(estimator)
        finite = np.isfinite(weights).all() and np.isfinite(intercepts).all()
        sender.send((seconds, (weights, intercepts)) if finite else "gives no finite weights")
    except (ValueError, ArithmeticError, np.linalg.LinAlgError, MemoryError) as error:
        sender.send(f"{type(error).__name__}: {str(error).splitlines()[0][:60]}")


# ------------------------------------------------------------------- settings


def settings(problem: Problem, exact: Exact, again: bool) -> dict[str, Setting]:
    """Return the setting of each peer, from benchmarks/results/linear_settings.json if stored."""
    key = f"{problem.key}, scikit-learn {sklearn.__version__}"
    known = {} if again else stored(SETTINGS).get(key, {})
    mine = {name: Setting(**found) for name, found in known.items()}
    best = min((s.seconds for s in mine.values() if s.tol is not None), default=np.inf)
    contestants = peers.peers(problem)
    for name, variants in tqdm(contestants.items(), desc=f"{problem.name}, settings", leave=False):
        if name in mine:
            continue
        mine[name] = fastest(variants, problem, exact, limit_after(best))
        if mine[name].tol is not None:
            best = min(best, mine[name].seconds)
        store(SETTINGS, key, {name: vars(setting) for name, setting in mine.items()})
    return {name: mine[name] for name in contestants}


def limit_after(best: float) -> float:
    return float(np.clip(SLOWER * best, SHORTEST, LONGEST))


def fastest(variants: list[peers.Make], problem: Problem, exact: Exact, limit: float) -> Setting:
    """Return the fastest variant that reaches TARGET or, if none does, the closest one."""
    found = []
    for variant, make in enumerate(variants):
        found.append(loosest(make, problem, exact, limit))
        found[-1].variant = variant
        if found[-1].tol is not None:  # slower variants may be stopped
            limit = min(limit, max(found[-1].seconds, FAST))
    good = [setting for setting in found if setting.tol is not None]
    if good:
        return min(good, key=lambda s: s.seconds)
    return min(found, key=lambda s: np.inf if s.reached is None else s.reached)


def loosest(make: peers.Make, problem: Problem, exact: Exact, limit: float) -> Setting:
    closest, slowest = None, 0.0
    for tol in TOLERANCES:
        outcome = attempt(make(tol), problem, limit)
        if isinstance(outcome, str):
            return Setting(None, slowest, closest, outcome)
        slowest = max(slowest, outcome[0])
        reached = suboptimality(problem, exact, *outcome[1])
        if reached <= TARGET:
            return Setting(tol, outcome[0], reached)
        closest = reached if closest is None else min(closest, reached)
    return Setting(None, slowest, closest, "no tolerance reaches it")


# ------------------------------------------------------------------- rounds


def reference_operations(X: Any) -> dict[str, Callable[[], Any]]:
    """Return two operations whose time puts that of the solvers into perspective."""
    if not sparse.issparse(X):
        return {READ: X.sum, GRAM: lambda: X.T @ X}
    read = {READ: lambda: X.data.sum() + X.indices.sum()}
    return {**read, GRAM: lambda: X.T @ X} if X.shape[1] <= 2_000 else read


def race(problem: Problem, exact: Exact, rounds: int, again: bool) -> dict[str, Any]:
    chosen = settings(problem, exact, again)
    variants = peers.peers(problem)
    makers = {name: variants[name][s.variant] for name, s in chosen.items()}
    tolerances = {name: s.tol for name, s in chosen.items() if s.tol is not None}
    work: dict[str, Callable[[], Any]] = {}
    if peers.has_ours():
        tolerances[peers.OURS] = TARGET
        work[peers.OURS] = lambda: fit(peers.ours(problem, TARGET), problem)
    for name in chosen:
        if name in tolerances:
            work[name] = lambda name=name: fit(makers[name](tolerances[name]), problem)
    solvers = list(work)
    work.update(reference_operations(problem.X))
    slow = too_slow(chosen)
    times, fitted = measure(work, rounds, f"{problem.name}, C={problem.C:g}", slow)
    best = min(
        (s for s in solvers if s != peers.OURS), key=partial(median_time, times), default=None
    )
    first = times[peers.OURS if peers.has_ours() else best or READ]
    table = {name: summary(values, first) for name, values in times.items()}
    for name in solvers:
        reached = suboptimality(problem, exact, *peers.solution(fitted[name]))
        table[name] |= {"tol": tolerances[name], "suboptimality": reached}
    result = {
        "n": problem.X.shape[0],
        "d": problem.X.shape[1],
        "fits": len(problem.signs),
        "C": problem.C,
        "best_peer": best,
        "table": table,
        "did_not": {name: vars(s) for name, s in chosen.items() if s.tol is None},
        "reference": optima(problem, exact),
    }
    if peers.has_ours():
        result["passes"] = peers.passes(fitted[peers.OURS])
    return result


def too_slow(chosen: dict[str, Setting]) -> set[str]:
    """Return the peers that take far longer than the best one and run in one round only."""
    reached = {name: s.seconds for name, s in chosen.items() if s.tol is not None}
    best = min(reached.values(), default=0.0)
    return {name for name, t in reached.items() if t > max(ONCE * best, SHORTEST)}


def median_time(times: dict[str, np.ndarray], name: str) -> float:
    return float(np.median(times[name]))


def measure(
    work: dict[str, Callable[[], Any]], rounds: int, label: str, once: set[str]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the seconds of each round, after one that warms up and sets the repetitions."""
    times: dict[str, list[float]] = {name: [] for name in work}
    repeats = dict.fromkeys(work, 1)
    fitted: dict[str, Any] = {}
    bar = tqdm(total=(rounds + 1) * (len(work) - len(once)) + len(once), desc=label, leave=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for round_ in range(rounds + 1):
            for name, task in work.items():
                if name in once and round_ != rounds:
                    continue
                gc.collect()
                seconds, fitted[name] = timed(task, repeats[name])
                if round_:
                    times[name].append(seconds)
                else:
                    # The first call may load kernels, so that a second one is timed.
                    seconds = timed(task)[0] if seconds < 50 * SAMPLE else seconds
                    repeats[name] = int(np.ceil(SAMPLE / seconds))
                bar.update()
    bar.close()
    return {name: np.array(values) for name, values in times.items()}, fitted


def summary(times: np.ndarray, reference: np.ndarray) -> dict[str, Any]:
    ratios = times / reference[-len(times) :]  # slow peers run in the last round only
    return {
        "seconds": float(np.median(times)),
        "ratio": float(np.median(ratios)),
        "lowest": float(ratios.min()),
        "highest": float(ratios.max()),
        "all_seconds": times.tolist(),
    }
