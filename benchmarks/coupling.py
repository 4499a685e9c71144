"""Compare the time of polarstep.curvature.coupling with other ways to compute the same norms.

    python benchmarks/coupling.py [--data DIR] [--rounds 5] [--only PART] [--skip-peers]

Parts: row (the row W_4 of a 6 x 50 network on 1,000 images, compared with a loop of autograd
calls, curvlinops and PyHessian), variants, batchnorm, growth (in the number of images) and conv (a
network of 9 million parameters). Every round times every contestant once, in turn; the first
round only warms up. The tables show the median time over the rounds, and the median, smallest and
largest ratio to the first line. Slow peers run only some of the row's Hessian products, and their
time is extrapolated to all of them, as the last column states. The results are written to
benchmarks/results/coupling.json, or to coupling_PART.json with --only.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import coupling_peers as peers
import numpy as np
import torch
from coupling_tasks import Task, conv_task, has_cifar10, task
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from polarstep.curvature import coupling
from polarstep.experiments.records import environment

SKETCH = {"method": "sketch", "rtol": 0.01}
GROWTH = (0.25, 1.0, 4.0, 10.0)  # factors of --images
AGREEMENT = 1e-3  # largest relative difference between exact methods in float32


@dataclass
class Outcome:
    """Time, results and further facts of one call.

    `found` holds the norms of the blocks, or the squares of each product, shape (products, blocks).
    """

    seconds: float
    found: np.ndarray
    details: dict[str, Any] = field(default_factory=dict)


Contestant = Callable[[], Outcome]


# ------------------------------------------------------------------- contestants


def ours(task: Task, threads: int | None = None, **keywords: Any) -> Outcome:
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    start = time.perf_counter()
    c = coupling(task.model, cross_entropy, (task.X, task.y), **{"row": task.row, **keywords})
    seconds = time.perf_counter() - start
    torch.set_num_threads(before)
    return Outcome(seconds, c.raw[0], {"how": c.how, "hessian_products": c.n_products})


def theirs(peer: peers.Peer, task: Task, count: int, chunk: int = 1) -> Outcome:
    found = peer(task, task.some(count), chunk)
    details = {"hessian_products": task.size, "products_at_once": chunk}
    if count < task.size:
        details["extrapolated_from"] = count
    return Outcome(found.row_seconds(task.size), found.squares.double().numpy(), details)


def forward_backward(task: Task) -> Outcome:
    start = time.perf_counter()
    loss = cross_entropy(task.model(task.X), task.y)
    torch.autograd.grad(loss, list(task.model.parameters()))
    return Outcome(time.perf_counter() - start, np.array([]))


# ------------------------------------------------------------------- measuring


def measure(contestants: dict[str, Contestant], rounds: int, label: str) -> dict[str, Any]:
    outcomes: dict[str, list[Outcome]] = {name: [] for name in contestants}
    bar = tqdm(total=(rounds + 1) * len(contestants), desc=label)
    for round_ in range(rounds + 1):  # the first round only warms up
        for name, work in contestants.items():
            gc.collect()
            outcome = work()
            bar.update()
            if round_:
                outcomes[name].append(outcome)
    bar.close()
    times = {name: np.array([o.seconds for o in found]) for name, found in outcomes.items()}
    first = next(iter(times.values()))
    table = {name: {**summary(t, first), **outcomes[name][-1].details} for name, t in times.items()}
    show(label, table)
    return {"table": table, "found": {name: found[-1].found for name, found in outcomes.items()}}


def summary(times: np.ndarray, reference: np.ndarray) -> dict[str, Any]:
    ratios = times / reference
    return {
        "seconds": float(np.median(times)),
        "ratio": float(np.median(ratios)),
        "lowest": float(ratios.min()),
        "highest": float(ratios.max()),
        "all_seconds": times.tolist(),
    }


def show(label: str, table: dict[str, dict[str, Any]]) -> None:
    print(f"\n{label}")
    print(f"{'':34}{'seconds':>9}{'ratio':>9}{'range':>16}{'products':>10}  extrapolated from")
    for name, row in table.items():
        spread = f"{row['lowest']:.2f}-{row['highest']:.2f}"
        products = row.get("hessian_products") or ""
        few = row.get("extrapolated_from")
        scaled = f"{few} of {products:,} products" if few else ""
        line = f"{name:34}{row['seconds']:9.3f}{row['ratio']:9.2f}{spread:>16}{products:>10}"
        print(f"{line}  {scaled}".rstrip())


def compare(what: str, found: np.ndarray, truth: np.ndarray, limit: float) -> float:
    """Print and return the largest difference, relative to the largest value of each block."""
    scale = np.atleast_2d(np.abs(truth)).max(axis=0)
    worst = float((np.abs(found - truth) / scale).max())
    print(f"{what}: differ by at most {worst:.1e}" + ("" if worst < limit else "  *** TOO LARGE"))
    return worst


def peak_memory(options: argparse.Namespace, case: str, n: int) -> float:
    """Return the MiB that a call adds to the peak memory of a separate process."""
    command = [sys.executable, __file__, "--memory-of", case, "--images", str(n)]
    command += ["--threads", str(options.threads)]
    command += ["--data", str(options.data)] if options.data else []
    # glibc then returns freed blocks above this size to the system.
    alone = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**16)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=alone)
    return float(done.stdout.split()[-1])


def print_peak_memory(options: argparse.Namespace) -> None:
    cases = {"exact": {}, "sketch": SKETCH, "conv": {"method": "sketch", "rtol": 0.05}}
    subject = conv_task(options) if options.memory_of == "conv" else task(options)
    ours(task(options, 20))  # imports and initializes before the measurement
    before = peak(reset=True)
    ours(subject, **cases[options.memory_of])
    print(peak() - before)


def peak(reset: bool = False) -> float:
    """Return the peak memory of this process in MiB, on Linux since the last reset.

    On Linux, ru_maxrss would include the peak of the parent process.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return size / (2**20 if sys.platform == "darwin" else 2**10)
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**10


# ------------------------------------------------------------------- parts


def row_part(options: argparse.Namespace) -> dict[str, Any]:
    subject = task(options)
    few, whole = min(options.products, subject.size), subject.size
    contestants = {"polarstep, exact": partial(ours, subject)}
    contestants["polarstep, sketch at 1%"] = partial(ours, subject, **SKETCH)
    packages = {}
    if not options.skip_peers:
        chunk = peers.tuned_chunk(peers.batched_loop, subject)
        contestants["loop of autograd.grad"] = partial(theirs, peers.loop, subject, whole)
        batched = partial(theirs, peers.batched_loop, subject, whole, chunk)
        contestants["loop in batches"] = batched
        contestants["loop, scaled up"] = partial(theirs, peers.loop, subject, few)
        packages = peers.installed()
    for name, (peer, in_batches) in packages.items():
        chunk = peers.tuned_chunk(peer, subject) if in_batches else 1
        contestants[name] = partial(theirs, peer, subject, few, chunk)
    result = measure(contestants, options.rounds, f"row W_4, {len(subject.X):,} images")
    found, table = result.pop("found"), result["table"]
    exact, sketched = found["polarstep, exact"], found["polarstep, sketch at 1%"]
    result["sketch_error"] = compare(
        "sketch (rtol is a standard error) and exact", sketched, exact, 0.05
    )
    if options.skip_peers:
        return result
    truth = found["loop of autograd.grad"]
    norms = np.sqrt(truth.sum(axis=0))
    result["agreement"] = {"exact": compare("exact and loop", exact, norms, AGREEMENT)}
    for name in ["loop in batches", "loop, scaled up", *packages]:
        squares = found[name]  # the first products of the same random order
        worst = compare(f"{name} and loop", squares, truth[: len(squares)], AGREEMENT)
        result["agreement"][name] = worst
    scaled = seconds(table, "loop, scaled up") / seconds(table, "loop of autograd.grad")
    result["loop_from_few_over_in_full"] = scaled
    share = f"{few} of {whole:,} products"
    print(f"Extrapolated from {share}, the loop's time is {scaled:.2f} x that of its full run.")
    others = set(table) - {"polarstep, exact", "polarstep, sketch at 1%", "loop, scaled up"}
    fastest = min(others, key=partial(seconds, table))
    result["fastest_peer"] = fastest
    print(f"Fastest peer: {fastest}, {table[fastest]['ratio']:.1f} x polarstep's exact row.")
    return result


def seconds(table: dict[str, dict[str, Any]], name: str) -> float:
    return table[name]["seconds"]


def variants_part(options: argparse.Namespace) -> dict[str, Any]:
    relu, tanh = task(options), task(options, activation="tanh")
    contestants = {
        "row, exact": partial(ours, relu),
        "all 49 pairs, exact": partial(ours, relu, row=None),
        "row, exact, directions": partial(ours, relu, directions=True),
        "row, exact, tanh": partial(ours, tanh),
        "row, sketch at 1%, tanh": partial(ours, tanh, **SKETCH),
        "row, exact, two threads": partial(ours, relu, threads=2),
        "row, sketch at 1%, two threads": partial(ours, relu, threads=2, **SKETCH),
    }
    result = measure(contestants, options.rounds, f"variants, {options.images:,} images")
    del result["found"]
    return result


def batchnorm_part(options: argparse.Namespace) -> dict[str, Any]:
    subject = task(options, normalization="batch")
    contestants = {
        "polarstep, exact": partial(ours, subject),
        "polarstep, sketch at 1%": partial(ours, subject, **SKETCH),
        "polarstep, exact, directions": partial(ours, subject, directions=True),
    }
    few = min(options.products, subject.size)
    if not options.skip_peers:
        chunk = peers.tuned_chunk(peers.batched_loop, subject)
        contestants["loop of autograd.grad"] = partial(theirs, peers.loop, subject, few)
        batched = partial(theirs, peers.batched_loop, subject, few, chunk)
        contestants["loop in batches"] = batched
    label = f"batch normalization, row W_4, {options.images:,} images"
    result = measure(contestants, options.rounds, label)
    found = result.pop("found")
    exact, sketched = found["polarstep, exact"], found["polarstep, sketch at 1%"]
    print(f"Method of the exact row: {result['table']['polarstep, exact']['how']}")
    result["sketch_error"] = compare(
        "sketch (rtol is a standard error) and exact", sketched, exact, 0.05
    )
    if not options.skip_peers:
        full = theirs(peers.loop, subject, subject.size)
        result["loop_in_full_seconds"] = full.seconds
        print(f"The full loop, measured once, takes {full.seconds:.1f} s.")
        norms = np.sqrt(full.found.sum(axis=0))
        result["agreement"] = compare("exact and full loop", exact, norms, AGREEMENT)
    return result


def growth_part(options: argparse.Namespace) -> dict[str, Any]:
    numbers = [int(options.images * factor) for factor in GROWTH]
    tasks = {n: task(options, n) for n in numbers}
    methods: dict[str, dict[str, Any]] = {"exact": {}, "sketch": SKETCH}
    contestants = {
        f"{method}, {n:,} images": partial(ours, tasks[n], **keywords)
        for method, keywords in methods.items()
        for n in numbers
    }
    result = measure(contestants, options.rounds, "growth, row W_4")
    del result["found"]
    for method in methods:
        names = [f"{method}, {n:,} images" for n in numbers]
        times = [seconds(result["table"], name) for name in names]
        for name, n in zip(names, numbers, strict=True):
            mib = result["table"][name]["peak_MiB"] = peak_memory(options, method, n)
            print(f"{name}: peak memory {mib:,.0f} MiB")
        exponent = float(np.polyfit(np.log(numbers), np.log(times), 1)[0])
        local = np.diff(np.log(times)) / np.diff(np.log(numbers))
        result[f"{method}_exponent"] = {"fit": exponent, "between": local.tolist()}
        steps = ", ".join(f"{e:.2f}" for e in local)
        print(f"{method}: time grows as N^{exponent:.2f}; exponents between successive N: {steps}")
    return result


def conv_part(options: argparse.Namespace) -> dict[str, Any]:
    subject = conv_task(options)
    parameters = sum(p.numel() for p in subject.model.parameters())
    contestants = {
        "one forward and backward pass": partial(forward_backward, subject),
        "row conv4, sketch at 5%": partial(ours, subject, method="sketch", rtol=0.05),
    }
    label = f"convolutional network, {parameters:,} parameters, batch of {len(subject.X)}"
    result = measure(contestants, options.rounds, label)
    del result["found"]
    result["parameters"], result["peak_MiB"] = parameters, peak_memory(options, "conv", 32)
    print(f"Peak memory of the sketch: {result['peak_MiB']:,.0f} MiB")
    return result


PARTS = {
    "row": row_part,
    "variants": variants_part,
    "batchnorm": batchnorm_part,
    "growth": growth_part,
    "conv": conv_part,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, default=os.environ.get("POLARSTEP_DATA"))
    add("--rounds", type=int, default=5)
    add("--images", type=int, default=1000)
    add("--products", type=int, default=250, help="products of a row that slow peers run")
    add("--threads", type=int, default=1)
    add("--only", choices=PARTS, help="run this part alone")
    add("--skip-peers", action="store_true")
    add("--memory-of", choices=("exact", "sketch", "conv"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.data = Path(options.data) if options.data else None
    return options


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    if options.memory_of:
        return print_peak_memory(options)
    data = "CIFAR-10" if has_cifar10(options) else "Gaussian noise"
    if not has_cifar10(options):
        print("*** NO CIFAR-10: using Gaussian noise. Pass --data DIR, where DIR contains cifar10.")
    results: dict[str, Any] = {"environment": environment(), "data": data}
    results["peers"] = {} if options.skip_peers else peers.versions()
    keep = ("rounds", "images", "products", "threads", "skip_peers")
    results["options"] = {name: getattr(options, name) for name in keep}
    name = f"coupling_{options.only}.json" if options.only else "coupling.json"
    out = Path(__file__).parent / "results" / name
    out.parent.mkdir(exist_ok=True)
    for part in [options.only] if options.only else PARTS:
        results[part] = PARTS[part](options)
        out.write_text(json.dumps(results, indent=1))
    print(f"\nSaved: {out}")


if __name__ == "__main__":
    main()
