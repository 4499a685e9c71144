"""The loss of a model on one batch as a function of its named parameters."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from ..validation import complaint, type_of, unknown

WHO = "coupling"


class NotSeparable(Exception):
    """Signals that the per-sample method does not apply to a model; the message says why."""


class BatchLoss:
    """The function f(parameters) = loss_fn(model(inputs), targets), differentiable twice.

    The model is called with copies of its buffers, and with copies of its parameters as leaves.
    The model's running statistics, ``requires_grad`` and ``.grad`` therefore do not change, and
    frozen parameters have derivatives too.

    Parameters
    ----------
    model : torch.nn.Module
        The model. A compiled model is replaced by the module that it wraps.
    loss_fn : callable
        Function of (model output, targets) that returns a scalar tensor.
    batch : (inputs, targets)
        The batch. A tuple of inputs holds positional arguments, a dict holds keyword arguments.

    Attributes
    ----------
    parameters : dict of str to Tensor
        One leaf for each floating-point parameter, by its name in ``named_parameters()``.
    tied : set of str
        Names of the parameters that occur in several places of the model.
    value : float
        The loss at the model's parameters.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If the loss is not a finite scalar, has no gradient, or differs from call to call.
    """

    def __init__(
        self, model: nn.Module, loss_fn: Callable[[Any, Any], Tensor], batch: tuple[Any, Any]
    ) -> None:
        model = getattr(model, "_orig_mod", model)  # compiled code has no second derivative
        if not isinstance(model, nn.Module):
            raise TypeError(complaint(WHO, "model", "be a torch.nn.Module", type_of(model)))
        if not callable(loss_fn):
            must = "be a function of (model output, targets)"
            raise TypeError(complaint(WHO, "loss_fn", must, type_of(loss_fn)))
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            got = f"{len(batch)} items" if isinstance(batch, (tuple, list)) else type_of(batch)
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

    def evaluate(self, replacements: Mapping[Callable, Callable] | None = None) -> Tensor:
        """Compute f at the model's parameters, differentiable with respect to `parameters`.

        `replacements` maps functions of torch to the functions that are called in their place.
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
        replaced = _ReplacedFunctions({**_REWRITTEN, **(replacements or {})})
        with sdpa_kernel(SDPBackend.MATH), replaced:
            output = torch.func.functional_call(self.model, state, arguments, keywords)
            return self.loss_fn(output, self.targets)

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Enable gradients, and restore the random state and module attributes on leaving."""
        cuda = {value.device for value in self.parameters.values() if value.is_cuda}
        # torch's older weight_norm and spectral_norm keep the computed weight as an attribute.
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
        """Return the parameters chosen by a name, by several names, or by None (all weights)."""
        if names is None:
            weights = [name for name, value in self.parameters.items() if is_weight(name, value)]
            if not weights:
                must = "name parameters, because the model has no weights of two or more dimensions"
                raise ValueError(complaint(WHO, argument, must, None))
            return weights
        if not isinstance(names, Iterable):
            must = "be a name or several names"
            raise TypeError(complaint(WHO, argument, must, type_of(names)))
        chosen = [names] if isinstance(names, str) else list(names)
        for name in chosen:
            if name not in self.parameters:
                raise ValueError(unknown(name, self.parameters, WHO, argument))
        if not chosen or len(set(chosen)) < len(chosen):
            must = "name at least one parameter, and none twice"
            raise ValueError(complaint(WHO, argument, must, chosen))
        return chosen

    def size(self, name: str, directions: bool) -> float:
        """Return ||W||, or the norm of the stacked unit directions of W, sqrt(number of units)."""
        weight = self.parameters[name].detach()
        return math.sqrt(len(weight)) if directions else float(torch.linalg.vector_norm(weight))

    def _check(self) -> float:
        """Return the loss after checking that it is differentiable and deterministic."""
        first = self.evaluate()
        if not isinstance(first, Tensor) or first.ndim > 0:
            got = f"shape {tuple(first.shape)}" if isinstance(first, Tensor) else type_of(first)
            advice = "Average or sum it: reduction='mean' or 'sum'."
            raise ValueError(complaint(WHO, "loss_fn", "return a scalar tensor", got, advice))
        if not first.requires_grad:
            must = "depend on the model's parameters through differentiable operations"
            raise ValueError(complaint(WHO, "loss_fn", must, "a loss without a gradient"))
        own = [value for value in self.model.parameters() if value.requires_grad]
        if own and any(g is not None for g in torch.autograd.grad(first, own, allow_unused=True)):
            must = "depend on the parameters through the model's output alone"
            advice = "Compute penalties in the model's forward, and return them with its output."
            got = "a loss that uses the model's own tensors"
            raise ValueError(complaint(WHO, "loss_fn", must, got, advice))
        value, again = first.item(), self.evaluate().item()
        if not math.isfinite(value):
            advice = "Check the batch and the weights for NaN and infinity."
            raise ValueError(complaint(WHO, "loss_fn", "return a finite loss", value, advice))
        if abs(value - again) > 100 * torch.finfo(first.dtype).eps * max(1.0, abs(value)):
            must = "always give the same loss on the same batch"
            advice = (
                "Switch off random modules such as dropout: call eval() on the model, or on "
                "these modules only."
            )
            raise ValueError(complaint(WHO, "model", must, f"{value} and {again}", advice))
        return value


def _usable(part: Any) -> Any:
    """Copy tensors that were created in inference mode, which autograd cannot save."""
    if isinstance(part, Tensor):
        return part.clone() if part.is_inference() else part
    if type(part) in (tuple, list):
        return type(part)(_usable(item) for item in part)
    if isinstance(part, dict):
        return {name: _usable(item) for name, item in part.items()}
    return part


class _ReplacedFunctions(TorchFunctionMode):
    """A context in which some functions of torch are replaced by others."""

    def __init__(self, table: Mapping[Callable, Callable]) -> None:
        super().__init__()
        self.table = table

    def __torch_function__(
        self, func: Callable, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return self.table.get(func, func)(*args, **(kwargs or {}))


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """Compute g v/||v||; the fused kernel has a wrong second derivative with respect to v."""
    return g * v / torch.norm_except_dim(v, 2, dim)


_REWRITTEN: dict[Callable, Callable] = {torch._weight_norm: _weight_norm}


def pair_of(a: str, b: str) -> tuple[str, str]:
    """Return the key that a block and its transpose share, because their norms are equal."""
    return (a, b) if a <= b else (b, a)


def is_weight(name: str, value: Tensor) -> bool:
    """Tell whether a parameter is a matrix or a stack of kernels with one slice per unit.

    The lengths of torch's weight normalization, of shape (units, 1, ...), are not weights.
    """
    return value.ndim >= 2 and not name.endswith("parametrizations.weight.original0")
