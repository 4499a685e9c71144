"""The entries of an assignment: a parameter, its rule, and its form as a stack of matrices."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from ..validation import complaint

WHO = "LengthDirection"
RULES = ("adamw", "direction")


@dataclass(frozen=True, eq=False)
class Assigned:
    """One parameter, the rule that updates it, and its form as a stack of matrices.

    Parameters
    ----------
    name : str
        Name of the parameter, as in ``model.named_parameters()``.
    parameter : Tensor
        The parameter of the model itself, not a copy.
    rule : {"direction", "adamw"}
        Whether it is updated by length and direction or by AdamW.
    why : str
        The reason for the rule, in words.
    blocks : int, default=1
        Number of matrices that are stacked vertically in the parameter: q, k and v, the
        gates of a recurrent layer, or the groups of a convolution.
    transposed : bool, default=False
        Whether the first two axes are (inputs, outputs) instead of (outputs, inputs).
    layers : tuple of Module, optional
        The layers that multiply their inputs by the parameter.
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
        """Shape (matrices, rows, columns), where a row holds the weights of one unit."""
        size = self.parameter.shape
        outputs = size[1] if self.transposed else size[0]
        return self.blocks, outputs // self.blocks, self.parameter.numel() // outputs

    @property
    def grouped(self) -> bool:
        """Whether each matrix has separate inputs, like the groups of a convolution."""
        return any(isinstance(layer, _ConvNd) and layer.groups > 1 for layer in self.layers)

    def matrices(self, tensor: Tensor) -> Tensor:
        """Return a tensor of the parameter's shape as a stack of matrices.

        Parameters
        ----------
        tensor : Tensor
            A tensor like the parameter, such as its gradient.

        Returns
        -------
        Tensor of shape (matrices, rows, columns)
            A view if possible, otherwise a copy.
        """
        return (tensor.transpose(0, 1) if self.transposed else tensor).reshape(self.shape)

    def tensor(self, matrices: Tensor) -> Tensor:
        """Return a stack of matrices in the parameter's shape.

        Parameters
        ----------
        matrices : Tensor of shape (matrices, rows, columns)
            Matrices like those of the parameter.

        Returns
        -------
        Tensor
            A tensor like the parameter.
        """
        size = list(self.parameter.shape)
        if not self.transposed:
            return matrices.reshape(size)
        return matrices.reshape([size[1], size[0], *size[2:]]).transpose(0, 1)

    def check_finite(self) -> None:
        """Raise an error if the parameter holds NaN or infinity."""
        local = getattr(self.parameter, "_local_tensor", self.parameter)
        if not bool(torch.isfinite(local).all()):
            must = "contain only finite numbers"
            raise ValueError(complaint(WHO, "params", must, f"NaN or infinity in {self.name!r}"))


class Assignment(list[Assigned]):
    """A list of `Assigned` that prints as a table.

    Parameters
    ----------
    iterable : iterable of Assigned, optional
        The entries.

    Examples
    --------
    >>> from torch import nn
    >>> layer = nn.Linear(4, 8)
    >>> print(Assignment([Assigned("weight", layer.weight, "direction", "a hidden matrix")]))
    parameter  shape  rule       matrices  why
    weight     8 x 4  direction  8 x 4     a hidden matrix
    """

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


def multiplies_its_inputs(module: nn.Module) -> bool:
    """Return whether the rows of the layer's weight multiply its inputs, or patches of them."""
    if isinstance(module, (_ConvTransposeNd, NonDynamicallyQuantizableLinear)):
        return False  # MultiheadAttention never calls the second of them
    return isinstance(module, (nn.Linear, _ConvNd))
