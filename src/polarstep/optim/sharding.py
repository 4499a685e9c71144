"""Parameters that are spread over ranks (FSDP2's DTensor)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch.distributed as dist
from torch import Tensor

from .assignment import Assigned


def full(tensor: Any) -> Tensor:
    """The whole tensor; every rank must ask for it."""
    return tensor.full_tensor() if _spread(tensor) else tensor


def local(tensor: Any) -> Tensor:
    """This rank's part, without communication."""
    return tensor._local_tensor if _spread(tensor) else tensor


def _spread(tensor: Any) -> bool:
    return dist.is_available() and hasattr(tensor, "full_tensor")


@dataclass(frozen=True)
class Matrices:
    """A parameter as the stack of matrices that this rank steps.

    Mostly that is the whole parameter. Where its first axis is spread over ranks and rows have
    spheres of their own, each rank steps its own rows, as one matrix; only polar factors need all.
    """

    entry: Assigned
    by_rows: bool

    @classmethod
    def of(cls, entry: Assigned, group: dict[str, Any]) -> Matrices:
        """As one matrix of this rank's rows where that can be, else as the whole stack."""
        alone = group["metric"] != "frobenius" and group["gains"] == "row"
        measured = group["angle"] == "rms" and group["direction"] != "polar"
        if not alone or measured or entry.transposed or entry.grouped:
            return cls(entry, by_rows=False)
        return cls(entry, by_rows=_spread(entry.parameter) and _has_rows(entry.parameter))

    def read(self, tensor: Any) -> Tensor:
        """A tensor like the parameter, its gradient for instance, as this rank's matrices."""
        if self.by_rows:
            return local(tensor).reshape(1, -1, self.entry.shape[2])
        return self.entry.matrices(full(tensor))

    def write(self, matrices: Tensor) -> None:
        """Put this rank's matrices into the parameter."""
        parameter: Any = self.entry.parameter
        if self.by_rows:
            part = local(parameter)
            part.copy_(matrices.reshape(part.shape))
        elif _spread(parameter):
            part = self._part(self.entry.tensor(matrices))
            local(parameter).copy_(local(part))
        else:
            parameter.copy_(self.entry.tensor(matrices))

    def gather(self, rows: Tensor) -> Tensor:
        """All matrices, (matrices, rows, ...), of every rank's rows, (1, rows of the rank, ...)."""
        blocks, m, _ = self.entry.shape
        return self.spread(rows).full_tensor().reshape(blocks, m, rows.shape[-1])

    def own(self, matrices: Tensor) -> Tensor:
        """This rank's rows, (1, rows of the rank, ...), of all matrices."""
        return local(self._part(matrices.flatten(0, 1))).unsqueeze(0)

    def spread(self, rows: Tensor) -> Any:
        """This rank's rows as its part of a DTensor of shape (all rows, ...)."""
        from torch.distributed.tensor import DTensor

        parameter: Any = self.entry.parameter
        blocks, m, _ = self.entry.shape
        k = rows.shape[-1]
        return DTensor.from_local(
            rows[0].contiguous(),
            parameter.device_mesh,
            parameter.placements,
            run_check=False,
            shape=(blocks * m, k),  # type: ignore[arg-type]
            stride=(k, 1),
        )

    def saved(self, matrices: Tensor) -> Any:
        """What a checkpoint holds: all rows, (all rows, ...), on however many ranks they are."""
        return self.spread(matrices) if self.by_rows else matrices.flatten(0, 1)

    def loaded(self, rows: Any) -> Tensor:
        """This rank's matrices of what a checkpoint holds."""
        if self.by_rows and _spread(rows):
            return local(rows).unsqueeze(0)
        rows = full(rows)
        matrices = rows.reshape(self.entry.shape[0], -1, rows.shape[-1])
        return self.own(matrices) if self.by_rows else matrices

    def _part(self, whole: Tensor) -> Any:
        from torch.distributed.tensor import DTensor, Replicate

        parameter: Any = self.entry.parameter
        mesh, placements = parameter.device_mesh, parameter.placements
        everywhere = [Replicate()] * mesh.ndim
        return DTensor.from_local(whole, mesh, everywhere, run_check=False).redistribute(
            placements=placements
        )


def _has_rows(parameter: Any) -> bool:
    """Whether each rank has whole rows, and nobody a sum in parts."""
    return all(p.is_replicate() or p.is_shard(0) for p in parameter.placements)
