"""Dask task graphs over blocks of rows: one task for each block, and trees that combine results.

Every value on a worker is the result of a task that Dask can run again, and values are combined in
a fixed order. A worker may therefore die at any time: lost blocks are recomputed identically.
"""

from __future__ import annotations

import operator
import sys
import uuid
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import reduce
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

_FAN_IN = 8  # the number of values that a node of a tree combines

Combine = Callable[[Sequence[Any]], Any]


class BlockValues:
    """One value for each block of rows, kept on Dask's workers.

    This is a Dask collection: its tasks may be finished, running, or not yet submitted. If it holds
    one value for each row, the value of a block is an array of these, or a tuple that ends with it.

    Parameters
    ----------
    graph : dict
        The tasks by key; finished tasks are replaced by their results or futures.
    keys : list
        The key of each block's value.
    """

    def __init__(self, graph: dict[Any, Any], keys: list[Any]) -> None:
        self.graph, self.keys = graph, keys

    @classmethod
    def of(cls, collection: Any) -> BlockValues:
        """Return the blocks of a Dask collection."""
        keys = import_module("dask.core").flatten(collection.__dask_keys__())
        return cls(dict(collection.__dask_graph__()), list(keys))

    def take(self, which: list[int]) -> BlockValues:
        """Return the values of some blocks; their tasks must have been submitted."""
        keys = [self.keys[i] for i in which]
        return BlockValues({key: self.graph[key] for key in keys}, keys)

    def persist(self) -> BlockValues:
        """Submit the tasks and return a collection of their results."""
        with _large_graphs_allowed():
            (values,) = import_dask().persist(self)
        return values

    def compute(self) -> list[Any]:
        """Bring the values to the client."""
        with _large_graphs_allowed():
            (values,) = import_dask().compute(self)
        return values

    def __dask_graph__(self) -> dict[Any, Any]:
        return self.graph

    def __dask_keys__(self) -> list[Any]:
        return self.keys

    def __dask_tokenize__(self) -> Any:
        # The keys are unique; without this method Dask would hash all the values.
        return "polarstep.BlockValues", self.keys

    def __dask_postcompute__(self) -> tuple[Callable[..., list[Any]], tuple[()]]:
        return list, ()

    def __dask_postpersist__(self) -> tuple[Callable[..., BlockValues], tuple[list[Any]]]:
        return BlockValues, (self.keys,)

    @staticmethod
    def __dask_optimize__(graph: Any, keys: list[Any], **_: Any) -> Any:
        return graph.cull(set(keys))

    @staticmethod
    def __dask_scheduler__(*arguments: Any, **options: Any) -> Any:
        return import_module("dask.threaded").get(*arguments, **options)


class OnePerBlock(NamedTuple):
    """An argument of `map_blocks` that has a different value for each block."""

    values: list[Any]


def _large_graphs_allowed() -> Any:
    """Return a context in which Dask does not warn about tasks with 10 MB of arguments.

    Coefficients of many models and the folds of many rows are as large as that, and a scattered
    copy, which Dask advises instead, would be lost together with a worker.
    """
    if "distributed" not in sys.modules:  # whose options do not exist yet
        return nullcontext()
    return import_dask().config.set({"distributed.admin.large-graph-warning-threshold": "1 GiB"})


def import_dask() -> Any:
    """Import Dask when it is first needed, and return the module."""
    return import_module("dask")


def map_blocks(name: str, work: Callable[..., Any], *arguments: Any) -> BlockValues:
    """Build one task for each block: ``work(*arguments)``.

    An argument of type `BlockValues` or `OnePerBlock` contributes its value for that block; any
    other argument is the same for all blocks.
    """
    n = next(len(a.keys) for a in arguments if isinstance(a, BlockValues))
    name = f"{name}-{uuid.uuid4().hex}"
    graph: dict[Any, Any] = {}
    columns = []
    for j, a in enumerate(arguments):
        if isinstance(a, BlockValues):
            graph |= a.graph
            columns.append(a.keys)
        elif isinstance(a, OnePerBlock):
            columns.append(a.values)
        elif isinstance(a, np.ndarray):  # stored once in the graph instead of once in each task
            graph[name, "argument", j] = a
            columns.append([(name, "argument", j)] * n)
        else:
            columns.append([a] * n)
    keys = [(name, i) for i in range(n)]
    tasks = ((work, *values) for values in zip(*columns, strict=True))
    graph.update(zip(keys, tasks, strict=True))
    return BlockValues(graph, keys)


def combine_blocks(values: BlockValues, combine: Combine | None = None) -> BlockValues:
    """Build a tree of tasks that combines neighbouring values into one; by default it adds them."""
    name = f"tree-{uuid.uuid4().hex}"
    graph, keys, level = dict(values.graph), values.keys, 0
    while level == 0 or len(keys) > 1:
        groups = [keys[i : i + _FAN_IN] for i in range(0, len(keys), _FAN_IN)]
        keys = [(name, level, i) for i in range(len(groups))]
        tasks = ((_apply, combine or _add, *group) for group in groups)
        graph.update(zip(keys, tasks, strict=True))
        level += 1
    return BlockValues(graph, keys)


def compute_combined(values: BlockValues, combine: Combine | None = None) -> Any:
    """Combine all values by `combine_blocks` and bring the result to the client."""
    return combine_blocks(values, combine).compute()[0]


def join_lists(parts: Sequence[list[Any]]) -> list[Any]:
    """Join lists in order; for use as the ``combine`` of a tree."""
    return [item for part in parts for item in part]


def _apply(combine: Combine, *values: Any) -> Any:
    return combine(values)


def _add(values: Sequence[Any]) -> Any:
    return reduce(operator.add, values)
