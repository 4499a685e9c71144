"""Fully connected networks: plain, batch-normalized, weight-normalized."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.parametrize import register_parametrization

from ..validation import complaint, look_up, whole_number


def _he(weight: Tensor, generator: torch.Generator) -> None:
    """Normal, variance 2 / inputs: keeps the second moment through linear layer and ReLU."""
    nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)


def _glorot(weight: Tensor, generator: torch.Generator) -> None:
    """Uniform, variance 2 / (inputs + outputs): a compromise of forward and backward pass."""
    nn.init.xavier_uniform_(weight, generator=generator)


_ACTIVATIONS: dict[str, tuple[type[nn.Module], Callable[[Tensor, torch.Generator], None]]] = {
    "relu": (nn.ReLU, _he),
    "tanh": (nn.Tanh, _glorot),
}


class _TwiceDifferentiable(_WeightNorm):
    """torch's weight normalization, in operations whose second derivatives are right.

    In torch's own (2.13) the gradient takes ||v_p|| for a constant, so that Hessians in v are
    wrong and not symmetric; and it has no forward mode.
    """

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / torch.norm_except_dim(weight_v, 2, self.dim))


def mlp(
    sizes: Sequence[int],
    activation: str = "relu",
    normalization: str | None = None,
    *,
    shift: bool = True,
    seed: int | None = None,
) -> nn.Sequential:
    """A fully connected network, x -> W_K a(norm(W_{K-1} ... a(norm(W_1 x + b_1)) ...)) + b_K.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, units of each hidden layer, outputs: K + 1 numbers for K linear layers.
    activation : "relu" or "tanh"
        The function a. It decides the initial weights, too: normal with variance 2/inputs for
        ReLU (He et al.), uniform with variance 2/(inputs + outputs) for tanh (Glorot and Bengio).
    normalization : None, "batch" or "weight"
        None: norm is the identity.

        "batch": ``BatchNorm1d`` after each hidden linear layer, which has no bias, because the
        mean that is taken off would undo it. Row p of W acts as gain_p w_p / std(w_p^T x): the gain
        is its length. The output layer is plain.

        "weight": rows are g_p v_p / ||v_p|| in every linear layer, the output layer included, and
        all layers have a bias. At the start g_p = ||v_p||. Parameters have the names that
        ``torch.nn.utils.parametrizations.weight_norm`` gives them:
        ``linear4.parametrizations.weight.original0`` is g, ``original1`` is v.
    shift : bool
        Whether batch normalization adds a trained shift per unit. Without it (as in Kohler et al.)
        the layers' ``bias`` is None. Networks without batch normalization have no shift.
    seed : int, optional
        The same seed gives the same weights W for every normalization. None draws a new one.
        torch's global random state is not touched.

    Returns
    -------
    Sequential
        Modules ``linear1, norm1, activation1, linear2, ..., linearK``, without the norms if
        there are none: W_4 is ``model.linear4.weight``. Biases and shifts start at zero,
        gains at one. The weights have torch's default dtype; ``.double()`` and ``.to(device)``
        work as usual.

    Raises
    ------
    ValueError, TypeError
        For sizes that are no network, or a name that is not known.

    Examples
    --------
    >>> model = mlp([12, 8, 3], normalization="batch", seed=0)
    >>> [name for name, _ in model.named_children()]
    ['linear1', 'norm1', 'activation1', 'linear2']
    >>> model.linear1.weight.shape
    torch.Size([8, 12])

    Sources: Ioffe and Szegedy, ICML 2015 (batch normalization); Salimans and Kingma, NeurIPS 2016
    (weight normalization); Kohler et al., AISTATS 2019 (no shift); He et al., ICCV 2015 and Glorot
    and Bengio, AISTATS 2010 (initial weights).
    """
    sizes = _check_sizes(sizes)
    make_activation, draw = look_up(activation, _ACTIVATIONS, "mlp", "activation")
    if normalization not in (None, "batch", "weight"):
        must = "be None, 'batch' or 'weight'"
        raise ValueError(complaint("mlp", "normalization", must, repr(normalization)))
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(whole_number(seed, "mlp", "seed"))

    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for k, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        hidden = k < len(sizes) - 1
        normalized = hidden and normalization == "batch"
        # From "meta": torch's own initial weights would be drawn from its global random state.
        linear = nn.Linear(inputs, outputs, bias=not normalized, device="meta")
        linear.to_empty(device="cpu")
        with torch.no_grad():
            draw(linear.weight, generator)
            if not normalized:
                linear.bias.zero_()
        if normalization == "weight":
            register_parametrization(linear, "weight", _TwiceDifferentiable(), unsafe=True)
        layers[f"linear{k}"] = linear
        if normalized:
            layers[f"norm{k}"] = norm = nn.BatchNorm1d(outputs)
            if not shift:
                norm.register_parameter("bias", None)
        if hidden:
            layers[f"activation{k}"] = make_activation()
    return nn.Sequential(layers)


def _check_sizes(sizes: Any) -> list[int]:
    must = "list the units of each layer, inputs first and outputs last"
    advice = "For instance: [3072, 50, 50, 10]."
    try:
        sizes = list(sizes)
    except TypeError:
        raise TypeError(complaint("mlp", "sizes", must, repr(sizes), advice)) from None
    if len(sizes) < 2:
        raise ValueError(complaint("mlp", "sizes", must, sizes, advice))
    return [whole_number(n, "mlp", f"sizes[{i}]", at_least=1) for i, n in enumerate(sizes)]
