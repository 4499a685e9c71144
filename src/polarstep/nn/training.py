"""train: gradient descent for networks, stopped and resumed to the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..validation import complaint, number, whole_number
from . import checkpoints
from .descent import Descent, Step, kind


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
    in between (calling it in train mode moves batch normalization's running statistics). No step is
    taken before the first record is asked for.

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
        a stop, on the same machine. Pass the model as it was at the start, or as the stopped
        training left it. ``steps`` may be larger than before.
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
        raise TypeError(complaint("train", "model", "be a torch Module", kind(model)))
    for name, function in {"loss_fn": loss_fn, "evaluate": evaluate}.items():
        if not (callable(function) or (function is None and name == "evaluate")):
            raise TypeError(complaint("train", name, "be a function", kind(function)))
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
    training = Descent(
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


def _check_data(data: Any) -> tuple[Tensor, Tensor]:
    must = "be a pair of tensors (inputs, targets) with one entry per sample"
    if not (isinstance(data, (tuple, list)) and len(data) == 2):
        raise TypeError(complaint("train", "data", must, kind(data)))
    for part in data:
        if not isinstance(part, Tensor):
            raise TypeError(complaint("train", "data", must, f"{kind(part)} in it"))
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
