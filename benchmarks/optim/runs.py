"""Training runs, and the file that stores each finished run as a line of JSON."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from optimizers import Make
from tasks import Task, loss, validation_loss
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

Row = dict[str, Any]
WARM_UP = 0.05  # share of all steps
BLOCK = 10  # number of steps that are timed together
POINTS = 20  # number of points of a curve, each from a few validation batches
HOPELESS = 3.0  # a run ends when its loss exceeds the lowest so far by this factor


def schedule(step: int, steps: int) -> float:
    """Return the factor of the learning rate: a linear warm-up, then a linear decay to zero."""
    warm = max(1, round(WARM_UP * steps))
    return min((step + 1) / warm, (steps - step) / (steps - warm))


def train(task: Task, make: Make, lr: float, seed: int) -> Row:
    """Train; return the final validation loss, its curve, and the CPU seconds of the steps.

    The run ends with "loss": None when the loss of a batch is not finite or exceeds three times the
    lowest one so far.
    """
    model = task.model(seed)
    optimizers = as_list(make(model, task, lr))
    factors = [LambdaLR(o, lambda step: schedule(step, task.steps)) for o in optimizers]
    batches, few = task.batches(seed), task.validation[:4]
    seconds, worst, curve = 0.0, math.inf, []
    for step in range(task.steps):
        begin = time.process_time()
        value = one_step(model, optimizers, next(batches))
        for factor in factors:
            factor.step()
        seconds += time.process_time() - begin
        worst = min(worst, HOPELESS * value)
        if not value <= worst:
            return {"loss": None, "step": step, "seconds": seconds, "curve": curve}
        if (step + 1) % max(1, task.steps // POINTS) == 0:
            curve.append([step + 1, seconds, validation_loss(model, few)])
    found = validation_loss(model, task.validation)
    return {"loss": found if math.isfinite(found) else None, "seconds": seconds, "curve": curve}


def one_step(model: nn.Module, optimizers: list[Optimizer], batch: Any) -> float:
    model.zero_grad()
    value = loss(model, batch)
    value.backward()
    for optimizer in optimizers:
        optimizer.step()
    return value.item()


def as_list(made: Optimizer | list[Optimizer]) -> list[Optimizer]:
    return made if isinstance(made, list) else [made]


def step_seconds(works: dict[str, tuple[Task, Make, float]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds per step of each optimizer by round, each running ten steps in turn."""
    times: dict[str, list[float]] = {name: [] for name in works}
    models = {name: task.model(0) for name, (task, _, _) in works.items()}
    optimizers = {n: as_list(make(models[n], task, lr)) for n, (task, make, lr) in works.items()}
    for round_ in range(rounds + 1):
        for name, (task, _, _) in works.items():
            batches = task.batches(round_)
            drawn = [next(batches) for _ in range(BLOCK)]
            begin = time.process_time()
            for batch in drawn:
                one_step(models[name], optimizers[name], batch)
            if round_:  # the first round only warms up
                times[name].append((time.process_time() - begin) / BLOCK)
    return times


def key(task: str, optimizer: str, lr: float, seed: int) -> str:
    return f"{task} {optimizer} {lr:g} {seed}"


def stored(path: Path) -> dict[str, Row]:
    """Return rows by key, ignoring incomplete lines of interrupted runs."""
    rows = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows[row["key"]] = row
    return rows


def store(path: Path, row: Row) -> None:
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
        file.flush()
