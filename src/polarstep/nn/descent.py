"""The loop of `train`: gradient descent that records every iterate and can return to it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..validation import complaint, number, type_of
from . import checkpoints
from .gradients import gradient_split
from .records import Step, TrainingStatus


class Snapshot(NamedTuple):
    """Everything that later iterates depend on: the model's state and the momentum."""

    t: int
    loss: float
    state: dict[str, Tensor]
    velocity: dict[str, Tensor]


@dataclass(eq=False)
class Descent:
    """Gradient descent as documented in `train`; the arguments must be valid."""

    model: nn.Module
    loss_fn: Callable[[Any, Tensor], Tensor]
    inputs: Tensor
    targets: Tensor
    lr: float | Callable[[int], float]
    steps: int
    batch_size: int | None
    momentum: float
    seed: int
    path: Path | None
    every: int
    evaluate: Callable[[nn.Module, int], Any] | None

    def __post_init__(self) -> None:
        named = self.model.named_parameters()
        self.parameters = {name: p for name, p in named if p.requires_grad}
        moving = self.parameters if self.momentum else {}
        self.velocity = {name: torch.zeros_like(p) for name, p in moving.items()}
        # These are the model's own tensors, including batch normalization's running statistics.
        entries = self.model.state_dict().items()
        self.state = {name: entry for name, entry in entries if isinstance(entry, Tensor)}
        self.start = "" if self.path is None else _fingerprint(self.model, self.state)
        self.epoch, self.order = -1, torch.empty(0)
        self.records: list[Step] = []
        self.resumed: Snapshot | None = None
        self.last_finite: Snapshot | None = None

    def run(self) -> Iterator[Step]:
        """Yield the records; save a checkpoint if the caller stops early or presses Ctrl-C."""
        try:
            yield from self._iterates()
        except KeyboardInterrupt:
            if self.last_finite is not None:
                self._restore(self.last_finite)  # the update may have been applied in part
                self._save()
            raise
        except GeneratorExit:
            self._save()
            raise

    def _iterates(self) -> Iterator[Step]:
        before = _copies(self.state)
        if self.resumed is not None:
            self._restore(self.resumed)
        first = self.resumed.t if self.resumed else 0
        # Full-batch descent needs one more evaluation, for the loss at the final weights.
        last = self.steps if self.batch_size is None else self.steps - 1
        for t in range(first, last + 1):
            state, velocity = _copies(self.state), _copies(self.velocity)
            loss, accuracy, gradients = self._differentiate(*self._batch(t))
            norm = _norm(list(gradients.values()))
            finite = math.isfinite(loss) and math.isfinite(norm)
            status = TrainingStatus.finished if t == last else TrainingStatus.running
            step = Step(
                t,
                loss,
                norm,
                *gradient_split(self.model, gradients),
                accuracy,
                self._rate(t) if finite and t < self.steps else 0.0,
                status if finite else TrainingStatus.diverged,
            )
            if t == first and self.resumed is not None:
                self._check_resumed_loss(self.resumed, loss, before)
                yield from [replace(record, fresh=False) for record in self.records]
            if not finite:
                self._restore(self.last_finite or Snapshot(t, loss, state, velocity))
                yield step
                return
            self.last_finite = Snapshot(t, loss, state, velocity)
            if self.path is not None and (t == last or (t > first and t % self.every == 0)):
                self._save()
            if self.evaluate is not None:
                step = replace(step, evaluation=_check_plain(self.evaluate(self.model, t)))
            self.records.append(step)
            yield step
            if t < self.steps:
                self._update(gradients, step.lr)

    def _batch(self, t: int) -> tuple[Tensor, Tensor]:
        if self.batch_size is None:
            return self.inputs, self.targets
        samples = len(self.inputs)
        epoch, k = divmod(t, -(-samples // self.batch_size))
        if epoch != self.epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(samples)
            self.epoch, self.order = epoch, torch.from_numpy(order).to(self.inputs.device)
        chosen = self.order[k * self.batch_size : (k + 1) * self.batch_size]
        return self.inputs[chosen], self.targets[chosen]

    def _differentiate(
        self, inputs: Tensor, targets: Tensor
    ) -> tuple[float, float | None, dict[str, Tensor]]:
        with torch.enable_grad():
            outputs = self.model(inputs)
            loss = self.loss_fn(outputs, targets)
            if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
                must = "return a differentiable tensor with one element"
                got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type_of(loss)
                raise ValueError(complaint("train", "loss_fn", must, got))
            gradients = torch.autograd.grad(
                loss.reshape(()), list(self.parameters.values()), materialize_grads=True
            )
        named = dict(zip(self.parameters, gradients, strict=True))
        return loss.item(), _accuracy(outputs, targets), named

    @torch.no_grad()
    def _update(self, gradients: dict[str, Tensor], lr: float) -> None:
        for name, parameter in self.parameters.items():
            b = gradients[name]
            if self.momentum:
                b = self.velocity[name].mul_(self.momentum).add_(b)
            parameter.sub_(b, alpha=lr)

    def _rate(self, t: int) -> float:
        if not callable(self.lr):
            return self.lr
        return number(self.lr(t), "train", f"lr({t})", at_least=0)

    @torch.no_grad()
    def _restore(self, snapshot: Snapshot) -> None:
        for current, saved in ((self.state, snapshot.state), (self.velocity, snapshot.velocity)):
            for name, tensor in current.items():
                tensor.copy_(saved[name])

    def _settings(self) -> dict[str, Any]:
        return {
            "network": {name: _described(tensor) for name, tensor in self.state.items()},
            "data": [_described(tensor) for tensor in (self.inputs, self.targets)],
            "batch_size": self.batch_size,
            "momentum": self.momentum,
            "seed": None if self.batch_size is None else self.seed,
        }

    def _save(self) -> None:
        if self.path is None or self.last_finite is None:
            return
        rows = [
            {name: value for name, value in vars(r).items() if name not in ("status", "fresh")}
            for r in self.records[: self.last_finite.t]
        ]
        known = {"settings": self._settings(), "start": self.start, "records": rows}
        checkpoints.write(self.path, {**known, **self.last_finite._asdict()})

    def resume(self) -> None:
        """Read the checkpoint, if there is one, and check that it belongs to this run."""
        content = None if self.path is None else checkpoints.read(self.path, self._settings())
        if content is None or self.path is None:
            return
        self.records = [Step(status=TrainingStatus.running, **row) for row in content["records"]]
        self.resumed = Snapshot(*(content[name] for name in Snapshot._fields))
        if self.resumed.t > self.steps - (self.batch_size is not None):
            must = f"be at least {self.resumed.t}, the step of the checkpoint {str(self.path)!r}"
            raise ValueError(complaint("train", "steps", must, self.steps))
        if self.start not in (content["start"], _fingerprint(self.model, self.resumed.state)):
            difference = "neither the initial nor the saved weights are those of the model"
            raise ValueError(checkpoints.message_for_other_run(self.path, difference))
        self.start = content["start"]
        for record in self.records:
            if (lr := self._rate(record.index)) != record.lr:
                difference = f"`lr` is {record.lr!r} instead of {lr!r} at step {record.index}"
                raise ValueError(checkpoints.message_for_other_run(self.path, difference))

    def _check_resumed_loss(
        self, resumed: Snapshot, loss: float, before: dict[str, Tensor]
    ) -> None:
        # The tolerance allows for rounding on another machine, not for another loss or data set.
        if math.isclose(loss, resumed.loss, rel_tol=1e-3, abs_tol=1e-8):
            return
        self._restore(resumed._replace(state=before))
        difference = (
            f"the loss at step {resumed.t} is {resumed.loss:.6g} instead of {loss:.6g} "
            "(the data, the network or the loss function differ, or the network is random)"
        )
        assert self.path is not None
        raise ValueError(checkpoints.message_for_other_run(self.path, difference))


def _copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _described(tensor: Tensor) -> str:
    return f"{tensor.dtype} {tuple(tensor.shape)}".removeprefix("torch.")


def _fingerprint(model: nn.Module, state: dict[str, Tensor]) -> str:
    """Return a checksum of the weights, without the buffers, which calling the model changes."""
    digest = hashlib.sha256()
    for name, _ in model.named_parameters():
        digest.update(state[name].cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _norm(tensors: Sequence[Tensor]) -> float:
    norms = [torch.linalg.vector_norm(tensor) for tensor in tensors]
    return float(torch.linalg.vector_norm(torch.stack(norms)))


def _accuracy(outputs: Any, targets: Tensor) -> float | None:
    labels = not targets.is_floating_point() and targets.dtype != torch.bool and targets.ndim == 1
    if not labels or not isinstance(outputs, Tensor) or outputs.ndim != 2:
        return None
    return float((outputs.argmax(dim=1) == targets).double().mean())


def _check_plain(value: Any) -> Any:
    """Return the value of `evaluate`, or raise an error if a checkpoint could not hold it."""
    if type(value) in (list, tuple, dict):
        for item in value.values() if isinstance(value, dict) else value:
            _check_plain(item)
    elif type(value) not in (type(None), bool, int, float, str):
        must = "return None, numbers, text, or lists, tuples and dicts of these"
        advice = "Call .item() or .tolist()."
        raise TypeError(complaint("train", "evaluate", must, type_of(value), advice))
    return value
