"""Hooks that gather the covariance S = E[x x^T] of a layer's inputs, and factors of S."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.modules.conv import _ConvNd


class Inputs:
    """The sum of x x^T over the inputs x that a layer has seen since the last refresh.

    Parameters
    ----------
    groups : int
        Number of groups of a convolution, else one.
    n : int
        Number of inputs of one unit.
    like : Tensor
        A tensor with the type and the device of the weights.
    wanted : Tensor
        Whether inputs are gathered now. It is a tensor on the CPU, shared by the layers of a param
        group, so that a compiled model reads it at every call.
    limit : int
        Largest number of inputs that are used from one call, evenly spaced; 0 uses all of them.

    Attributes
    ----------
    total : Tensor of shape (groups, n, n)
        The sum of x x^T.
    rows : Tensor
        The number of inputs in the sum.
    """

    def __init__(self, groups: int, n: int, like: Tensor, wanted: Tensor, limit: int) -> None:
        dtype = torch.promote_types(like.dtype, torch.float32)
        self.total = torch.zeros(groups, n, n, dtype=dtype, device=like.device)
        self.rows = torch.zeros((), dtype=torch.int64, device=like.device)
        self.wanted, self.limit = wanted, limit

    def to(self, device: torch.device) -> None:
        """Move the sums to the device of the layer."""
        self.total, self.rows = self.total.to(device), self.rows.to(device)

    def clear(self) -> None:
        """Set the sums to zero."""
        self.total.zero_()
        self.rows.zero_()


class InputHook:
    """A forward hook that adds a layer's inputs to `Inputs`.

    It is active in training mode with gradients enabled. It holds a reference to the sums, but not
    to the optimizer. A copy or a pickle of the model gets a hook without sums, which does nothing.
    """

    def __init__(self, inputs: Inputs | None = None) -> None:
        self.inputs = inputs

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        inputs = self.inputs
        if inputs is None or not (module.training and torch.is_grad_enabled()) or not args:
            return
        # The custom operation, which the compiler does not trace, checks `wanted` at every call.
        # Otherwise the model would be compiled again whenever the flag changes.
        gather: Callable[..., None] = _gather
        if torch.compiler.is_compiling():
            gather = torch.ops.polarstep.gather_inputs
        elif not inputs.wanted:
            return
        x = args[0].detach()
        if inputs.total.device != x.device:
            inputs.to(x.device)
        gather(x, inputs.total, inputs.rows, inputs.wanted, inputs.limit, *_window(module))

    def __deepcopy__(self, memo: dict) -> InputHook:
        return InputHook()

    def __reduce__(self) -> tuple:
        return InputHook, ()


def _window(module: nn.Module) -> tuple[list[int], list[int], list[int], list[int], str]:
    """Return kernel, stride, dilation, padding and padding mode; linear layers have no kernel."""
    if not isinstance(module, _ConvNd):
        return [], [], [], [], "constant"
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    around = list(module._reversed_padding_repeated_twice)
    return list(module.kernel_size), list(module.stride), list(module.dilation), around, mode


def _gather(
    x: Tensor,
    total: Tensor,
    rows: Tensor,
    wanted: Tensor,
    limit: int,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    padding_mode: str,
) -> None:
    if not wanted or not x.numel():
        return
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        groups = len(total)
        if kernel:
            x = patches(x, kernel, stride, dilation, padding, padding_mode, limit, groups)
        else:
            x = _subsample(x.reshape(1, -1, x.shape[-1]), limit)
        x = x.to(total.dtype)
        product = x.mT @ x
        # A batch that overflows, as happens with gradient scalers, must not enter the average.
        finite = product.isfinite().all()
        total.add_(product.where(finite, 0.0))
        rows.add_(finite * x.shape[1])


# Compilers do not trace a custom operation; `mutates_args` tells them that it changes the sums.
torch.library.custom_op(
    "polarstep::gather_inputs", _gather, mutates_args=("total", "rows")
).register_fake(lambda *args: None)


def _subsample(x: Tensor, limit: int) -> Tensor:
    """Return at most ``limit`` entries, spread evenly along the second axis.

    The indices are multiples of a step, modulo the number of entries, to which the step is
    coprime. A period of the data, such as the length of a sequence, then has no effect.
    """
    count = x.shape[1]
    if limit == 0 or count <= limit:
        return x
    step = int(0.618 * count) + 1
    while math.gcd(step, count) > 1:
        step += 1
    return x[:, torch.arange(limit, device=x.device) * step % count]


def patches(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    mode: str = "constant",
    limit: int = 0,
    groups: int = 1,
) -> Tensor:
    """Return the patches that a convolution multiplies by its flattened weights.

    Parameters
    ----------
    x : Tensor of shape (samples, channels, *space) or (channels, *space)
        The input of the convolution.
    kernel, stride, dilation : sequence of int
        The parameters of the convolution.
    padding : sequence of int
        In the form of torch.nn.functional.pad.
    mode : str, default="constant"
        Mode of the padding.
    limit : int, default=0
        Largest number of patches, 0 for all. Whole samples are dropped before single patches.
    groups : int, default=1
        Number of groups of the convolution.

    Returns
    -------
    Tensor of shape (groups, patches, n)
    """
    axes = len(kernel)
    if x.ndim == axes + 1:
        x = x.unsqueeze(0)
    if limit:
        # The number of positions of the window tells how many samples fill the limit.
        around = [padding[2 * k] + padding[2 * k + 1] for k in reversed(range(axes))]
        places = 1
        for k in range(axes):
            free = x.shape[2 + k] + around[k] - dilation[k] * (kernel[k] - 1) - 1
            places *= free // stride[k] + 1
        x = _subsample(x.unsqueeze(0), max(1, -(-limit // max(places, 1)))).squeeze(0)
    x = pad(x, list(padding), mode=mode)
    for k in range(axes):
        x = x.unfold(2 + k, dilation[k] * (kernel[k] - 1) + 1, stride[k])[..., :: dilation[k]]
    # (samples, channels, *places, *window) -> (groups, samples, *places, channels/groups, *window)
    x = x.reshape(len(x), groups, -1, *x.shape[2:])
    order = [1, 0, *range(3, 3 + axes), 2, *range(3 + axes, 3 + 2 * axes)]
    x = x.permute(order).flatten(1, 1 + axes).flatten(2)
    return _subsample(x, limit)


def sum_over_ranks(all_inputs: Iterable[Inputs], group: Any) -> None:
    """Add up the sums of all ranks, in one reduction per dtype; every rank must call this."""
    all_inputs = list(all_inputs)
    totals: dict[torch.dtype, list[Tensor]] = {}
    for inputs in all_inputs:
        totals.setdefault(inputs.total.dtype, []).append(inputs.total)
    counts = torch.stack([inputs.rows for inputs in all_inputs])
    for same_dtype in totals.values():
        flat = torch.cat([total.flatten() for total in same_dtype])
        dist.all_reduce(flat, group=group)
        sizes = [total.numel() for total in same_dtype]
        for total, summed in zip(same_dtype, torch.split(flat, sizes), strict=True):
            total.copy_(summed.view_as(total))
    dist.all_reduce(counts, group=group)
    for inputs, count in zip(all_inputs, counts, strict=True):
        inputs.rows.copy_(count)


def damped(S: Tensor, damping: float) -> Tensor:
    """Return S + damping tr(S)/n I, or the identity where S is zero."""
    mean = S.diagonal(dim1=-2, dim2=-1).mean(-1)
    ridge = torch.where(mean > 0, damping * mean, 1.0)
    eye = torch.eye(S.shape[-1], dtype=S.dtype, device=S.device)
    return S + ridge[:, None, None] * eye


def factor(S: Tensor, damping: float) -> tuple[Tensor, Tensor]:
    """Return L and R = L^-T, where L L^T is the damped S and x^T R has covariance I.

    If rounding errors make the factorization fail, damping is raised until it succeeds.
    """
    for _ in range(20):
        L, failed = torch.linalg.cholesky_ex(damped(S, damping))
        if not failed.any() and L.isfinite().all():
            break
        damping = max(10 * damping, torch.finfo(S.dtype).eps)
    eye = torch.eye(S.shape[-1], dtype=S.dtype, device=S.device).expand_as(S)
    R = torch.linalg.solve_triangular(L.mT, eye, upper=True)
    # Checkpoints store tensors row by row. Another layout would round differently after loading.
    return L.contiguous(), R.contiguous()
