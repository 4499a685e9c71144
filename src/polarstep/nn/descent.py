"""The loop of `train`: iterates, their records, and how to get back to them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..validation import complaint, number
from . import checkpoints
from .gradients import gradient_split


class Status(Enum):
    """Where a training stands; the value says what to do about it."""

    running = "Under way: the next record follows."
    finished = "All steps are taken. To go on, ask for more steps with the same checkpoint."
    diverged = (
        "The loss or its gradient left the finite numbers: lower lr. "
        "The model is at the last finite iterate."
    )


@dataclass(frozen=True)
class Step:
    """What is known at one iterate, before the step away from it.

    Attributes
    ----------
    index : int
        0 is the start; record t belongs to the weights after t steps.
    loss : float
        loss_fn(model(inputs), targets) on all data, or on this step's batch.
    gradient_norm : float
        l2 norm of its gradient over all trained parameters.
    direction_gradient_norm, length_gradient_norm : float
        The gradient with respect to directions and lengths of weight rows: `gradient_split`.
    accuracy : float or None
        Share of samples whose largest output is that of their class, where the targets are class
        labels (integers, and outputs of shape (samples, classes)).
    lr : float
        Step size of the step that follows; 0 if none does.
    status : Status
    evaluation : object
        What ``evaluate`` returned.
    fresh : bool
        Whether the model is at this iterate now. False for records read from a checkpoint.
    """

    index: int
    loss: float
    gradient_norm: float
    direction_gradient_norm: float
    length_gradient_norm: float
    accuracy: float | None
    lr: float
    status: Status
    evaluation: Any = None
    fresh: bool = field(default=True, compare=False)


class Iterate(NamedTuple):
    """What the iterates from here on depend on."""

    t: int
    loss: float
    state: dict[str, Tensor]
    velocity: dict[str, Tensor]


@dataclass(eq=False)
class Descent:
    """Gradient descent as `train` describes it, with arguments that have been checked."""

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
        # The model's own tensors, batch normalization's running statistics included.
        entries = self.model.state_dict().items()
        self.state = {name: entry for name, entry in entries if isinstance(entry, Tensor)}
        self.start = "" if self.path is None else _fingerprint(self.model, self.state)
        self.epoch, self.order = -1, torch.empty(0)
        self.records: list[Step] = []
        self.resumed: Iterate | None = None
        self.last_finite: Iterate | None = None

    def run(self) -> Iterator[Step]:
        """The records; what is known is saved on the way, and when they are left early."""
        try:
            yield from self._iterates()
        except KeyboardInterrupt:
            if self.last_finite is not None:
                self._restore(self.last_finite)  # the step may have been half done
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
        # On all data, the loss at the final weights is known only from one more pass.
        last = self.steps if self.batch_size is None else self.steps - 1
        for t in range(first, last + 1):
            state, velocity = _copies(self.state), _copies(self.velocity)
            loss, accuracy, gradients = self._differentiate(*self._batch(t))
            norm = _norm(list(gradients.values()))
            finite = math.isfinite(loss) and math.isfinite(norm)
            status = Status.finished if t == last else Status.running
            step = Step(
                t,
                loss,
                norm,
                *gradient_split(self.model, gradients),
                accuracy,
                self._rate(t) if finite and t < self.steps else 0.0,
                status if finite else Status.diverged,
            )
            if t == first and self.resumed is not None:
                self._check_same(self.resumed, loss, before)
                yield from [replace(record, fresh=False) for record in self.records]
            if not finite:
                self._restore(self.last_finite or Iterate(t, loss, state, velocity))
                yield step
                return
            self.last_finite = Iterate(t, loss, state, velocity)
            if self.path is not None and (t == last or (t > first and t % self.every == 0)):
                self._save()
            if self.evaluate is not None:
                step = replace(step, evaluation=_plain(self.evaluate(self.model, t)))
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
                got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else kind(loss)
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
    def _restore(self, iterate: Iterate) -> None:
        for current, then in ((self.state, iterate.state), (self.velocity, iterate.velocity)):
            for name, tensor in current.items():
                tensor.copy_(then[name])

    def _settings(self) -> dict[str, Any]:
        described = {n: f"{t.dtype} {tuple(t.shape)}" for n, t in self.state.items()}
        data = [f"{t.dtype} {tuple(t.shape)}" for t in (self.inputs, self.targets)]
        return {
            "network": {name: text.removeprefix("torch.") for name, text in described.items()},
            "data": [text.removeprefix("torch.") for text in data],
            "batch_size": self.batch_size,
            "momentum": self.momentum,
            "seed": None if self.batch_size is None else self.seed,
        }

    def _save(self) -> None:
        if self.path is None or self.last_finite is None:
            return
        rows = [
            {n: v for n, v in vars(r).items() if n not in ("status", "fresh")}
            for r in self.records[: self.last_finite.t]
        ]
        known = {"settings": self._settings(), "start": self.start, "records": rows}
        checkpoints.write(self.path, {**known, **self.last_finite._asdict()})

    def resume(self) -> None:
        """Read the checkpoint, if there is one, and check that it is of this training."""
        content = None if self.path is None else checkpoints.read(self.path, self._settings())
        if content is None or self.path is None:
            return
        self.records = [Step(status=Status.running, **row) for row in content["records"]]
        self.resumed = Iterate(*(content[name] for name in Iterate._fields))
        if self.resumed.t > self.steps - (self.batch_size is not None):
            must = f"be at least {self.resumed.t}, where the checkpoint {str(self.path)!r} is"
            raise ValueError(complaint("train", "steps", must, self.steps))
        if self.start not in (content["start"], _fingerprint(self.model, self.resumed.state)):
            then = "the weights are not those of the model, neither at the start nor now"
            raise ValueError(checkpoints.refusal_of_another(self.path, then))
        self.start = content["start"]
        for record in self.records:
            if (lr := self._rate(record.index)) != record.lr:
                then = f"`lr` is {record.lr!r} instead of {lr!r} at step {record.index}"
                raise ValueError(checkpoints.refusal_of_another(self.path, then))

    def _check_same(self, resumed: Iterate, loss: float, before: dict[str, Tensor]) -> None:
        # Room for rounding on another machine, not for another loss, activation or data set.
        if math.isclose(loss, resumed.loss, rel_tol=1e-3, abs_tol=1e-8):
            return
        self._restore(resumed._replace(state=before))
        then = (
            f"the loss at step {resumed.t} is {resumed.loss:.6g} instead of {loss:.6g} "
            "(other data, another network or loss, or one that is random)"
        )
        assert self.path is not None
        raise ValueError(checkpoints.refusal_of_another(self.path, then))


def _copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _fingerprint(model: nn.Module, state: dict[str, Tensor]) -> str:
    """A checksum of the weights in a state; buffers change whenever the model is called."""
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


def _plain(value: Any) -> Any:
    """The value of `evaluate`, if a checkpoint can give it back as it was."""
    if type(value) in (list, tuple, dict):
        for item in value.values() if isinstance(value, dict) else value:
            _plain(item)
    elif type(value) not in (type(None), bool, int, float, str):
        must = "return None, numbers, text, or lists, tuples and dicts of them"
        advice = "Call .item() or .tolist()."
        raise TypeError(complaint("train", "evaluate", must, kind(value), advice))
    return value


def kind(value: object) -> str:
    """What an error says of a value of the wrong type."""
    return f"a {type(value).__name__}"
