"""Compare polarstep's linear models with scikit-learn's solvers and glum at the same accuracy.

    python benchmarks/linear [PART] [--only NAME ...] [--quick] [--rounds 5] [--data DIR] [--curves]

Parts: race (the default), settings (the preparation of the race on its own), publish (writes the
tables and the figure of docs/benchmarks from the results), first-fit, robustness (to wrong labels),
degenerate (random problems that are hard for a solver), and dask (a cluster, with dask-ml if it is
installed).

The race measures the time that a whole `fit`, validation included, needs to reach
(F - F*)/F* <= 1e-8, for C = 1 and C = 100. F is the objective of logistic regression for two
classes and for each class against the rest, or of softmax regression for the sets that are called
softmax-*. F* comes from an independent Newton method. The sets that are called cv-* measure a
cross-validation of five folds and ten values of C, refitting included, to scores that differ from
the exact ones by at most 1e-4 and 1e-6.

polarstep runs with tol=1e-8, and in cross-validations with the loosest tolerance that suffices.
Each peer runs with the loosest tolerance that reaches the same accuracy; a search before the race
determines it, in separate processes and in CPU time. The search ends a fit that takes twice as
long as the best peer's. Peers that take at most twice as long as the best one, and at least two,
race: every round fits every contestant once, in turn. A peer that takes more than 2 s, and 1.3
times as long as the best one, runs in one round only. The table shows medians over the rounds,
with the smallest and the largest ratio, and the time of one read of X and of one X^T X. All
contestants use one thread unless --threads says otherwise.

Results are written as they are found: benchmarks/results/linear.json and linear.md. A race that
was finished with the same code, versions and number of rounds is not repeated, so that an
interrupted run goes on where it stopped; --again repeats it. F* and the settings are stored there
as well, and in benchmarks/linear/known for the data of the published tables; they are reused as
long as the data stay the same, unless --search-again is given.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cross_validation
import degenerate
import first_fit
import on_dask
import peers
import progress
import publish
import race
import report
import robustness
import tqdm
from contest import Contest
from settings import settings
from storage import RESULTS, read, store, stored

import problems
from polarstep.experiments.records import environment

THREADED = ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR")
PENALTIES = (1.0, 100.0)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parts = ("race", "settings", "publish", "first-fit", "robustness", "degenerate", "dask")
    parser.add_argument("part", nargs="?", default="race", choices=parts)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="only data sets whose name contains NAME"
    )
    parser.add_argument("--C", type=float, nargs="+", default=PENALTIES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds of robustness")
    parser.add_argument("--problems", type=int, default=5_000, help="number of degenerate ones")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path, default=os.environ.get("POLARSTEP_DATA"))
    parser.add_argument("--quick", action="store_true", help="only a selection of the data sets")
    parser.add_argument("--small", action="store_true", help="cut data sets to 5,000 x 200")
    parser.add_argument("--all-peers", action="store_true", help="slow peers race as well")
    parser.add_argument(
        "--cpu-time", action="store_true", help="measure CPU seconds, on a machine that is busy"
    )
    parser.add_argument("--curves", action="store_true", help="also plot time against accuracy")
    parser.add_argument("--again", action="store_true", help="repeat races that were finished")
    parser.add_argument("--search-again", action="store_true", help="ignore stored settings")
    args = parser.parse_args()
    args.data = args.data and Path(args.data)
    return args


# ------------------------------------------------------------------- the contests


@dataclass(frozen=True)
class Entry:
    """A contest before its data are made."""

    name: str
    label: str
    source: problems.Source
    number: float  # C of a fit, or the accuracy of the scores of a cross-validation


def every_entry(args: argparse.Namespace) -> list[Entry]:
    fits = problems.sources(args.data, args.small)
    folds = cross_validation.sources(args.data, args.small)
    for name in ("a9a", "text"):
        if name not in fits:
            print(f"{name} is skipped: --data DIR must hold libsvm/a9a, text/tinyshakespeare.txt.")
    entries = [Entry(name, f"{name}, C={C:g}", s, C) for name, s in fits.items() for C in args.C]
    for name, source in folds.items():
        for target in cross_validation.targets(name):
            entries.append(Entry(name, f"{name}, scores to {target:g}", source, target))
    return entries


def chosen_entries(args: argparse.Namespace) -> list[Entry]:
    entries = every_entry(args)
    if args.only:
        names = {entry.name for entry in entries}
        exact = [word for word in args.only if word in names]
        parts = [word for word in args.only if word not in names]
        entries = [e for e in entries if e.name in exact or any(part in e.name for part in parts)]
    if args.quick:
        entries = [entry for entry in entries if entry.source.quick]
    return entries


def contests(entries: list[Entry]) -> Iterator[tuple[Entry, Contest, float]]:
    """Yield each contest with the CPU seconds that its data took; they are made once."""
    name = None
    for entry in entries:
        start = time.process_time()
        if entry.name != name:
            name, exact = entry.name, None
            X, y = entry.source.make()
        if entry.name.startswith("cv-"):
            seconds = time.process_time() - start
            contest = cross_validation.contest(name, X, y, entry.number)
        else:
            digest = problems.fingerprint(X, y)
            softmax = entry.source.softmax
            problem = problems.Problem(name, X, y, entry.number, digest, softmax)
            exact = exact or peers.judge(problem)
            seconds = time.process_time() - start
            contest = peers.contest(problem, exact)
        contest = replace(contest, facts={**contest.facts, "title": entry.source.title})
        yield entry, contest, seconds


def search_settings(args: argparse.Namespace) -> None:
    for entry, contest, seconds in contests(chosen_entries(args)):
        found = settings(contest, args.search_again)
        progress.remember(entry.label, {"preparation": seconds})
        for peer, setting in sorted(found.items(), key=lambda item: item[1].seconds):
            print(f"{entry.label}: {peer} {setting}", flush=True)


def run_races(args: argparse.Namespace) -> None:
    stem = "linear_small" if args.small else "linear"
    results = read(RESULTS / f"{stem}.json")
    stamp = progress.stamp(args.rounds, args.all_peers, args.threads, args.cpu_time)
    clock = time.process_time if args.cpu_time else time.perf_counter
    entries = chosen_entries(args)
    finished = [e.label for e in entries if results.get(e.label, {}).get("stamp") == stamp]
    if finished and not args.again:
        print(f"{len(finished)} races were finished before; --again repeats them.")
        entries = [entry for entry in entries if entry.label not in finished]
    labels = [entry.label for entry in entries]
    failed = []
    with progress.Bar(labels, args.rounds) as bar:
        for entry, contest, preparation in contests(entries):
            try:
                settings(contest, args.search_again)
                start = time.process_time()
                result = race.race(contest, args.rounds, args.all_peers, clock)
            except Exception:  # the other races go on
                traceback.print_exc()
                failed.append(entry.label)
                continue
            spent = time.process_time() - start
            progress.remember(entry.label, {"preparation": preparation, "race": spent})
            report.show(result, entry.label)
            if args.curves and contest.target == peers.TARGET:
                import curves

                result["curves"] = curves.curves(contest)
                file_name = f"{stem}_{entry.label}.png".replace(", C=", "_C").replace("%", "")
                curves.draw(result["curves"], entry.label, file_name)
            save(stem, entry.label, {**result, "stamp": stamp})
            bar.finish(entry.label)
    if failed:
        sys.exit(f"These races ended with an error: {'; '.join(failed)}.")


def save(stem: str, label: str, result: dict[str, Any]) -> None:
    """Store one result at once, so that an interruption loses only the race in progress."""
    before = stored(f"{stem}.json").get(label, {})
    if "curves" in before:
        result = {"curves": before["curves"], **result}
    store(f"{stem}.json", label, {**result, "environment": versions()})
    (RESULTS / f"{stem}.md").write_text(report.markdown(stored(f"{stem}.json"), versions()))


def versions() -> dict[str, Any]:
    extra = {"glum": version("glum")} if find_spec("glum") else {}
    return {**environment(), **extra, "processor": progress.processor()}


def set_threads(number: int) -> None:
    """Set the number of threads, and restart this process if it was another one.

    The libraries read the number only when they are loaded.
    """
    wanted = dict.fromkeys((f"{name}_NUM_THREADS" for name in THREADED), str(number))
    if not wanted.items() <= os.environ.items():
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **wanted})


def main() -> None:
    args = options()
    set_threads(args.threads)
    tqdm.tqdm.monitor_interval = 0  # forking a process with threads is unsafe
    RESULTS.mkdir(exist_ok=True)
    if not find_spec("glum"):
        print("glum is skipped because it is not installed: pip install glum.")
    if args.part == "first-fit":
        found = first_fit.measure(args.rounds)
        (RESULTS / "linear_first_fit.json").write_text(json.dumps(found, indent=1))
    elif args.part == "robustness":
        rows = robustness.measure(args.data, args.seeds)
        robustness.show(rows)
        (RESULTS / "linear_robustness.json").write_text(json.dumps(rows, indent=1))
        print(f"\nSaved: {robustness.draw(rows)}")
    elif args.part == "degenerate":
        rows = degenerate.measure(args.problems)
        degenerate.show(rows)
        (RESULTS / "linear_degenerate.json").write_text(json.dumps(rows, indent=1))
    elif args.part == "dask":
        stem = "linear_small_dask" if args.small else "linear_dask"
        for found in on_dask.measure(args.rounds, args.small):
            (RESULTS / f"{stem}.json").write_text(json.dumps(found, indent=1))
            (RESULTS / f"{stem}.md").write_text(on_dask.markdown(found, environment()))
        print(on_dask.markdown(found, environment()))
    elif args.part == "settings":
        search_settings(args)
    elif args.part == "publish":
        found = stored("linear.json")
        labels = [entry.label for entry in every_entry(args)]
        found = {k: found[k] for k in dict.fromkeys([*labels, *found]) if k in found}
        for path in publish.publish(found):
            print(f"Written: {path}")
    else:
        run_races(args)
        print(f"\nSaved in {RESULTS}. To write the pages' tables: python benchmarks/linear publish")


if __name__ == "__main__":
    main()
