"""Gradient descent for networks, one record per step; stopped and resumed to the same bits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..validation import complaint, number, whole_number
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


def train(
    model: nn.Module,
    loss_fn: Callable[[Any, Tensor], Tensor],
    data: tuple[Tensor, Tensor],
    *,
    lr: float | Callable[[int], float],
    steps: int,
    batch_size: int | None = None,
    momentum: float = 0.0,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 100,
    evaluate: Callable[[nn.Module, int], Any] | None = None,
) -> Iterator[Step]:
    """Gradient descent on all data or on mini-batches, as an iterator over its steps.

    From the iterate p_t, with b_0 = 0,

        b_{t+1} = momentum b_t + grad f(p_t),    p_{t+1} = p_t - lr b_{t+1}.

    The record of p_t is yielded before the step to p_{t+1}, so that the model can be looked at
    in between. Nothing happens until the first record is asked for.

    Parameters
    ----------
    model : Module
        Trained in place, in the mode (train or eval) that it is in. Its ``.grad`` are left alone.
    loss_fn : callable
        f = loss_fn(model(inputs), targets), a tensor with one element.
    data : (inputs, targets)
        Two tensors with one entry per sample, on the model's device.
    lr : float or callable
        The step size, or a function of the step's index.
    steps : int
        Updates of the weights.
    batch_size : int, optional
        Samples of a mini-batch. Every epoch goes through all samples in a new order; its last batch
        may be smaller. None: all data at every step.
    momentum : float
        In [0, 1).
    seed : int
        The order of mini-batches: epoch e is in the order of
        ``numpy.random.default_rng([seed, e])``.
    checkpoint : path, optional
        A file to resume from, if it is there, and to save to: every ``checkpoint_every`` steps, at
        the end, on Ctrl-C, and when the iterator is closed before its end. It is replaced in one
        move, so that it is always whole. A resumed training first yields the records so far
        (``fresh`` is False for them), then goes on to the bits that it would have come to without
        a stop, on the same machine. ``steps`` may be larger than before.
    evaluate : callable, optional
        Called with the model and the index at each iterate; what it returns (None, numbers, text,
        lists, tuples and dicts of them) becomes part of the record and of the checkpoint.

    Yields
    ------
    Step
        All data: steps + 1 records, the last one for the weights at the end. Mini-batches: one
        record per step. Fewer if the loss or the gradient is not finite: then the last record
        has that loss, the status ``diverged``, and the model is back at the iterate before it.
        (At the very first one there is none, and the model stays as it was.)

    Raises
    ------
    ValueError, TypeError
        Before the first record: arguments that do not fit, NaN or infinity in the data, a
        checkpoint that is damaged or belongs to another network, to other data or settings. The
        loss at the checkpoint is computed again and compared, which the network must not make
        random (no dropout).

    Examples
    --------
    >>> from polarstep.nn import mlp
    >>> x = torch.linspace(-1, 1, 20).reshape(-1, 1)
    >>> model = mlp([1, 8, 1], "tanh", seed=0)
    >>> records = list(train(model, nn.functional.mse_loss, (x, x**2), lr=0.1, steps=50))
    >>> len(records), records[-1].status.name, records[-1].loss < records[0].loss
    (51, 'finished', True)

    Source of momentum: Polyak, USSR Comput. Math. Math. Phys. 4 (1964); in torch.optim.SGD's form.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(complaint("train", "model", "be a torch Module", _kind(model)))
    for name, function in {"loss_fn": loss_fn, "evaluate": evaluate}.items():
        if not (callable(function) or (function is None and name == "evaluate")):
            raise TypeError(complaint("train", name, "be a function", _kind(function)))
    inputs, targets = _check_data(data)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        must = "have parameters that require a gradient"
        raise ValueError(complaint("train", "model", must, "none"))
    momentum = number(momentum, "train", "momentum", at_least=0)
    if momentum >= 1:
        raise ValueError(complaint("train", "momentum", "be a number < 1", momentum))
    if not callable(lr):
        lr = number(lr, "train", "lr", above=0)
    samples = len(inputs)
    if batch_size is not None:
        batch_size = whole_number(batch_size, "train", "batch_size", at_least=1)
        if batch_size > samples:
            must = f"be at most the number of samples, {samples}"
            raise ValueError(complaint("train", "batch_size", must, batch_size))
    _check_batch_norm(model, samples, batch_size)
    training = _Training(
        model=model,
        loss_fn=loss_fn,
        inputs=inputs,
        targets=targets,
        lr=lr,
        steps=whole_number(steps, "train", "steps", at_least=1),
        batch_size=batch_size,
        momentum=momentum,
        seed=whole_number(seed, "train", "seed"),
        path=None if checkpoint is None else checkpoints.check_path(checkpoint),
        every=whole_number(checkpoint_every, "train", "checkpoint_every", at_least=1),
        evaluate=evaluate,
    )
    training.resume()
    return training.run()


class _Iterate(NamedTuple):
    """All that the iterates from here on depend on."""

    t: int
    loss: float
    state: dict[str, Tensor]
    velocity: dict[str, Tensor]


@dataclass(eq=False)
class _Training:
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
        self.velocity = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
        # The model's own tensors, batch normalization's running statistics included.
        entries = self.model.state_dict().items()
        self.state = {name: entry for name, entry in entries if isinstance(entry, Tensor)}
        self.epoch, self.order = -1, torch.empty(0)
        self.records: list[Step] = []
        self.resumed: _Iterate | None = None
        self.last_finite: _Iterate | None = None

    def run(self) -> Iterator[Step]:
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
                self._check_same(self.resumed, loss)
                yield from [replace(record, fresh=False) for record in self.records]
            if not finite:
                if self.last_finite is not None:
                    self._restore(self.last_finite)
                yield step
                return
            self.last_finite = _Iterate(t, loss, state, velocity)
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
                got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else _kind(loss)
                raise ValueError(complaint("train", "loss_fn", must, got))
            gradients = torch.autograd.grad(
                loss.reshape(()), list(self.parameters.values()), materialize_grads=True
            )
        named = dict(zip(self.parameters, gradients, strict=True))
        return loss.item(), _accuracy(outputs, targets), named

    @torch.no_grad()
    def _update(self, gradients: dict[str, Tensor], lr: float) -> None:
        for name, parameter in self.parameters.items():
            b = self.velocity[name].mul_(self.momentum).add_(gradients[name])
            parameter.sub_(b, alpha=lr)

    def _rate(self, t: int) -> float:
        if not callable(self.lr):
            return self.lr
        return number(self.lr(t), "train", f"lr({t})", at_least=0)

    @torch.no_grad()
    def _restore(self, iterate: _Iterate) -> None:
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
        content = {
            "settings": self._settings(),
            "records": rows,
            **self.last_finite._asdict(),
        }
        checkpoints.write(self.path, content)

    def resume(self) -> None:
        """Read the checkpoint, if there is one, and check that it is of this training."""
        content = None if self.path is None else checkpoints.read(self.path, self._settings())
        if content is None or self.path is None:
            return
        self.records = [Step(status=Status.running, **row) for row in content["records"]]
        self.resumed = _Iterate(*(content[name] for name in _Iterate._fields))
        if self.resumed.t > self.steps - (self.batch_size is not None):
            must = f"be at least {self.resumed.t}, where the checkpoint {str(self.path)!r} is"
            raise ValueError(complaint("train", "steps", must, self.steps))
        for record in self.records:
            if (lr := self._rate(record.index)) != record.lr:
                then = f"`lr` is {record.lr!r} instead of {lr!r} at step {record.index}"
                raise ValueError(checkpoints.refusal_of_another(self.path, then))

    def _check_same(self, resumed: _Iterate, loss: float) -> None:
        # Room for rounding on another machine, not for another loss, activation or data set.
        if math.isclose(loss, resumed.loss, rel_tol=1e-3, abs_tol=1e-8):
            return
        then = (
            f"the loss at step {resumed.t} is {resumed.loss:.6g} instead of {loss:.6g} "
            "(other data, another network or loss, or one that is random)"
        )
        assert self.path is not None
        raise ValueError(checkpoints.refusal_of_another(self.path, then))


def _copies(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


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
        raise TypeError(complaint("train", "evaluate", must, _kind(value), advice))
    return value


def _check_data(data: Any) -> tuple[Tensor, Tensor]:
    must = "be a pair of tensors (inputs, targets) with one entry per sample"
    if not (isinstance(data, (tuple, list)) and len(data) == 2):
        raise TypeError(complaint("train", "data", must, _kind(data)))
    for part in data:
        if not isinstance(part, Tensor):
            raise TypeError(complaint("train", "data", must, f"{_kind(part)} in it"))
    inputs, targets = data
    if not inputs.ndim or not targets.ndim or not len(inputs) or len(inputs) != len(targets):
        got = f"shapes {tuple(inputs.shape)} and {tuple(targets.shape)}"
        raise ValueError(complaint("train", "data", must, got))
    for name, part in {"inputs": inputs, "targets": targets}.items():
        if not part.is_floating_point() or not part.numel():
            continue
        if not torch.stack(torch.aminmax(part)).isfinite().all():
            where = tuple(torch.nonzero(~part.isfinite())[0].tolist())
            got = f"{part[where].item()} at {name}[{', '.join(map(str, where))}]"
            advice = "Remove or impute such values first."
            raise ValueError(complaint("train", "data", "hold finite numbers only", got, advice))
    return inputs, targets


def _check_batch_norm(model: nn.Module, samples: int, batch_size: int | None) -> None:
    size = samples if batch_size is None else batch_size
    if 1 not in (size, samples % size):
        return
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm1d) and module.training:
            must = "leave no batch of one sample for batch normalization"
            got = f"{batch_size} for {samples} samples, with {name} in the model"
            raise ValueError(complaint("train", "batch_size", must, got))


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"
