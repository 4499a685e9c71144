"""Access to parameters whose entries are spread over ranks (FSDP2's DTensor)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch.distributed as dist
from torch import Tensor

from .entries import Assigned


def full(tensor: Any) -> Tensor:
    """Return the whole tensor; every rank must call this."""
    return tensor.full_tensor() if _spread(tensor) else tensor


def local(tensor: Any) -> Tensor:
    """Return this rank's part of a tensor, without communication."""
    return tensor._local_tensor if _spread(tensor) else tensor


def _spread(tensor: Any) -> bool:
    return dist.is_available() and hasattr(tensor, "full_tensor")


@dataclass(frozen=True)
class Matrices:
    """A parameter as the stack of matrices that this rank steps.

    Usually this is the whole parameter. If its first axis is spread over ranks and its rows are
    independent, each rank steps its own rows as one matrix, and only polar factors need all rows.
    """

    entry: Assigned
    by_rows: bool

    @classmethod
    def of(cls, entry: Assigned, group: dict[str, Any]) -> Matrices:
        """View a parameter as one matrix of this rank's rows if possible, else as its stack."""
        independent = group["metric"].rows_are_independent and group["gains"].axes == "row"
        needs_all_rows = group["angle"].measure == "rms" and not group["direction"].mixes_rows
        if not independent or needs_all_rows or entry.transposed or entry.grouped:
            return cls(entry, by_rows=False)
        return cls(entry, by_rows=_spread(entry.parameter) and _has_whole_rows(entry.parameter))

    def read(self, tensor: Any) -> Tensor:
        """Return a tensor like the parameter, such as its gradient, as this rank's matrices."""
        if self.by_rows:
            return local(tensor).reshape(1, -1, self.entry.shape[2])
        return self.entry.matrices(full(tensor))

    def write(self, matrices: Tensor) -> None:
        """Write this rank's matrices into the parameter."""
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
        """Return all matrices, (matrices, rows, ...), given each rank's rows, (1, rows, ...)."""
        blocks, m, _ = self.entry.shape
        return self.spread(rows).full_tensor().reshape(blocks, m, rows.shape[-1])

    def own(self, matrices: Tensor) -> Tensor:
        """Return this rank's rows of all matrices, shape (1, rows of the rank, ...)."""
        return local(self._part(matrices.flatten(0, 1))).unsqueeze(0)

    def spread(self, rows: Tensor) -> Any:
        """Return this rank's rows as its part of a DTensor of shape (all rows, ...)."""
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
        """Return all rows as checkpoints store them for any number of ranks, (all rows, ...)."""
        return self.spread(matrices) if self.by_rows else matrices.flatten(0, 1)

    def loaded(self, rows: Any) -> Tensor:
        """Return this rank's matrices, given all rows as checkpoints store them."""
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


def _has_whole_rows(parameter: Any) -> bool:
    """Return whether every rank holds whole rows, and none holds a part of a sum."""
    return all(p.is_replicate() or p.is_shard(0) for p in parameter.placements)
