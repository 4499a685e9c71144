"""The search for each peer's best settings: the fastest that reach the target of a contest."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import resource
import signal
import time
import warnings
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from contest import Contest, Make
from storage import store, stored
from tqdm import tqdm

LIBC = ctypes.CDLL(None)
FILE = "linear_settings.json"
TOLERANCES = [10.0**-k for k in range(1, 15)]
FINER = 10**0.5  # the last step between tolerances
# A fit may take twice as long as the best peer's, but between 0.3 and 300 s of CPU time.
LONGEST, SHORTEST, SLOWER = 300.0, 0.3, 2.0
LATE = 1.6  # a fit that missed the target ends the search if this times its seconds is the limit
FAST = 0.2  # seconds; shorter fits are repeated until this time has passed


@dataclass
class Setting:
    """The loosest tolerance with which a peer reaches the target, or why there is none."""

    tol: float | None
    seconds: float
    reached: float | None
    why: str = ""
    variant: int = 0
    megabytes: float = 0.0  # peak of the memory during the fit beyond what was there before


# ------------------------------------------------------------------- fits in another process


@dataclass
class Fit:
    """One fit of a search: CPU seconds, peak of the memory in megabytes, and the error."""

    tol: float
    seconds: float
    megabytes: float
    error: float


Tolerances = Generator[float, Fit, str | None]


def sweep(
    make: Make, contest: Contest, limit: float, tolerances: Tolerances
) -> tuple[list[Fit], str]:
    """Fit with each tolerance; return the fits, and why they ended early.

    They run in a separate process, which ends when one of them takes more than `limit` seconds of
    CPU time. CPU seconds do not depend on what else the machine is doing. `tolerances` may be a
    generator that receives each fit.
    """
    context = multiprocessing.get_context("fork")  # shares the data without a copy
    receiver, sender = context.Pipe(duplex=False)
    arguments = (make, contest, limit, tolerances, sender)
    process = context.Process(target=sweep_and_send, args=arguments)
    process.start()
    sender.close()
    fits: list[Fit] = []
    try:
        while True:
            message = receiver.recv()
            if isinstance(message, str):
                return fits, message
            fits.append(message)
    except EOFError:
        process.join()
        late = process.exitcode == -signal.SIGPROF
        return fits, f"takes more than {limit:.3g} s" if late else "ended without a result"
    finally:
        process.kill()
        process.join()


def sweep_and_send(
    make: Make, contest: Contest, limit: float, tolerances: Tolerances, sender: Any
) -> None:
    warnings.simplefilter("ignore")
    try:
        tol = next(tolerances)
        while True:
            fit = measured(make, contest, tol, limit)
            if np.isnan(fit.error):
                sender.send("gives numbers that are not finite")
                return
            if fit.error <= contest.target and fit.seconds < FAST:
                fit.seconds = repeated(make, contest, tol)
            sender.send(fit)
            tol = tolerances.send(fit)
    except StopIteration as end:
        sender.send(end.value or "")
    except (ValueError, ArithmeticError, np.linalg.LinAlgError, MemoryError) as error:
        sender.send(f"{type(error).__name__}: {str(error).splitlines()[0][:60]}")


def measured(make: Make, contest: Contest, tol: float, limit: float) -> Fit:
    estimator = make(tol)
    gc.collect()
    before = reset_peak()
    signal.setitimer(signal.ITIMER_PROF, limit)  # ends this process
    start = time.process_time()
    contest.fit(estimator)
    seconds = time.process_time() - start
    signal.setitimer(signal.ITIMER_PROF, 0.0)
    megabytes = peak_memory() - before
    return Fit(tol, seconds, megabytes, contest.error(*contest.outcome(estimator)))


def repeated(make: Make, contest: Contest, tol: float) -> float:
    """Return the mean seconds of short fits, because the CPU clock may be coarse."""
    start, count = time.process_time(), 0
    while time.process_time() - start < FAST:
        contest.fit(make(tol))
        count += 1
    return (time.process_time() - start) / count


def reset_peak() -> float:
    """Forget the peak of this process's memory so far, where Linux can; return the present one.

    Memory that earlier fits freed goes back to the system before, so that it is counted again.
    """
    if hasattr(LIBC, "malloc_trim"):
        LIBC.malloc_trim(0)
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")
    return peak_memory()


def peak_memory() -> float:
    """Return the largest resident memory of this process in megabytes."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return float(lines["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes, as on macOS


# ------------------------------------------------------------------- the search


def settings(contest: Contest, again: bool = False) -> dict[str, Setting]:
    """Return the setting of each peer, from the store if it is known."""
    key = f"{contest.key}, scikit-learn {sklearn.__version__}"
    known = {} if again else stored(FILE).get(key, {})
    mine = {name: Setting(**found) for name, found in known.items()}
    best = min((s.seconds for s in mine.values() if s.tol is not None), default=np.inf)
    bar = tqdm(contest.peers.items(), desc=f"{contest.label}, settings", leave=False)
    for name, variants in bar:
        if name in mine:
            continue
        mine[name] = fastest(variants, contest, limit_after(best))
        if mine[name].tol is not None:
            best = min(best, mine[name].seconds)
        store(FILE, key, {name: vars(setting) for name, setting in mine.items()})
    return {name: mine[name] for name in contest.peers}


def limit_after(best: float) -> float:
    return float(np.clip(SLOWER * best, SHORTEST, LONGEST))


def fastest(variants: list[Make], contest: Contest, limit: float) -> Setting:
    """Return the fastest variant that reaches the target or, if none does, the closest one."""
    found = []
    for variant, make in enumerate(variants):
        found.append(loosest(make, contest, limit))
        found[-1].variant = variant
        if found[-1].tol is not None:  # slower variants may be stopped
            limit = min(limit, max(found[-1].seconds, FAST))
    good = [setting for setting in found if setting.tol is not None]
    if good:
        return min(good, key=lambda s: s.seconds)
    return min(found, key=lambda s: np.inf if s.reached is None else s.reached)


def loosest(make: Make, contest: Contest, limit: float) -> Setting:
    """Return the fastest setting among the loosest tolerances that suffice."""
    fits, why = sweep(make, contest, limit, loosening(contest.target, limit))
    good = [fit for fit in fits if fit.error <= contest.target]
    if good:
        best = min(good, key=lambda fit: fit.seconds)
        return Setting(best.tol, best.seconds, best.error, megabytes=best.megabytes)
    closest = min((fit.error for fit in fits), default=None)
    slowest = max((fit.seconds for fit in fits), default=0.0)
    return Setting(None, slowest, closest, why or "no tolerance reaches it")


def loosening(target: float, limit: float) -> Tolerances:
    """Propose tighter tolerances until one suffices, then looser ones above it.

    A peer that has taken longer than the best one without reaching the target is not tried further.
    """
    errors: list[float] = []
    for tol in TOLERANCES[1::2]:
        fit = yield tol
        if fit.error <= target:
            break
        if LATE * fit.seconds > limit:
            return "takes longer than the best peer before it reaches it"
        errors.append(fit.error)
        if len(errors) > 3 and min(errors[-3:]) >= 0.999 * min(errors[:-3]):
            return "no tolerance reaches it"  # the result does not change any more
    else:
        return ""
    for factor in (10.0, FINER):
        fit = yield tol * factor
        if fit.error <= target:
            tol *= factor
    return ""
