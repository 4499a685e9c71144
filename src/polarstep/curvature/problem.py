"""The loss of a model on a batch as a function of named parameters; the model stays as it is."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from ..validation import complaint, unknown

WHO = "coupling"


class NotSeparable(Exception):
    """The model is not of the kind that a fast way is for; the message says why."""


class Problem:
    """f(parameters) = loss_fn(model(inputs), targets), twice differentiable in every parameter.

    The model is called with copies of its buffers and with leaves of our own in place of its
    parameters, so that neither running statistics nor ``requires_grad`` nor ``.grad`` change, and
    frozen parameters can be asked about.

    Attributes
    ----------
    parameters : dict of str to Tensor
        A leaf for every floating-point parameter, by its name in ``named_parameters()``.
    tied : set of str
        Names of parameters that stand in more than one place of the model.

    Raises
    ------
    TypeError, ValueError
        If the arguments cannot be differentiated twice: no module, no (inputs, targets), no scalar
        or a non-finite loss, or a loss that differs from call to call.
    """

    def __init__(
        self, model: nn.Module, loss_fn: Callable[[Any, Any], Tensor], batch: tuple[Any, Any]
    ) -> None:
        model = getattr(model, "_orig_mod", model)  # a compiled model cannot be derived twice
        if not isinstance(model, nn.Module):
            got = f"a {type(model).__name__}"
            raise TypeError(complaint(WHO, "model", "be a torch.nn.Module", got))
        if not callable(loss_fn):
            must = "be a function of (model output, targets)"
            raise TypeError(complaint(WHO, "loss_fn", must, f"a {type(loss_fn).__name__}"))
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            got = f"{len(batch)} items" if isinstance(batch, (tuple, list)) else type(batch)
            raise TypeError(complaint(WHO, "batch", "be a pair (inputs, targets)", got))
        self.model, self.loss_fn = model, loss_fn
        self.parameters: dict[str, Tensor] = {}
        with torch.inference_mode(False):
            self.inputs, self.targets = (_usable(part) for part in batch)
            for name, value in model.named_parameters():
                if value.is_floating_point():
                    self.parameters[name] = value.detach().clone().requires_grad_()
        if not self.parameters:
            raise ValueError(complaint(WHO, "model", "have parameters", "a model without any"))
        places: dict[int, list[str]] = {}
        for name, value in model.named_parameters(remove_duplicate=False):
            places.setdefault(id(value), []).append(name)
        self.tied = {name for names in places.values() if len(names) > 1 for name in names}
        with self.undisturbed():
            self.value = self._check()

    def loss(self, instead: Mapping[Callable, Callable] | None = None) -> Tensor:
        """f at the model's parameters, differentiable in `parameters`.

        `instead` maps functions of torch to what is to be called in their place.
        """
        buffers = {name: value.clone() for name, value in self.model.named_buffers()}
        state = {**self.parameters, **buffers}
        arguments: tuple[Any, ...] = (self.inputs,)
        keywords: dict[str, Any] = {}
        if isinstance(self.inputs, tuple):
            arguments = self.inputs
        elif isinstance(self.inputs, dict):
            arguments, keywords = (), self.inputs
        # Fused attention has no second derivative.
        with sdpa_kernel(SDPBackend.MATH), _Instead({**_REWRITTEN, **(instead or {})}):
            output = torch.func.functional_call(self.model, state, arguments, keywords)
            return self.loss_fn(output, self.targets)

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Gradients on, whatever the caller has switched off; random numbers as they were."""
        cuda = {value.device for value in self.parameters.values() if value.is_cuda}
        # What parametrizations by hooks have computed last is an attribute beside the parameters.
        derived = [
            (module, {k: v for k, v in vars(module).items() if isinstance(v, Tensor)})
            for module in self.model.modules()
        ]
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.random.fork_rng(devices=list(cuda)),
        ):
            try:
                yield
            finally:
                for module, attributes in derived:
                    vars(module).update(attributes)

    def select(self, names: str | Iterable[str] | None, argument: str) -> list[str]:
        """The parameters that a name, a list of names or None (the weights) stands for."""
        if names is None:
            weights = [name for name, value in self.parameters.items() if is_weight(name, value)]
            if not weights:
                must = "name parameters, because the model has no weights of two or more dimensions"
                raise ValueError(complaint(WHO, argument, must, None))
            return weights
        if not isinstance(names, Iterable):
            got = f"a {type(names).__name__}"
            raise TypeError(complaint(WHO, argument, "be a name or several names", got))
        chosen = [names] if isinstance(names, str) else list(names)
        for name in chosen:
            if name not in self.parameters:
                raise ValueError(unknown(name, self.parameters, WHO, argument))
        if not chosen or len(set(chosen)) < len(chosen):
            must = "name at least one parameter, and none twice"
            raise ValueError(complaint(WHO, argument, must, chosen))
        return chosen

    def size(self, name: str, directions: bool) -> float:
        """||W||; of the directions, whose norms are 1, the square root of their number."""
        weight = self.parameters[name].detach()
        return math.sqrt(len(weight)) if directions else float(torch.linalg.vector_norm(weight))

    def _check(self) -> float:
        """The loss, once it has shown that it can be differentiated and repeats itself."""
        first = self.loss()
        if not isinstance(first, Tensor) or first.ndim > 0:
            got = f"shape {tuple(first.shape)}" if isinstance(first, Tensor) else type(first)
            advice = "Average or sum it: reduction='mean' or 'sum'."
            raise ValueError(complaint(WHO, "loss_fn", "return a scalar tensor", got, advice))
        if not first.requires_grad:
            must = "depend on the model's parameters by differentiable operations"
            raise ValueError(complaint(WHO, "loss_fn", must, "a loss without a gradient"))
        own = [value for value in self.model.parameters() if value.requires_grad]
        if own and any(g is not None for g in torch.autograd.grad(first, own, allow_unused=True)):
            must = "depend on the parameters through the model's output alone"
            advice = "Return what it needs, such as a penalty, from the model's forward."
            got = "a loss that uses the model's own tensors"
            raise ValueError(complaint(WHO, "loss_fn", must, got, advice))
        value, again = first.item(), self.loss().item()
        if not math.isfinite(value):
            advice = "Check the batch and the weights for NaN and infinity."
            raise ValueError(complaint(WHO, "loss_fn", "return a finite loss", value, advice))
        if abs(value - again) > 100 * torch.finfo(first.dtype).eps * max(1.0, abs(value)):
            must = "give the same loss twice on one batch"
            advice = (
                "Switch off what is random, such as dropout: call model.eval(), or set the "
                "training flag of those modules alone."
            )
            raise ValueError(complaint(WHO, "model", must, f"{value} and {again}", advice))
        return value


def _usable(part: Any) -> Any:
    """Inputs or targets that autograd can save: tensors made in inference mode are copied."""
    if isinstance(part, Tensor):
        return part.clone() if part.is_inference() else part
    if type(part) in (tuple, list):
        return type(part)(_usable(item) for item in part)
    if isinstance(part, dict):
        return {name: _usable(item) for name, item in part.items()}
    return part


class _Instead(TorchFunctionMode):
    """Calls other functions in place of some of torch's."""

    def __init__(self, table: Mapping[Callable, Callable]) -> None:
        super().__init__()
        self.table = table

    def __torch_function__(
        self, func: Callable, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return self.table.get(func, func)(*args, **(kwargs or {}))


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """g v/||v||, written out: the fused one's second derivative by v is wrong (torch 2.13)."""
    return g * v / torch.norm_except_dim(v, 2, dim)


_REWRITTEN: dict[Callable, Callable] = {torch._weight_norm: _weight_norm}


def pair_of(a: str, b: str) -> tuple[str, str]:
    """A block and its transpose have one norm, and one key."""
    return (a, b) if a <= b else (b, a)


def is_weight(name: str, value: Tensor) -> bool:
    """Whether a parameter is a matrix or a stack of kernels, one slice per unit.

    The lengths of torch's weight normalization, of shape (units, 1, ...), are not.
    """
    return value.ndim >= 2 and not name.endswith("parametrizations.weight.original0")
