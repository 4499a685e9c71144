"""LengthDirection in two processes: DistributedDataParallel, FSDP2 and their checkpoints.

The training runs are in `optim_ranks`; a single pair of processes does all of them.
"""

import functools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'polarstep[torch]'"
)

import torch.distributed as dist  # noqa: E402

import optim_ranks as ranks  # noqa: E402

if not (dist.is_available() and dist.is_gloo_available()):
    pytest.skip("this PyTorch has no gloo to connect processes", allow_module_level=True)
pytest.importorskip("torch.distributed.tensor", reason="this PyTorch has no FSDP2")

SECONDS = 300  # far more than the processes need
CLOSE = 1e-12  # measured: 3e-15


def run(folder):
    """Run the processes and return their error messages, or an empty string."""
    program = Path(ranks.__file__)
    processes = [
        subprocess.Popen(
            [sys.executable, program, str(rank), folder],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks.RANKS)
    ]
    deadline = time.monotonic() + SECONDS
    try:
        said = [p.communicate(timeout=max(0, deadline - time.monotonic()))[1] for p in processes]
    except subprocess.TimeoutExpired:
        return f"the processes were not done after {SECONDS} seconds"
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return "\n".join(e for p, e in zip(processes, said, strict=True) if p.returncode)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return {case: result} for each rank, from one run for all workers of pytest-xdist."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder, done = folder / "optim_ranks", folder / "optim_ranks.done"
    try:
        folder.mkdir()
    except FileExistsError:
        deadline = time.monotonic() + 1.1 * SECONDS
        while not done.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
    else:
        (folder / "errors").write_text(run(folder))
        (folder / "errors").rename(done)
    errors = done.read_text()
    assert not errors, errors
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(ranks.RANKS)]


@pytest.fixture
def result(results):
    """Return a function that looks up the result of a case for each rank."""

    def find(*case):
        for rank, seen in enumerate(results):
            if case not in seen:
                broken = next(name for name, found in seen.items() if "error" in found)
                pytest.fail(f"rank {rank} did not come to it after {broken} had failed")
            if "error" in seen[case]:
                pytest.fail(f"rank {rank}: {seen[case]['error']}")
        return [seen[case] for seen in results]

    return find


def ids(key):
    return ", ".join(key) if isinstance(key, tuple) else key


def gap(found, expected):
    """Return the largest difference between two lists or dicts of tensors."""
    if isinstance(found, dict):
        assert found.keys() == expected.keys()
        found, expected = list(found.values()), [expected[key] for key in found]
    pairs = list(zip(found, expected, strict=True))
    assert all(a.shape == b.shape for a, b in pairs)
    return max(((a - b).abs().max().item() for a, b in pairs), default=0.0)


def check(found, expected):
    """Assert that both ranks have the result of one process."""
    for mine in found:
        assert gap(mine["weights"], expected["weights"]) < CLOSE
        assert gap(mine["covariances"], expected["covariances"]) < CLOSE


@functools.cache
def one_process(network, chosen):
    model, optimizer = ranks.built(network, chosen)
    ranks.train(model, optimizer, ranks.batches(network))
    return ranks.outcome(model, optimizer)


def stepped(model, optimizer, steps):
    """Take steps on weighted sums of losses, given as lists of (x, weight of its loss)."""
    for calls in steps:
        optimizer.zero_grad()
        for x, share in calls:
            (share * ranks.loss_of(model, x)).backward()
        optimizer.step()
    return ranks.outcome(model, optimizer)


# --- two processes with half of the batch each against one process with all of it -------------


@pytest.mark.parametrize("key", ranks.TRAININGS, ids=ids)
def test_halves_of_a_batch_are_the_batch(result, key):
    expected = one_process(*key[1:])
    check(result("training", *key), expected)
    start = ranks.weights(ranks.NETWORKS[key[1]]())
    assert gap(start, expected["weights"]) > 0.05
    if "covariance" in key[2]:
        assert len(expected["covariances"]) > 1


@pytest.mark.parametrize("wrapper", ["DDP", "FSDP"])
def test_accumulated_gradients_are_one_batch(result, wrapper):
    check(result("accumulated", wrapper), one_process("dense", "covariance polar"))


# --- ranks that see different things -----------------------------------------------------------


@pytest.mark.parametrize("wrapper", ["DDP", "FSDP"])
def test_unequal_batches_count_in_covariances_by_their_inputs(result, wrapper):
    """Losses have equal weight, because DistributedDataParallel and FSDP2 average gradients."""
    model, optimizer = ranks.built("dense", "covariance polar")
    steps = [[(part, 0.5) for part in x.split([4, 8])] for x in ranks.batches()]
    expected = stepped(model, optimizer, steps)
    check(result("unequal", wrapper), expected)
    equal = one_process("dense", "covariance polar")
    first = "0.weight"  # the covariance of the data does not depend on the split
    torch.testing.assert_close(expected["covariances"][first], equal["covariances"][first])
    assert gap(expected["weights"], equal["weights"]) > 1e-3


def test_a_layer_that_one_rank_does_not_call_has_the_covariance_of_the_others(result):
    model = ranks.Optional()
    optimizer = ranks.LengthDirection(model, **ranks.OPTIONS["covariance polar"])
    for x in ranks.batches():
        calls = [(ranks.part(x, rank), rank == 1) for rank in range(ranks.RANKS)]
        ranks.step_with_layer_left_out(model, optimizer, calls)
    expected = ranks.outcome(model, optimizer)
    found = result("unseen")
    check(found, expected)
    assert set(expected["covariances"]) == {"first.weight", "maybe.weight"}
    never = ranks.Optional().never.weight
    assert any(torch.equal(p, never) for p in found[0]["weights"])


def test_without_a_process_group_ranks_are_independent(result):
    """They may even take different numbers of steps."""
    for rank, found in enumerate(result("alone")):
        model, optimizer = ranks.built("dense", "covariance polar")
        ranks.train(model, optimizer, ranks.parts(ranks.batches(), rank)[: ranks.STEPS - rank])
        check([found], ranks.outcome(model, optimizer))


def test_covariances_are_averaged_over_the_process_group_that_is_given(result):
    for rank, found in enumerate(result("groups of one")):
        model, optimizer = ranks.built("dense", "covariance polar")
        ranks.train(model, optimizer, ranks.parts(ranks.batches(), rank))
        check([found], ranks.outcome(model, optimizer))


# --- checkpoints -------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ranks.RESUMED, ids=ids)
def test_resumed_runs_end_at_the_same_bits(result, key):
    """DistributedDataParallel loads the checkpoint of the first rank, FSDP2 one for each rank."""
    assert all(found["same"] for found in result("resumed", *key))


@pytest.mark.parametrize("chosen", ranks.CHECKPOINTED)
@pytest.mark.parametrize("way", ["checkpointed", "broadcast"])
def test_distributed_checkpoints_resume_to_the_same_bits(result, way, chosen):
    assert all(found["same"] for found in result(way, chosen))


@pytest.mark.parametrize("chosen", ranks.CHECKPOINTED)
def test_a_checkpoint_of_one_process_resumes_in_two(result, chosen):
    for found in result("from one process", chosen):
        assert gap(found["weights"], found["expected"]) < CLOSE


@pytest.mark.parametrize("chosen", ranks.CHECKPOINTED)
@pytest.mark.parametrize("way", ["whole", "folder"])
def test_a_checkpoint_of_two_processes_resumes_in_one(result, way, chosen):
    for found in result("to one process", chosen):
        assert gap(found[way], found["expected"]) < CLOSE


def test_rows_of_zeros_wait_for_their_gradient_in_a_checkpoint(result):
    """Each rank has a row of zeros in a matrix of which the other rank has none."""
    for found in result("dead rows"):
        assert found["same"]
        assert min(found["lengths"]) > 0.01


# --- diagnostics and lengths -------------------------------------------------------------------


@pytest.mark.parametrize("key", ranks.WATCHED, ids=ids)
def test_diagnostics_and_lengths_are_those_of_one_process(result, key):
    model, optimizer = ranks.built("dense", key[1])
    expected = ranks.looked_at(model, optimizer, ranks.batches())
    for found in result("watched", *key):
        for name, row in expected["seen"].items():
            assert found["seen"][name] == pytest.approx(row, rel=1e-8, abs=1e-8)
        for what in ("lengths", "after", "weights"):
            assert gap(found[what], expected[what]) < CLOSE
    assert gap(expected["after"], expected["weights"]) > 0.01
