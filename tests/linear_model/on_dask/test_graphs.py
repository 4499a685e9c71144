"""Task graphs over blocks: arguments, the order of combination, what is stored."""

import operator

import numpy as np
import pytest

dask = pytest.importorskip("dask", reason="Dask is not installed: pip install 'polarstep[dask]'")

from polarstep.linear_model.on_dask.graphs import (  # noqa: E402
    BlockValues,
    OnePerBlock,
    combine_blocks,
    compute_combined,
    join_lists,
    map_blocks,
)

NUMBERS = BlockValues(
    {("number", i): float(i) for i in range(20)}, [("number", i) for i in range(20)]
)


def test_arguments_are_given_by_block_or_to_all_blocks():
    found = map_blocks("join", lambda *a: a, NUMBERS, OnePerBlock([*"abcdefghijklmnopqrst"]), 7)
    assert found.compute() == [
        (float(i), letter, 7) for i, letter in enumerate("abcdefghijklmnopqrst")
    ]


def test_an_array_is_stored_once_in_a_graph():
    array = np.arange(5)
    found = map_blocks("add", operator.add, NUMBERS, array)
    assert sum(value is array for value in found.graph.values()) == 1
    np.testing.assert_array_equal(found.compute()[3], array + 3)


@pytest.mark.parametrize("n", [1, 2, 8, 9, 20])
def test_values_are_combined_in_order(n):
    lists = map_blocks("list", lambda number: [number], NUMBERS.take([*range(n)]))
    assert compute_combined(lists, join_lists) == [float(i) for i in range(n)]


def test_values_are_added_by_default():
    assert compute_combined(NUMBERS) == sum(range(20))
    assert len(combine_blocks(NUMBERS).keys) == 1


def test_persisted_values_can_be_taken_one_by_one():
    doubled = map_blocks("double", lambda number: 2 * number, NUMBERS).persist()
    assert doubled.take([3, 19]).compute() == [6.0, 38.0]
    assert len(doubled.take([3, 19]).graph) == 2


def test_dask_does_not_warn_about_large_arguments():
    """The users could not change them, and other ways to send them do not survive a worker."""
    pytest.importorskip("distributed", reason="only its schedulers warn")
    option = "distributed.admin.large-graph-warning-threshold"
    task = BlockValues({"limit": (dask.config.get, option)}, ["limit"])
    with dask.config.set({option: "10 MB"}):
        assert task.compute() == task.persist().compute() == ["1 GiB"]
        assert dask.config.get(option) == "10 MB"
