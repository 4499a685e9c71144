"""The assignment of each parameter to length and direction or to AdamW."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from ..validation import complaint, type_of
from .entries import Assigned, Assignment, multiplies_its_inputs
from .overrides import Override, override

_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
_GATES = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}


def assignment(
    model: nn.Module, *, assign: Override = None, chunks: Mapping[str, int] | None = None
) -> Assignment:
    """List which parameters of a model are updated by length and direction, and which by AdamW.

    The weights of linear and convolutional layers (as flattened matrices), of attention and of
    recurrent layers are updated by length and direction. AdamW updates embeddings, the head, gains,
    biases, and parameters by which no known layer multiplies. The head is the layer that is tied to
    an embedding, or else the last of several linear or convolutional layers.

    Parameters
    ----------
    model : Module
        The network; it is not called.
    assign : dict or callable, optional
        Overrides of the rules. A dict maps patterns of names, as in a shell (``"blocks.0.*"``), to
        "direction" or "adamw"; the last matching pattern wins. A function of (name,
        parameter) returns a rule, or None to keep the default.
    chunks : dict, optional
        Maps patterns of names to the number of matrices that are stacked vertically in one
        parameter, such as ``{"*.attn.weight": 3}`` for q, k and v. By default, layers called
        ``*qkv*`` or ``c_attn`` with three times as many outputs as inputs hold three.

    Returns
    -------
    Assignment
        One entry for each parameter; tied parameters share an entry. ``print`` shows a table.

    Raises
    ------
    ValueError
        If a pattern matches nothing, a rule is not known, or a matrix cannot be divided.
    TypeError
        If an argument has the wrong type.

    Examples
    --------
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 2))
    >>> print(assignment(model, assign={"0.weight": "adamw"}))
    parameter  shape  rule       matrices  why
    0.weight   8 x 4  adamw                as requested
    0.bias     8      adamw                a bias or a gain
    2.weight   8 x 8  direction  8 x 8     the weight of a Linear
    2.bias     8      adamw                a bias or a gain
    3.weight   2 x 8  adamw                the head: the last layer
    3.bias     2      adamw                a bias or a gain
    """
    if not isinstance(model, nn.Module):
        raise TypeError(complaint("assignment", "model", "be a torch Module", type_of(model)))
    model = unwrapped(model)
    owners: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for key, p in module.named_parameters(recurse=False):
            owners.setdefault(id(p), []).append((module, key))
    head = _head(model)
    entries = [_by_layer(name, p, owners[id(p)], head) for name, p in named_parameters(model)]
    return override(entries, model, assign, chunks)


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the model that a compiled or distributed model wraps."""
    inner = getattr(model, "_orig_mod", None)
    if isinstance(model, nn.parallel.DistributedDataParallel):
        inner = model.module
    return unwrapped(inner) if isinstance(inner, nn.Module) else model


def named_parameters(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Return (name, parameter) pairs, without the prefixes that compiling a submodule adds."""
    named = unwrapped(model).named_parameters()
    return [(name.replace("_orig_mod.", ""), p) for name, p in named]


def assigned(
    named: Iterable[tuple[str, Tensor]],
    model: nn.Module | None,
    assign: Override,
    chunks: Mapping[str, int] | None,
) -> Assignment:
    """Assign a rule to each parameter, based on the layers of the model if it is known."""
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


def _by_layer(
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
        if key in ("bias_k", "bias_v"):
            return Assigned(name, p, "adamw", "a bias or a gain")
        blocks = 3 if key == "in_proj_weight" else 1
        return Assigned(name, p, "direction", f"projections of a {kind}", blocks)
    for recurrent, gates in _GATES.items():
        if isinstance(module, recurrent):
            blocks = 1 if key.startswith("weight_hr") else gates
            return Assigned(name, p, "direction", f"gates of a {kind}", blocks)
    if key == "weight" and isinstance(module, (nn.Linear, _ConvNd)):
        return _weight(name, p, owners, is_head=p is head)
    return Assigned(name, p, "adamw", "no known layer multiplies by it")


def _weight(
    name: str, p: Tensor, owners: list[tuple[nn.Module, str]], *, is_head: bool
) -> Assigned:
    """Assign the weight of a linear or convolutional layer."""
    layers = tuple(m for m, key in owners if key == "weight" and multiplies_its_inputs(m))
    if is_head:
        return Assigned(name, p, "adamw", "the head: the last layer", layers=layers)
    module = owners[0][0]
    why = f"the weight of a {type(module).__name__}"
    if isinstance(module, _ConvTransposeNd):
        if module.groups > 1:
            return Assigned(name, p, "adamw", "a grouped transposed convolution")
        return Assigned(name, p, "direction", why, transposed=True)
    blocks = module.groups if isinstance(module, _ConvNd) else 1
    layer = name.split(".")[-2] if "." in name else ""
    if blocks == 1 and p.shape[0] == 3 * p.shape[1] and ("qkv" in layer or layer == "c_attn"):
        blocks, why = 3, f"{why}, q, k and v"
    return Assigned(name, p, "direction", why, blocks, layers=layers)


def _head(model: nn.Module) -> Tensor | None:
    """Return the weight of the last of several linear or convolutional layers.

    Return None if one of their weights is tied to an embedding, which then is the head.
    """
    modules = list(model.modules())
    embedded = {id(m.weight) for m in modules if isinstance(m, _EMBEDDINGS)}
    weights = [m.weight for m in modules if isinstance(m, (nn.Linear, _ConvNd))]
    if embedded & {id(weight) for weight in weights} or len({id(w) for w in weights}) < 2:
        return None
    return weights[-1]
