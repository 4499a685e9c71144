"""The function `train`: gradient descent for networks that resumes bit-identically."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..validation import complaint, number, whole_number
from . import checkpoints
from .checks import check_batch_size_for_batch_norm, check_data, check_function, check_model
from .descent import Descent
from .records import Step


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
    """Train a network by gradient descent and yield a record of every iterate.

    Each record is yielded before the next update, so the model can be inspected in between. The
    first update is made when the second record is requested.

    Parameters
    ----------
    model : torch.nn.Module
        The network. It is trained in place, in the mode (train or eval) that it is in. The
        ``.grad`` of its parameters is neither read nor written.
    loss_fn : callable
        Function of ``(model(inputs), targets)`` that returns a differentiable tensor with one
        element.
    data : tuple of torch.Tensor
        The pair ``(inputs, targets)``. Both have one entry per sample along their first axis and
        are on the device of the model.
    lr : float or callable
        The learning rate, a positive number, or a function that maps the index of an update to
        its learning rate.
    steps : int
        Number of updates.
    batch_size : int, optional
        Number of samples in a mini-batch. Every epoch visits all samples in a new order, and its
        last mini-batch may be smaller. By default, every update uses all samples.
    momentum : float, default=0.0
        The momentum coefficient, in [0, 1).
    seed : int, default=0
        Seed of the order of the samples: epoch e uses the order of
        ``numpy.random.default_rng([seed, e]).permutation(n_samples)``.
    checkpoint : str or pathlib.Path, optional
        File to resume from, if it exists, and to save to. It is saved every ``checkpoint_every``
        updates, at the end, on Ctrl-C, and when the iterator is closed early. To resume, ``model``
        must have the initial weights or those of the checkpoint; ``steps`` may be larger than
        before.
    checkpoint_every : int, default=100
        Number of updates between two checkpoints.
    evaluate : callable, optional
        Function of ``(model, index)`` that is called at every iterate. Its return value (None,
        numbers, text, or lists, tuples and dicts of these) becomes part of the record and of the
        checkpoint.

    Returns
    -------
    iterator of Step
        The records. Without mini-batches there are ``steps + 1`` records, and the last one
        describes the final weights. With mini-batches there is one record per update.

    Raises
    ------
    ValueError
        Before the first record: if an argument has an invalid value, the data contain NaN or
        infinity, or the checkpoint is damaged or belongs to another network, to other data or to
        other settings. To check this, a resumed run recomputes the loss at the checkpoint, so the
        network must be deterministic (no dropout).
    TypeError
        Before the first record: if an argument has the wrong type. Later: if ``evaluate`` returns
        a value that a checkpoint cannot hold.

    See Also
    --------
    mlp : Build a network with or without normalization.
    gradient_split : The norms of the gradient that each record contains.

    Notes
    -----
    With f the loss, p_t the parameters, b_0 = 0 and the momentum coefficient m, the updates are

    .. math:: b_{t+1} = m b_t + \\nabla f(p_t), \\qquad p_{t+1} = p_t - \\mathrm{lr}\\, b_{t+1}.

    This is momentum as in [1]_, in the form of ``torch.optim.SGD``.

    If the loss or its gradient is not finite, the run stops: the last record has that loss and the
    status ``diverged``, and the model is reset to the previous iterate. If this happens at the
    first iterate, the model stays as it was.

    A resumed run first yields the earlier records (with ``fresh=False``). From there on it is
    bit-identical to an uninterrupted run on the same machine. The checkpoint file is replaced
    atomically, so it is always complete.

    Evaluating a model in train mode between two records changes the running statistics of batch
    normalization.

    References
    ----------
    .. [1] B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", USSR
       Computational Mathematics and Mathematical Physics 4(5), 1964.

    Examples
    --------
    >>> import torch
    >>> from polarstep.nn import mlp, train
    >>> x = torch.linspace(-1, 1, 20).reshape(-1, 1)
    >>> model = mlp([1, 8, 1], "tanh", seed=0)
    >>> loss_fn = torch.nn.functional.mse_loss
    >>> records = list(train(model, loss_fn, (x, x**2), lr=0.1, steps=50))
    >>> len(records), records[-1].status.name, records[-1].loss < records[0].loss
    (51, 'finished', True)
    """
    check_model(model)
    check_function(loss_fn, "loss_fn")
    if evaluate is not None:
        check_function(evaluate, "evaluate")
    inputs, targets = check_data(data)
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
    check_batch_size_for_batch_norm(model, samples, batch_size)
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
