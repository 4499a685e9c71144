"""Fully connected networks: plain, batch-normalized or weight-normalized."""

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
    """Draw normal weights of variance 2 / inputs, which suits ReLU (He et al. 2015)."""
    nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)


def _glorot(weight: Tensor, generator: torch.Generator) -> None:
    """Draw uniform weights of variance 2 / (inputs + outputs) (Glorot and Bengio 2010)."""
    nn.init.xavier_uniform_(weight, generator=generator)


_ACTIVATIONS: dict[str, tuple[type[nn.Module], Callable[[Tensor, torch.Generator], None]]] = {
    "relu": (nn.ReLU, _he),
    "tanh": (nn.Tanh, _glorot),
}


class _TwiceDifferentiable(_WeightNorm):
    """PyTorch's weight normalization, computed so that second derivatives are correct.

    PyTorch's own implementation (2.13) treats ||v_p|| as a constant when its gradient is
    differentiated, so Hessians with respect to v are wrong and not symmetric. It does not support
    forward-mode differentiation either.
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
    """Build a fully connected network, plain, batch-normalized or weight-normalized.

    The initial weights depend on the seed and not on the normalization, so networks that differ
    only in their normalization can be compared.

    Parameters
    ----------
    sizes : sequence of int
        Number of inputs, number of units of each hidden layer, number of outputs: K + 1 numbers
        for K linear layers.
    activation : {"relu", "tanh"}, default="relu"
        The activation function after each hidden layer. It also determines the initial weights:
        normal with variance 2 / inputs for ReLU [1]_, uniform with variance
        2 / (inputs + outputs) for tanh [2]_.
    normalization : {None, "batch", "weight"}, default=None
        "batch" inserts a ``BatchNorm1d`` [3]_ after each hidden linear layer, which then has no
        bias, because batch normalization subtracts the mean. "weight" applies weight
        normalization [4]_ to every linear layer, including the output layer. None leaves the
        network plain.
    shift : bool, default=True
        Whether batch normalization adds a trained shift to each unit. Without it, as in [5]_, the
        ``bias`` of the ``BatchNorm1d`` layers is None. It has no effect on other networks.
    seed : int, optional
        Seed of the initial weights. By default, the weights are different every time. The global
        random state of torch is not used.

    Returns
    -------
    torch.nn.Sequential
        The network, with the modules ``linear1, norm1, activation1, linear2, ..., linearK`` (the
        norms only with batch normalization). Biases and shifts start at zero, gains at one. The
        parameters have torch's default dtype and are on the CPU.

    Raises
    ------
    ValueError
        If ``sizes`` has fewer than two entries or one that is not positive, or if a name is
        unknown.
    TypeError
        If ``seed`` or an entry of ``sizes`` is not an integer.

    See Also
    --------
    train : Train a network by gradient descent.

    Notes
    -----
    With the weights W_k of shape (outputs, inputs) and the biases b_k of layer k, the activation a
    and the normalization N, the network computes

    .. math:: x \\mapsto W_K a(N(W_{K-1} \\cdots a(N(W_1 x + b_1)) \\cdots)) + b_K.

    With batch normalization, row w_p of W acts as gain_p w_p / std(w_p^T x), so the gain is the
    length of the row. With weight normalization, row p is g_p v_p / ||v_p||, where g_p = ||v_p||
    at the start. The parameters then have the names that
    ``torch.nn.utils.parametrizations.weight_norm`` gives them: for the fourth layer,
    ``linear4.parametrizations.weight.original0`` is g and ``original1`` is v.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers: Surpassing human-level
       performance on ImageNet classification", ICCV 2015.
    .. [2] X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward
       neural networks", AISTATS 2010.
    .. [3] S. Ioffe and C. Szegedy, "Batch normalization: Accelerating deep network training by
       reducing internal covariate shift", ICML 2015.
    .. [4] T. Salimans and D. P. Kingma, "Weight normalization: A simple reparameterization to
       accelerate training of deep neural networks", NeurIPS 2016.
    .. [5] J. Kohler, H. Daneshmand, A. Lucchi, M. Zhou, K. Neymeyr and T. Hofmann, "Exponential
       convergence rates for batch normalization", AISTATS 2019.

    Examples
    --------
    >>> from polarstep.nn import mlp
    >>> model = mlp([12, 8, 3], normalization="batch", seed=0)
    >>> [name for name, _ in model.named_children()]
    ['linear1', 'norm1', 'activation1', 'linear2']
    >>> model.linear1.weight.shape
    torch.Size([8, 12])
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
        # Creating the layer on "meta" avoids drawing weights from torch's global random state.
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
