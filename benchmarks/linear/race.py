"""The rounds of a contest: every contestant in turn, in one process, and the table of times."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import peers
from contest import OURS, Contest
from scipy import sparse
from settings import Setting, loosest, settings
from tqdm import tqdm

CLOSE = 2.0  # peers slower than the best one by this factor in the search do not race
ONCE = 1.3  # peers slower than the best one by this factor run in one round if they take long
LONG = 2.0  # seconds
BUDGET = 50.0  # seconds; a contest whose best peer takes longer has fewer rounds
TIGHT = 1e-10  # polarstep's tolerance where none was found; the table says that it fails
SAMPLE = 0.02  # seconds; the rounds repeat faster fits until this time has passed
Clock = Callable[[], float]
READ, GRAM = "one read of X", "one Gram matrix"


def timed(work: Callable[[], Any], clock: Clock, repeats: int = 1) -> tuple[float, Any]:
    start = clock()
    for _ in range(repeats):
        outcome = work()
    return (clock() - start) / repeats, outcome


def reference_operations(X: Any) -> dict[str, Callable[[], Any]]:
    """Return two operations whose time puts that of the solvers into perspective."""
    if not sparse.issparse(X):
        return {READ: X.sum, GRAM: lambda: X.T @ X}
    read = {READ: lambda: X.data.sum() + X.indices.sum()}
    return {**read, GRAM: lambda: X.T @ X} if X.shape[1] <= 2_000 else read


def close_peers(chosen: dict[str, Setting], everyone: bool = False) -> dict[str, Setting]:
    """Return the peers that race: those near the best one, and at least two."""
    reached = {name: s for name, s in chosen.items() if s.tol is not None}
    ranked = sorted(reached, key=lambda name: reached[name].seconds)
    if everyone or not ranked:
        return reached
    limit = max(CLOSE * reached[ranked[0]].seconds, SAMPLE)
    near = {name for name in ranked if reached[name].seconds <= limit} | set(ranked[:2])
    return {name: s for name, s in reached.items() if name in near}


def only_once(racing: dict[str, Setting]) -> set[str]:
    """Return the peers that take long, are not the best one, and so run in one round only."""
    best = min((s.seconds for s in racing.values()), default=0.0)
    return {name for name, s in racing.items() if s.seconds > max(ONCE * best, LONG)}


def fewer_rounds(racing: dict[str, Setting], rounds: int) -> int:
    """Return the number of rounds, which is smaller where even the best peer takes minutes."""
    best = min((s.seconds for s in racing.values()), default=0.0)
    return rounds if best * rounds <= BUDGET else max(1, int(BUDGET / best))


def planned_seconds(chosen: dict[str, Setting], rounds: int) -> float:
    """Return what the rounds will take if polarstep is as fast as the best peer."""
    racing = close_peers(chosen)
    rounds, once = fewer_rounds(racing, rounds), only_once(racing)
    total, best = 0.0, min((max(s.seconds, SAMPLE) for s in racing.values()), default=0.0)
    for name, setting in racing.items():
        fits = 1 if name in once else rounds + (setting.seconds <= LONG)
        total += fits * max(setting.seconds, SAMPLE)
    return total + best * (rounds + 1)


def race(
    contest: Contest, rounds: int, everyone: bool = False, clock: Clock = time.perf_counter
) -> dict[str, Any]:
    chosen = settings(contest)
    racing = close_peers(chosen, everyone)
    estimators: dict[str, Callable[[], Any]] = {}
    found: dict[str, Setting] = dict(racing)
    for name, (make, tol) in contest.ours.items():
        found[name] = Setting(tol, 0.0, None) if tol else loosest(make, contest, 300.0)
        estimators[name] = partial(make, found[name].tol or TIGHT)
    for name, setting in racing.items():
        estimators[name] = partial(contest.peers[name][setting.variant], setting.tol)
    work = {name: partial(make_and_fit, contest, make) for name, make in estimators.items()}
    solvers = list(work)
    work.update(reference_operations(contest.X))
    rounds = fewer_rounds(racing, rounds)
    cold = {name for name, s in racing.items() if s.seconds > LONG}  # need no warm-up round
    once = only_once(racing)
    times, fitted = measure(work, rounds, contest.label, once, cold, clock)
    best = min(racing, key=partial(median_time, times), default=None)
    table = {name: summary(values, times[OURS]) for name, values in times.items()}
    for name in solvers:
        error = contest.error(*contest.outcome(fitted[name]))
        table[name] |= {"tol": found[name].tol, "suboptimality": error}
        table[name] |= {"megabytes": found[name].megabytes}
    failed = {name: s for name, s in chosen.items() if s.tol is None}
    slower = {name for name in chosen if name not in racing and name not in failed}
    return {
        **contest.facts,
        "target": contest.target,
        "rounds": rounds,
        "best_peer": best,
        "table": table,
        "slower": {name: chosen[name].seconds for name in slower},
        "did_not": {name: vars(s) for name, s in failed.items()},
        "passes": peers.passes(fitted[OURS]),
    }


def make_and_fit(contest: Contest, make: Callable[[], Any]) -> Any:
    return contest.fit(make())


def median_time(times: dict[str, np.ndarray], name: str) -> float:
    return float(np.median(times[name]))


def measure(
    work: dict[str, Callable[[], Any]],
    rounds: int,
    label: str,
    once: set[str],
    cold: set[str],
    clock: Clock,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the seconds of each round, after one that warms up and sets the repetitions.

    Those in `once` run in the last round alone, and those in `cold` are not warmed up.
    """
    sample = SAMPLE if clock is time.perf_counter else 10 * SAMPLE  # the CPU clock may be coarse
    times: dict[str, list[float]] = {name: [] for name in work}
    repeats = dict.fromkeys(work, 1)
    fitted: dict[str, Any] = {}
    total = (rounds + 1) * (len(work) - len(once)) + len(once) - len(cold - once)
    bar = tqdm(total=total, desc=label, leave=False, position=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for round_ in range(rounds + 1):
            for name, task in work.items():
                if (name in once and round_ != rounds) or (name in cold and round_ == 0):
                    continue
                gc.collect()
                seconds, fitted[name] = timed(task, clock, repeats[name])
                if round_:
                    times[name].append(seconds)
                else:
                    # The first call may load kernels, so that a second one is timed.
                    seconds = timed(task, clock)[0] if seconds < 50 * SAMPLE else seconds
                    repeats[name] = int(np.ceil(sample / max(seconds, 1e-6)))
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
