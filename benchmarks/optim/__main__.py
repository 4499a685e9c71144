"""Compare LengthDirection with AdamW, SGD and Muon: validation loss over learning rates.

    python benchmarks/optim [TASK ...] [--only NAME ...] [--data DIR] [--times | --report]

Tasks: gpt (a character GPT on tiny Shakespeare: 3 layers, width 96, context 64), and on CIFAR-10
mlp (6 x 50), wide (3 x 256) and conv, each of them also with batch normalization (mlp-bn, ...) for
the optimizers that usually train such networks.

Every optimizer runs at every rate of its own grid (six rates, a factor of 2 apart) and with every
seed, which determines the initial weights and the batches. All runs share one schedule: a linear
warm-up over 5% of the steps, then a linear decay to zero. Each finished run is appended as a line
to benchmarks/results/optim.jsonl, and runs found there are not repeated. The report, optim.md and
optim_TASK.png, is written from this file at the end; --report only writes the report. --times
measures instead the time of a step of each optimizer, relative to AdamW's, over seven rounds of
ten steps in turn. The benchmark uses one process and one thread, and seconds are CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import report
import runs
import torch
from optimizers import OPTIMIZERS, contestants
from tasks import STEPS, task
from tqdm import tqdm

from polarstep.experiments.records import environment

RESULTS = Path(__file__).parents[1] / "results"
ROWS, TIMES = RESULTS / "optim.jsonl", RESULTS / "optim_times.json"
ROUNDS = 7
ABOUT = (
    "Validation loss in nats at the best rate of each optimizer, averaged over seeds; spread is "
    "their range. Plateau: decades of rates whose mean loss is within "
    f"{report.NEAR} of the best."
)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("tasks", nargs="*", default=list(STEPS), metavar="TASK")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="run only these optimizers")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="+", help="run only these rates of the grids")
    parser.add_argument("--data", type=Path, default=os.environ.get("POLARSTEP_DATA"))
    parser.add_argument("--times", action="store_true", help="measure seconds per step instead")
    parser.add_argument(
        "--report", action="store_true", help="only write the report from stored runs"
    )
    args = parser.parse_args()
    if args.data is None and not args.report:
        parser.error("--data must be a folder that contains text/tinyshakespeare.txt and cifar10")
    for name in args.tasks:
        if name not in STEPS:
            parser.error(f"TASK must be one of {', '.join(STEPS)}; got {name}")
    for name in args.only or ():
        if name not in OPTIMIZERS:
            parser.error(f"--only must name some of {', '.join(OPTIMIZERS)}; got {name}")
    return args


def sweep(args: argparse.Namespace) -> None:
    done = runs.stored(ROWS)
    todo = []
    for name in args.tasks:
        for optimizer, (_, rates) in contestants(name).items():
            if not args.only or optimizer in args.only:
                chosen = [lr for lr in rates if not args.rates or any(np.isclose(lr, args.rates))]
                todo += [(name, optimizer, lr, s) for s in range(args.seeds) for lr in chosen]
    todo = [one for one in todo if runs.key(*one) not in done]
    loaded = {name: task(name, args.data) for name in dict.fromkeys(name for name, *_ in todo)}
    bar = tqdm(todo)
    for name, optimizer, lr, seed in bar:
        bar.set_description(f"{name} {optimizer} {lr:g}")
        make, _ = OPTIMIZERS[optimizer]
        found = runs.train(loaded[name], make, lr, seed)
        row = {"key": runs.key(name, optimizer, lr, seed), "task": name, "optimizer": optimizer}
        runs.store(ROWS, {**row, "lr": lr, "seed": seed, **found})


def measure(args: argparse.Namespace) -> None:
    found = json.loads(TIMES.read_text()) if TIMES.exists() else {}
    for plain in tqdm([name for name in args.tasks if "-" not in name]):
        works = {}
        for name in (plain, f"{plain}-bn"):
            if name in STEPS:
                loaded = task(name, args.data)
                for optimizer, (make, rates) in contestants(name).items():
                    if not args.only or optimizer in (*args.only, "AdamW"):
                        label = report.label(name, optimizer)
                        works[label] = loaded, make, rates[len(rates) // 2]
        found[plain] = found.get(plain, {}) | report.ratios(
            runs.step_seconds(works, ROUNDS), "AdamW"
        )
        TIMES.write_text(json.dumps(found, indent=1))


def main() -> None:
    torch.set_num_threads(1)
    args = options()
    RESULTS.mkdir(exist_ok=True)
    if args.times:
        measure(args)
    elif not args.report:
        sweep(args)
    rows = list(runs.stored(ROWS).values())
    times = json.loads(TIMES.read_text()) if TIMES.exists() else {}
    machine = ", ".join(f"{name} {value}" for name, value in environment().items())
    text = report.markdown(rows, times, f"{ABOUT} {machine}; one thread.")
    (RESULTS / "optim.md").write_text(text)
    report.draw(rows, times, RESULTS, "optim")
    print(text)


if __name__ == "__main__":
    main()
