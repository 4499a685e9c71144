"""One training, and a file of them: a JSON line as each ends, so that a later call goes on."""

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
WARM_UP = 0.05  # of all steps
BLOCK = 10  # steps that are timed together
POINTS = 20  # of a curve, each on a few validation batches
HOPELESS = 3.0  # times the first loss


def schedule(step: int, steps: int) -> float:
    """Linear warm-up, then linear to zero; the same for every group of every optimizer."""
    warm = max(1, round(WARM_UP * steps))
    return min((step + 1) / warm, (steps - step) / (steps - warm))


def train(task: Task, make: Make, lr: float, seed: int) -> Row:
    """Validation loss after task.steps steps, its curve, and CPU seconds of training alone.

    A loss that is not finite, or thrice the first one, ends the run with "loss": None.
    """
    model = task.model(seed)
    optimizers = listed(make(model, task, lr))
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


def listed(made: Optimizer | list[Optimizer]) -> list[Optimizer]:
    return made if isinstance(made, list) else [made]


def step_seconds(works: dict[str, tuple[Task, Make, float]], rounds: int) -> dict[str, list[float]]:
    """Seconds of a step of each optimizer, ten steps of each in turn, every round."""
    times: dict[str, list[float]] = {name: [] for name in works}
    models = {name: task.model(0) for name, (task, _, _) in works.items()}
    optimizers = {n: listed(make(models[n], task, lr)) for n, (task, make, lr) in works.items()}
    for round_ in range(rounds + 1):
        for name, (task, _, _) in works.items():
            batches = task.batches(round_)
            drawn = [next(batches) for _ in range(BLOCK)]
            begin = time.process_time()
            for batch in drawn:
                one_step(models[name], optimizers[name], batch)
            if round_:  # the first one warms up
                times[name].append((time.process_time() - begin) / BLOCK)
    return times


def key(task: str, optimizer: str, lr: float, seed: int) -> str:
    return f"{task} {optimizer} {lr:g} {seed}"


def stored(path: Path) -> dict[str, Row]:
    """Rows by key; a last line that was cut off is passed over."""
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
