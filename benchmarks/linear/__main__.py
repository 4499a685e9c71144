"""Compare HalfspaceClassifier with scikit-learn's solvers and glum at the same accuracy.

    python benchmarks/linear [PART] [--only NAME ...] [--rounds 5] [--data DIR] [--quick] [--curves]

Parts: race (the default), references and settings (the two preparations of the race, each on its
own), first-fit, robustness, and dask (a cluster, with dask-ml if it is installed).

The race measures the time that a whole `fit`, validation included, needs to reach
(F - F*)/F* <= 1e-8 for F = C sum phi(-y (x w + b)) + ||w||^2 / 2, on each data set with C = 1 and
C = 100. polarstep runs with tol=1e-8. Each peer runs with the loosest power of ten as its tolerance
that reaches the same accuracy; a search before the race determines it. A peer is excluded if one
of its fits takes more than 20 times as long as the best peer's (at least 2 s are allowed, and at
most 60 s). Every round fits every contestant once, in turn. The table shows medians over the
rounds, with the smallest and the largest ratio. A peer that takes more than 5 times as long as the
best one, and more than 2 s, runs in one round only. For scale, the table also shows the time of
one read of X and of one X^T X. All contestants use one thread unless --threads says otherwise.

--curves also plots time against accuracy for each solver over its tolerances. The results are
written to benchmarks/results: linear.json, in which a run with --only replaces its own entries,
linear.md, and linear_NAME.png. F* and the settings are stored there as well and reused as long as
the data stay the same; --search-again repeats the search for the settings.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import first_fit
import on_dask
import race
import report
import robustness
import tqdm
from reference import RESULTS, Exact, optima, store, stored

import problems
from polarstep.experiments.records import environment

THREADED = ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR")
PENALTIES = (1.0, 100.0)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parts = ("race", "references", "settings", "first-fit", "robustness", "dask")
    parser.add_argument("part", nargs="?", default="race", choices=parts)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="only data sets whose name contains NAME"
    )
    parser.add_argument("--C", type=float, nargs="+", default=PENALTIES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds of robustness")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path, default=os.environ.get("POLARSTEP_DATA"))
    parser.add_argument("--quick", action="store_true", help="use small data, at most 5,000 x 200")
    parser.add_argument("--curves", action="store_true", help="also plot time against accuracy")
    parser.add_argument("--search-again", action="store_true", help="ignore stored settings")
    args = parser.parse_args()
    args.data = args.data and Path(args.data)
    return args


def chosen_sources(args: argparse.Namespace) -> dict[str, Any]:
    found = problems.sources(args.data, args.quick)
    if "a9a" not in found:
        print("a9a is skipped: pass --data DIR, where DIR contains libsvm/a9a.")
    if args.only:
        exact = [name for name in args.only if name in found]
        found = {
            name: make
            for name, make in found.items()
            if name in exact or any(word in name for word in args.only if word not in exact)
        }
    return found


def run_data(args: argparse.Namespace) -> None:
    stem = "linear_quick" if args.quick else "linear"
    for name, make in chosen_sources(args).items():
        X, y = make()
        exact, digest = Exact(X), problems.fingerprint(X, y)
        for C in args.C:
            problem = problems.Problem(name, X, y, C, digest)
            if args.part == "references":
                for best in optima(problem, exact):
                    print(problem.key, best)
                continue
            if args.part == "settings":
                for peer, setting in race.settings(problem, exact, args.search_again).items():
                    print(f"{problem.key}: {peer} {setting}")
                continue
            label = f"{name}, C={C:g}"
            result = race.race(problem, exact, args.rounds, args.search_again)
            report.show(result, name)
            if args.curves:
                import curves

                result["curves"] = curves.sweep(problem, exact)
                curves.draw(result["curves"], label, f"{stem}_{name}_C{C:g}.png".replace("%", ""))
            save(stem, label, result)


def save(stem: str, label: str, result: dict[str, Any]) -> None:
    """Store one result at once, so that an interruption loses only the result in progress."""
    path = RESULTS / f"{stem}.json"
    before = stored(path).get(label, {})
    if "curves" in before:
        result = {"curves": before["curves"], **result}
    store(path, label, {**result, "environment": versions()})
    (RESULTS / f"{stem}.md").write_text(report.markdown(stored(path), versions()))


def versions() -> dict[str, Any]:
    extra = {"glum": version("glum")} if find_spec("glum") else {}
    return {**environment(), **extra}


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
    elif args.part == "dask":
        stem = "linear_quick_dask" if args.quick else "linear_dask"
        for found in on_dask.measure(args.rounds, args.quick):
            (RESULTS / f"{stem}.json").write_text(json.dumps(found, indent=1))
            (RESULTS / f"{stem}.md").write_text(on_dask.markdown(found, environment()))
        print(on_dask.markdown(found, environment()))
    else:
        run_data(args)
        print(f"\nSaved in {RESULTS}")


if __name__ == "__main__":
    main()
