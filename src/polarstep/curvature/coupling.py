"""coupling: how strongly the gradients of a network's layers depend on one another."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from torch import Tensor, nn
from tqdm import tqdm

from ..validation import complaint, look_up, number, whole_number
from . import products, sketch
from . import separable as linear
from .problem import WHO, NotSeparable, Problem, pair_of
from .result import SCALES, Coupling

METHODS = ("exact", "sketch")


def coupling(
    model: nn.Module,
    loss_fn: Callable[[Any, Any], Tensor],
    batch: tuple[Any, Any],
    *,
    row: str | Iterable[str] | None = None,
    columns: str | Iterable[str] | None = None,
    method: str = "exact",
    scale: str = "raw",
    directions: bool = False,
    rtol: float = 0.02,
    max_products: int = 1000,
    memory: float = 1.0,
    seed: int = 0,
    progress: bool = False,
) -> Coupling:
    """Frobenius norms of the Hessian's blocks between a network's parameters.

    For f = loss_fn(model(inputs), targets), the norm ||d2f/dW_i dW_j||_F says how much the gradient
    of layer j moves when layer i does: zero where the two are independent of one another.

    Parameters
    ----------
    model : torch.nn.Module
        Any module that is differentiable twice, in training or evaluation mode, on any device. It
        comes back as it was: parameters, ``.grad``, ``requires_grad``, buffers (running
        statistics), mode and the random number generators. Batch normalization in training mode
        is differentiated through its batch statistics.
    loss_fn : callable
        loss_fn(model(inputs), targets) -> scalar tensor, of any reduction.
    batch : (inputs, targets)
        What f is computed on, all at once. A tuple of inputs is spread over the model's positional
        arguments, a dict over its keyword arguments.
    row, columns : str or iterable of str, optional
        Names from ``named_parameters()``. Default: all weights, that is parameters of two or more
        dimensions (without the lengths of weight normalization).
    method : {"exact", "sketch"}
        "exact": to rounding. Networks of linear layers whose samples are separate, or coupled by
        batch normalization alone, take per-sample Jacobians of pre-activations (seconds); all
        others a Hessian-vector product for every number in the row's parameter.
        "sketch": unbiased estimates with standard errors, from a few dozen products; for large or
        convolutional networks.
    scale : {"raw", "relative", "own"}
        "raw": the norm itself. "relative": times ||W_i|| ||W_j||, without units. "own": divided by
        the row's own ||d2f/dW_i dW_i||_F. A weight before a normalization has a Hessian that
        shrinks as 1/||W||^2 though its function stays the same, so that raw norms alone do not
        compare networks. `Coupling.scaled` converts a result.
    directions : bool
        Differentiate by the units' directions instead: W = diag(g) U with rows u of norm 1, every
        u moving on its sphere, d/du = g (I - u u^T) d/dw (its curvature as a surface is left out,
        which matters to diagonal blocks only). A unit is a slice of the first dimension.
    rtol : float
        "sketch" stops when every standard error is at most rtol times its norm.
    max_products : int
        "sketch" spends no more Hessian-vector products than that on a row, and warns.
    memory : float
        GiB that intermediate results may take, about, beyond the gradient's own graph.
    seed : int
        Of the random probes of "sketch".
    progress : bool
        Show a progress bar.

    Returns
    -------
    Coupling
        ``c["linear4.weight", "linear2.weight"]``; prints as a table, `plot` draws a heat map.

    Raises
    ------
    TypeError, ValueError
        For arguments that are not as described, a loss that is not a finite scalar, and a model
        that gives two different losses on the same batch, as with dropout.

    Warns
    -----
    RuntimeWarning
        If "sketch" ends at max_products.

    Notes
    -----
    Cost, for a layer of R units and N samples: R backward passes of the gradient's graph give
    every Jacobian; a block with a layer of p units, inputs of length s and q, then takes about
    min(4 N p q R s, N^2 (3 R p + 3 R q + q + s)) operations, see `polarstep.curvature.contraction`;
    batch normalization adds a part of low rank, see `polarstep.curvature.batchnorm`. The sketch is
    Hutch++ (Meyer et al. 2021) on a row.
    The quantity is that of Kohler et al. 2019, section 5.

    Examples
    --------
    >>> import torch
    >>> from polarstep.curvature import coupling
    >>> from polarstep.nn import mlp
    >>> model, X = mlp((4, 8, 8, 3), "tanh", seed=0), torch.ones(5, 4)
    >>> c = coupling(model, torch.nn.functional.cross_entropy, (X, torch.tensor([0, 1, 2, 0, 1])))
    >>> c["linear1.weight", "linear3.weight"] == c["linear3.weight", "linear1.weight"] > 0
    True
    """
    look_up(scale, SCALES, WHO, "scale")
    look_up(method, dict.fromkeys(METHODS), WHO, "method")
    rtol = number(rtol, WHO, "rtol", above=0.0)
    max_products = whole_number(max_products, WHO, "max_products", at_least=2)
    room = int(number(memory, WHO, "memory", above=0.0) * 2**30)
    generator = np.random.default_rng(whole_number(seed, WHO, "seed"))
    problem = Problem(model, loss_fn, batch)
    rows, names = problem.select(row, "row"), problem.select(columns, "columns")
    if directions:
        _check_weights(problem, [*rows, *names])
    pairs = list(dict.fromkeys(pair_of(a, b) for a in rows for b in names))
    diagonal = [(name, name) for name in rows]
    n_products = 0
    errors = dict.fromkeys([*pairs, *diagonal], 0.0)
    with problem.undisturbed(), tqdm(disable=not progress, desc=WHO) as bar:
        if method == "sketch":
            estimates, n_products = sketch.norms(
                problem, rows, names, directions, room, rtol, max_products, generator, bar
            )
            norms = {pair: estimate.norm for pair, estimate in estimates.items()}
            errors = {pair: estimate.stderr for pair, estimate in estimates.items()}
            how = "sketch"
            _check_errors(norms, errors, rtol, max_products)
        else:
            wanted = list(dict.fromkeys([*pairs, *diagonal]))
            try:
                squares = linear.squared_norms(problem, wanted, directions, room, bar)
                how = "exact, by per-sample Jacobians"
            except NotSeparable as reason:
                # A diagonal block nobody asked for may cost more than all the others.
                wanted = wanted if scale == "own" else pairs
                squares, n_products = products.squared_norms(problem, wanted, directions, room, bar)
                how = f"exact, by Hessian-vector products ({reason})"
            norms = {pair: float(np.sqrt(value)) for pair, value in squares.items()}
    return Coupling(
        rows=tuple(rows),
        columns=tuple(names),
        raw=np.array([[norms[pair_of(a, b)] for b in names] for a in rows]),
        raw_stderr=np.array([[errors[pair_of(a, b)] for b in names] for a in rows]),
        sizes={name: problem.size(name, directions) for name in dict.fromkeys([*rows, *names])},
        own={name: norms[name, name] for name in rows if (name, name) in norms},
        scale=scale,
        directions=directions,
        how=how,
        n_products=n_products,
    )


def _check_weights(problem: Problem, names: list[str]) -> None:
    """Directions are those of weights."""
    for name in names:
        shape = tuple(problem.parameters[name].shape)
        if len(shape) < 2:
            must = "name weights of two or more dimensions when directions are asked for"
            raise ValueError(complaint(WHO, "row or columns", must, f"{name!r} of shape {shape}"))


def _check_errors(
    norms: dict[tuple[str, str], float],
    errors: dict[tuple[str, str], float],
    rtol: float,
    max_products: int,
) -> None:
    """Warn of estimates that are not as sharp as they should be."""
    blurred = {p: errors[p] / norms[p] for p in norms if errors[p] > rtol * norms[p]}
    if blurred:
        worst = max(blurred, key=blurred.__getitem__)
        text = (
            f"coupling: {len(blurred)} of {len(norms)} norms have a standard error above rtol = "
            f"{rtol:g} after max_products = {max_products}; the largest is {blurred[worst]:.2g} of "
            f"the norm between {worst[0]} and {worst[1]}. Raise max_products, or rtol."
        )
        warnings.warn(text, RuntimeWarning, stacklevel=3)
