"""The function `coupling`: how strongly the layers of a network depend on one another."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from torch import Tensor, nn
from tqdm import tqdm

from ..validation import complaint, look_up, number, whole_number
from . import products, separable, sketch
from .batch_loss import WHO, BatchLoss, NotSeparable, pair_of
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
    """Compute Frobenius norms of the Hessian blocks between the parameters of a network.

    For the loss f = loss_fn(model(inputs), targets), the norm ||d2f/dW_i dW_j||_F measures how
    much the gradient of layer j changes when layer i does. It is zero if neither depends on the
    other.

    Parameters
    ----------
    model : torch.nn.Module
        Any module that is differentiable twice, in training or evaluation mode, on any device. The
        call does not change it: parameters, ``.grad``, ``requires_grad``, buffers (running
        statistics), mode and random number generators stay as they are. Batch normalization in
        training mode is differentiated through its batch statistics.
    loss_fn : callable
        Function ``loss_fn(output, targets)`` that returns a scalar tensor, of any reduction.
    batch : (inputs, targets)
        The data on which f is evaluated, in a single call. A tuple of inputs holds positional
        arguments of the model, a dict holds keyword arguments.
    row : str or iterable of str, optional
        Names from ``named_parameters()``, one for each row of the result. The default is all
        weights, that is, all parameters of two or more dimensions except the lengths of torch's
        weight normalization.
    columns : str or iterable of str, optional
        Names for the columns of the result, with the same default.
    method : {"exact", "sketch"}, default="exact"
        "exact" computes norms up to rounding. It uses per-sample Jacobians, which take seconds, if
        the layers are linear and nothing but batch normalization couples the samples. For other
        networks, it uses one Hessian-vector product for each number in a row's parameter.
        "sketch" computes unbiased estimates with standard errors from a few dozen products. It is
        meant for large or convolutional networks.
    scale : {"raw", "relative", "own"}, default="raw"
        "raw" is the norm itself. "relative" multiplies it by ||W_i|| ||W_j||, which makes it
        dimensionless. "own" divides it by the norm of the row's diagonal block,
        ||d2f/dW_i dW_i||_F. The Hessian of a weight before a normalization is proportional to
        1/||W||^2, although the function does not depend on ||W||, so networks cannot be compared by
        raw norms alone.
        `Coupling.scaled` converts a result.
    directions : bool, default=False
        Whether to differentiate with respect to the directions of the units instead. A unit is a
        slice of the first dimension of W = diag(g) U. Each row u of U has norm 1 and moves on its
        sphere, d/du = g (I - u u^T) d/dw. The curvature of the sphere, which affects diagonal
        blocks only, is left out.
    rtol : float, default=0.02
        "sketch" stops when each standard error is at most rtol times the norm.
    max_products : int, default=1000
        The largest number of Hessian-vector products that "sketch" spends on one row.
    memory : float, default=1.0
        Approximate size in GiB of the intermediate results, beyond the graph of the gradient.
    seed : int, default=0
        Seed of the random probes of "sketch".
    progress : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    Coupling
        The norms, indexed by names: ``c["linear4.weight", "linear2.weight"]``.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If an argument has an invalid value, if the loss is not a finite scalar, or if the model
        gives different losses on the same batch, as with dropout.

    Warns
    -----
    RuntimeWarning
        If "sketch" reaches max_products before its standard errors are small enough.

    See Also
    --------
    Coupling : The result, which prints as a table and draws a heat map.

    Notes
    -----
    For a layer of R units and N samples, R backward passes through the graph of the gradient give
    all Jacobians. A block with a layer of p units then takes about
    min(4 N p q R s, N^2 (3 R p + 3 R q + q + s)) operations, where s and q are the lengths of the
    inputs of the two layers; `polarstep.curvature.contraction` has the formulas. Batch
    normalization adds a matrix of low rank to each block, which `polarstep.curvature.batchnorm`
    derives. "sketch" applies Hutch++ [2]_ to one row at a time.

    References
    ----------
    .. [1] J. Kohler, H. Daneshmand, A. Lucchi, M. Zhou, K. Neymeyr, T. Hofmann, "Exponential
       convergence rates for Batch Normalization", AISTATS 2019, section 5, which studies the
       dependence between layers by this norm.
    .. [2] R. A. Meyer, C. Musco, C. Musco, D. P. Woodruff, "Hutch++: Optimal stochastic trace
       estimation", SOSA 2021.

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
    in_bytes = int(number(memory, WHO, "memory", above=0.0) * 2**30)
    generator = np.random.default_rng(whole_number(seed, WHO, "seed"))
    batch_loss = BatchLoss(model, loss_fn, batch)
    rows, names = batch_loss.select(row, "row"), batch_loss.select(columns, "columns")
    if directions:
        _check_weights(batch_loss, [*rows, *names])
    pairs = list(dict.fromkeys(pair_of(a, b) for a in rows for b in names))
    diagonal = [(name, name) for name in rows]
    n_products = 0
    errors = dict.fromkeys([*pairs, *diagonal], 0.0)
    with batch_loss.undisturbed(), tqdm(disable=not progress, desc=WHO) as bar:
        if method == "sketch":
            estimates, n_products = sketch.norms(
                batch_loss, rows, names, directions, in_bytes, rtol, max_products, generator, bar
            )
            norms = {pair: estimate.norm for pair, estimate in estimates.items()}
            errors = {pair: estimate.stderr for pair, estimate in estimates.items()}
            how = "sketch"
            _check_errors(norms, errors, rtol, max_products)
        else:
            wanted = list(dict.fromkeys([*pairs, *diagonal]))
            try:
                squares = separable.squared_norms(batch_loss, wanted, directions, in_bytes, bar)
                how = "exact, by per-sample Jacobians"
            except NotSeparable as reason:
                # The diagonal blocks may cost more than all other blocks together.
                wanted = wanted if scale == "own" else pairs
                squares, n_products = products.squared_norms(
                    batch_loss, wanted, directions, in_bytes, bar
                )
                how = f"exact, by Hessian-vector products ({reason})"
            norms = {pair: float(np.sqrt(value)) for pair, value in squares.items()}
    return Coupling(
        rows=tuple(rows),
        columns=tuple(names),
        raw=np.array([[norms[pair_of(a, b)] for b in names] for a in rows]),
        raw_stderr=np.array([[errors[pair_of(a, b)] for b in names] for a in rows]),
        sizes={name: batch_loss.size(name, directions) for name in dict.fromkeys([*rows, *names])},
        own={name: norms[name, name] for name in rows if (name, name) in norms},
        scale=scale,
        directions=directions,
        how=how,
        n_products=n_products,
    )


def _check_weights(batch_loss: BatchLoss, names: list[str]) -> None:
    """Check that all named parameters have units, and thus directions."""
    for name in names:
        shape = tuple(batch_loss.parameters[name].shape)
        if len(shape) < 2:
            must = "name weights of two or more dimensions if directions=True"
            raise ValueError(complaint(WHO, "row or columns", must, f"{name!r} of shape {shape}"))


def _check_errors(
    norms: dict[tuple[str, str], float],
    errors: dict[tuple[str, str], float],
    rtol: float,
    max_products: int,
) -> None:
    """Warn of estimates whose standard errors exceed the tolerance."""
    inaccurate = {p: errors[p] / norms[p] for p in norms if errors[p] > rtol * norms[p]}
    if inaccurate:
        worst = max(inaccurate, key=inaccurate.__getitem__)
        text = (
            f"coupling: {len(inaccurate)} of {len(norms)} norms have a standard error above rtol = "
            f"{rtol:g} after max_products = {max_products}; the largest is "
            f"{inaccurate[worst]:.2g} of the norm between {worst[0]} and {worst[1]}. "
            "Increase max_products or rtol."
        )
        warnings.warn(text, RuntimeWarning, stacklevel=3)
