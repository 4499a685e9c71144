"""S = E[x x^T] of the inputs of layers: gathered by forward hooks, averaged, damped, factored."""

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
    """What has been seen of a layer's inputs since the last refresh.

    Attributes
    ----------
    total : Tensor
        The sum of x x^T, shape (1, n, n), or (groups, n, n) for a grouped convolution.
    rows : Tensor
        How many x are in it, an integer.
    wanted : Tensor
        Whether inputs are gathered now; on the CPU, shared by the layers of a parameter group. It
        is a tensor so that a compiled model reads it at every call.
    limit : int
        At most so many x of one call are taken, spread out evenly; 0 takes them all.
    """

    def __init__(self, groups: int, n: int, like: Tensor, wanted: Tensor, limit: int) -> None:
        dtype = torch.promote_types(like.dtype, torch.float32)
        self.total = torch.zeros(groups, n, n, dtype=dtype, device=like.device)
        self.rows = torch.zeros((), dtype=torch.int64, device=like.device)
        self.wanted, self.limit = wanted, limit

    def to(self, device: torch.device) -> None:
        """Follow the layer to another device."""
        self.total, self.rows = self.total.to(device), self.rows.to(device)


class InputHook:
    """A forward hook that adds a layer's inputs to `Inputs`, in training and with gradients on.

    It knows nothing but the sums it adds to. A copy or a pickle of the model gets a hook that knows
    nothing at all, and does nothing.
    """

    def __init__(self, inputs: Inputs | None = None) -> None:
        self.inputs = inputs

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        inputs = self.inputs
        if inputs is None or not (module.training and torch.is_grad_enabled()) or not args:
            return
        # A tensor decides, inside of what the compiler does not look into: a compiled model asks
        # at every call, and is compiled once.
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
    """(kernel, stride, dilation, padding as pad takes it, its mode); empty for linear layers."""
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
            x = _spread_out(x.reshape(1, -1, x.shape[-1]), limit)
        x = x.to(total.dtype)
        product = x.mT @ x
        # One bad batch, as gradient scalers provoke them, must not spoil the average.
        finite = product.isfinite().all()
        total.add_(product.where(finite, 0.0))
        rows.add_(finite * x.shape[1])


# The same as one operation that compilers take as it is, and that they see change its arguments.
torch.library.custom_op(
    "polarstep::gather_inputs", _gather, mutates_args=("total", "rows")
).register_fake(lambda *args: None)


def _spread_out(x: Tensor, limit: int) -> Tensor:
    """At most ``limit`` entries along the second axis.

    Multiples of a step without a common divisor with their number, modulo that number: every
    position of a sequence, or of an image, has its share, whatever its length.
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
    """What a convolution multiplies by its flattened weights, shape (groups, patches, n).

    ``x`` has shape (samples, channels, *space), or none of samples. Where there are more than
    ``limit`` patches, samples are left out before patches of the others are.
    """
    axes = len(kernel)
    if x.ndim == axes + 1:
        x = x.unsqueeze(0)
    if limit:
        # Positions of the window: enough to tell how many samples fill the limit.
        around = [padding[2 * k] + padding[2 * k + 1] for k in reversed(range(axes))]
        places = 1
        for k in range(axes):
            free = x.shape[2 + k] + around[k] - dilation[k] * (kernel[k] - 1) - 1
            places *= free // stride[k] + 1
        x = _spread_out(x.unsqueeze(0), max(1, -(-limit // max(places, 1)))).squeeze(0)
    x = pad(x, list(padding), mode=mode)
    for k in range(axes):
        x = x.unfold(2 + k, dilation[k] * (kernel[k] - 1) + 1, stride[k])[..., :: dilation[k]]
    # (samples, channels, *places, *window) -> (groups, samples, *places, channels/groups, *window)
    x = x.reshape(len(x), groups, -1, *x.shape[2:])
    order = [1, 0, *range(3, 3 + axes), 2, *range(3 + axes, 3 + 2 * axes)]
    x = x.permute(order).flatten(1, 1 + axes).flatten(2)
    return _spread_out(x, limit)


def average_over_ranks(all_inputs: Iterable[Inputs], group: Any) -> None:
    """Add up the sums of all ranks, in one go per kind of number; every rank must come here."""
    all_inputs = list(all_inputs)
    totals: dict[torch.dtype, list[Tensor]] = {}
    for inputs in all_inputs:
        totals.setdefault(inputs.total.dtype, []).append(inputs.total)
    counts = torch.stack([inputs.rows for inputs in all_inputs])
    for same in totals.values():
        flat = torch.cat([total.flatten() for total in same])
        dist.all_reduce(flat, group=group)
        for total, summed in zip(same, torch.split(flat, [t.numel() for t in same]), strict=True):
            total.copy_(summed.view_as(total))
    dist.all_reduce(counts, group=group)
    for inputs, count in zip(all_inputs, counts, strict=True):
        inputs.rows.copy_(count)


def damped(S: Tensor, damping: float) -> Tensor:
    """S + damping tr(S)/n I; the identity where S is zero."""
    mean = S.diagonal(dim1=-2, dim2=-1).mean(-1)
    ridge = torch.where(mean > 0, damping * mean, 1.0)
    eye = torch.eye(S.shape[-1], dtype=S.dtype, device=S.device)
    return S + ridge[:, None, None] * eye


def factor(S: Tensor, damping: float) -> tuple[Tensor, Tensor]:
    """(L, R) with L L^T the damped S and R = L^-T, so that x^T R has the identity as covariance.

    Where rounding leaves S without a Cholesky factor, damping is raised until there is one.
    """
    for _ in range(20):
        L, failed = torch.linalg.cholesky_ex(damped(S, damping))
        if not failed.any() and L.isfinite().all():
            break
        damping = max(10 * damping, torch.finfo(S.dtype).eps)
    eye = torch.eye(S.shape[-1], dtype=S.dtype, device=S.device).expand_as(S)
    R = torch.linalg.solve_triangular(L.mT, eye, upper=True)
    # Row by row, as checkpoints hold them: another order would round otherwise.
    return L.contiguous(), R.contiguous()
