"""Which parameter goes where: hidden matrices by length and direction, the rest by AdamW."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from ..validation import complaint, unknown, whole_number

WHO = "LengthDirection"
RULES = ("adamw", "direction")
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
_GATES = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}
Override = Mapping[str, str] | Callable[[str, Tensor], str | None] | None


@dataclass(frozen=True, eq=False)
class Assigned:
    """One parameter, the rule that moves it, and how it is seen as matrices.

    Attributes
    ----------
    name : str
        As in ``model.named_parameters()``.
    parameter : Tensor
        The model's own.
    rule : "direction" or "adamw"
        By length and direction, or by AdamW.
    why : str
        The reason, in words.
    blocks : int
        Matrices that lie below one another in the parameter: packed q, k, v, the gates of a
        recurrent layer, the groups of a convolution.
    transposed : bool
        Whether its first two axes are (inputs, outputs) instead of (outputs, inputs).
    layers : tuple of Module
        The layers that multiply by it, whose inputs can be seen.
    """

    name: str
    parameter: Tensor
    rule: str
    why: str
    blocks: int = 1
    transposed: bool = False
    layers: tuple[nn.Module, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(matrices, rows, columns): a row holds the weights of one unit."""
        size = self.parameter.shape
        outputs = size[1] if self.transposed else size[0]
        return self.blocks, outputs // self.blocks, self.parameter.numel() // outputs

    @property
    def grouped(self) -> bool:
        """Whether the matrices have inputs of their own, as the groups of a convolution."""
        return any(isinstance(layer, _ConvNd) and layer.groups > 1 for layer in self.layers)

    def matrices(self, tensor: Tensor) -> Tensor:
        """A tensor of the parameter's shape as a stack of matrices."""
        return (tensor.transpose(0, 1) if self.transposed else tensor).reshape(self.shape)

    def tensor(self, matrices: Tensor) -> Tensor:
        """A stack of matrices in the parameter's shape."""
        size = list(self.parameter.shape)
        if not self.transposed:
            return matrices.reshape(size)
        return matrices.reshape([size[1], size[0], *size[2:]]).transpose(0, 1)


class Assignment(list[Assigned]):
    """A list of `Assigned` that prints as a table."""

    def __str__(self) -> str:
        head = ("parameter", "shape", "rule", "matrices", "why")
        lines = [head, *(_line(entry) for entry in self)]
        widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )


def _line(entry: Assigned) -> tuple[str, ...]:
    blocks, rows, columns = entry.shape if entry.rule == "direction" else (0, 0, 0)
    matrices = f"{rows} x {columns}" if blocks == 1 else f"{blocks} of {rows} x {columns}"
    shape = " x ".join(map(str, entry.parameter.shape)) or "1"
    return entry.name, shape, entry.rule, matrices if blocks else "", entry.why


def assignment(
    model: nn.Module, *, assign: Override = None, chunks: Mapping[str, int] | None = None
) -> Assignment:
    """Which of a model's parameters go by length and direction, and which by AdamW.

    By length and direction: the weights of linear and convolutional layers (as their flattened
    matrices), of attention and of recurrent layers. By AdamW: embeddings, the head (what is tied to
    an embedding, or else the last linear or convolutional layer, unless it is the only one), gains,
    biases, and parameters that no known layer multiplies by.

    Parameters
    ----------
    model : Module
        It is not called.
    assign : dict or callable, optional
        Overrides: {pattern: "direction" or "adamw"} with patterns of names as in a shell
        (``"blocks.0.*"``; the last one that matches counts), or a function of (name, parameter)
        that returns a rule, or None to leave it as it is.
    chunks : dict, optional
        {pattern: number of matrices packed below one another}, such as ``{"*.attn.weight": 3}`` for
        q, k and v. Without it, layers called ``*qkv*`` or ``c_attn`` with three times as many
        outputs as inputs have three.

    Returns
    -------
    Assignment
        One entry for each parameter, tied ones once; ``print`` shows a table.

    Raises
    ------
    ValueError, TypeError
        A pattern that matches nothing, a rule that is not known, a matrix that does not divide.

    Examples
    --------
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 2))
    >>> print(assignment(model, assign={"0.weight": "adamw"}))
    parameter  shape  rule       matrices  why
    0.weight   8 x 4  adamw                as asked
    0.bias     8      adamw                a bias or a gain
    2.weight   8 x 8  direction  8 x 8     the weight of a Linear
    2.bias     8      adamw                a bias or a gain
    3.weight   2 x 8  adamw                the head: the last layer
    3.bias     2      adamw                a bias or a gain
    """
    if not isinstance(model, nn.Module):
        got = f"a {type(model).__name__}"
        raise TypeError(complaint("assignment", "model", "be a torch Module", got))
    model = unwrapped(model)
    owners: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for key, p in module.named_parameters(recurse=False):
            owners.setdefault(id(p), []).append((module, key))
    head = _head(model)
    entries = [_natural(name, p, owners[id(p)], head) for name, p in named_parameters(model)]
    return override(entries, model, assign, chunks)


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, of one that is compiled or trained by several processes."""
    inner = getattr(model, "_orig_mod", None)
    if isinstance(model, nn.parallel.DistributedDataParallel):
        inner = model.module
    return unwrapped(inner) if isinstance(inner, nn.Module) else model


def named_parameters(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Names without what compiling a part of the model adds to them."""
    named = unwrapped(model).named_parameters()
    return [(name.replace("_orig_mod.", ""), p) for name, p in named]


def bare(
    named: Iterable[tuple[str, Tensor]],
    model: nn.Module | None,
    assign: Override,
    chunks: Mapping[str, int] | None,
) -> Assignment:
    """The assignment of given parameters, by the layers of the model if there is one."""
    named = list(named)
    if model is None:
        entries = [_by_shape(name, p) for name, p in named]
        return override(entries, None, assign, chunks)
    known = {id(entry.parameter): entry for entry in assignment(model)}
    entries = [
        replace(known[id(p)], name=name) if id(p) in known else _by_shape(name, p)
        for name, p in named
    ]
    return override(entries, model, assign, chunks)


def _by_shape(name: str, p: Tensor) -> Assigned:
    if p.ndim >= 2 and p.is_floating_point():
        return Assigned(name, p, "direction", f"{p.ndim} axes")
    return Assigned(name, p, "adamw", "a bias or a gain")


def _natural(
    name: str, p: Tensor, owners: list[tuple[nn.Module, str]], head: Tensor | None
) -> Assigned:
    if any(isinstance(module, _EMBEDDINGS) for module, _ in owners):
        tied = ", and tied to it" if len(owners) > 1 else ""
        return Assigned(name, p, "adamw", f"an embedding{tied}")
    if p.ndim < 2 or not p.is_floating_point():
        return Assigned(name, p, "adamw", "a bias or a gain")
    module, key = owners[0]
    kind = type(module).__name__
    if isinstance(module, nn.MultiheadAttention):
        blocks = 3 if key == "in_proj_weight" else 1
        if key in ("bias_k", "bias_v"):
            return Assigned(name, p, "adamw", "a bias or a gain")
        return Assigned(name, p, "direction", f"projections of a {kind}", blocks)
    for recurrent, gates in _GATES.items():
        if isinstance(module, recurrent):
            blocks = 1 if key.startswith("weight_hr") else gates
            return Assigned(name, p, "direction", f"gates of a {kind}", blocks)
    layers = tuple(module for module, key in owners if key == "weight" and gathers(module))
    if key == "weight" and isinstance(module, (nn.Linear, _ConvNd)):
        if p is head:
            return Assigned(name, p, "adamw", "the head: the last layer", layers=layers)
        why = f"the weight of a {kind}"
        if isinstance(module, _ConvTransposeNd):
            if module.groups > 1:
                return Assigned(name, p, "adamw", "a grouped transposed convolution")
            return Assigned(name, p, "direction", why, transposed=True)
        blocks = module.groups if isinstance(module, _ConvNd) else 1
        last = name.split(".")[-2] if "." in name else ""
        if blocks == 1 and p.shape[0] == 3 * p.shape[1] and ("qkv" in last or last == "c_attn"):
            blocks, why = 3, f"{why}, q, k and v"
        return Assigned(name, p, "direction", why, blocks, layers=layers)
    return Assigned(name, p, "adamw", "no layer is known to multiply by it")


def _head(model: nn.Module) -> Tensor | None:
    """The weight of the last of several linear or convolutional layers, if none is an embedding."""
    modules = list(model.modules())
    embedded = {id(m.weight) for m in modules if isinstance(m, _EMBEDDINGS)}
    weights = [m.weight for m in modules if isinstance(m, (nn.Linear, _ConvNd))]
    if embedded & {id(weight) for weight in weights} or len({id(w) for w in weights}) < 2:
        return None
    return weights[-1]


def override(
    entries: list[Assigned],
    model: nn.Module | None,
    assign: Override,
    chunks: Mapping[str, int] | None,
) -> Assignment:
    """The entries with the user's wishes."""
    for k, entry in enumerate(entries):
        rule = _wish(assign, entry)
        if rule is None:
            continue
        if rule not in RULES:
            raise ValueError(unknown(rule, RULES, WHO, "assign"))
        if rule == "direction" and (entry.parameter.ndim < 2 or entry.parameter.is_complex()):
            must = "give by length and direction only what has rows of real numbers"
            got = f"{entry.name!r} with shape {tuple(entry.parameter.shape)}"
            raise ValueError(complaint(WHO, "assign", must, got))
        layers = entry.layers or _layers(model, entry.parameter)
        entries[k] = replace(entry, rule=rule, why="as asked", layers=layers)
    for pattern, number in (chunks or {}).items():
        number = whole_number(number, WHO, f"chunks[{pattern!r}]", at_least=1)
        found = [k for k, entry in enumerate(entries) if fnmatchcase(entry.name, pattern)]
        if not found:
            raise ValueError(unknown(pattern, [e.name for e in entries], WHO, "chunks"))
        for k in found:
            entry = entries[k]
            if entry.parameter.ndim < 2:
                continue
            if entry.grouped or replace(entry, blocks=1).shape[1] % number:
                must = f"divide the outputs of {entry.name!r}, which are not in groups already"
                raise ValueError(complaint(WHO, "chunks", must, number))
            entries[k] = replace(entry, blocks=number)
    if isinstance(assign, Mapping):
        for pattern in assign:
            if not any(fnmatchcase(entry.name, pattern) for entry in entries):
                raise ValueError(unknown(pattern, [e.name for e in entries], WHO, "assign"))
    return Assignment(entries)


def _wish(assign: Any, entry: Assigned) -> str | None:
    if assign is None:
        return None
    if isinstance(assign, Mapping):
        matching = [rule for pattern, rule in assign.items() if fnmatchcase(entry.name, pattern)]
        return matching[-1] if matching else None
    if callable(assign):
        return assign(entry.name, entry.parameter)
    must = "be a dict of patterns and rules, or a function"
    raise TypeError(complaint(WHO, "assign", must, f"a {type(assign).__name__}"))


def _layers(model: nn.Module | None, p: Tensor) -> tuple[nn.Module, ...]:
    return tuple(m for m in model.modules() if gathers(m) and m.weight is p) if model else ()


def gathers(module: nn.Module) -> bool:
    """Whether the rows of this layer's weight multiply its inputs, or patches of them."""
    if isinstance(module, (_ConvTransposeNd, NonDynamicallyQuantizableLinear)):
        return False  # the latter, of MultiheadAttention, is never called
    return isinstance(module, (nn.Linear, _ConvNd))


def check_real(entry: Assigned) -> None:
    """Refuse what has no finite start."""
    local = getattr(entry.parameter, "_local_tensor", entry.parameter)
    if not bool(torch.isfinite(local).all()):
        must = "hold finite numbers only"
        raise ValueError(complaint(WHO, "params", must, f"NaN or infinity in {entry.name!r}"))
