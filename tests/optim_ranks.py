"""Training runs in two processes, for tests/optim/test_sharding.py.

The program ``python optim_ranks.py RANK FOLDER`` is one of the two processes. It runs all `cases`
and writes their results, {case: result}, to FOLDER/RANK.pt. The tests compare them with results of
a single process for the same networks, batches and steps.
"""

import io
import itertools
import sys
import traceback
import warnings
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from polarstep.optim import SGD, Covariance, Diagnostics, Gains, LengthDirection, Polar

RANKS = 2
STEPS = 6
PATIENCE = timedelta(seconds=60)

# Covariances are refreshed at the first, third and fifth step, from all inputs.
COVARIANCE = Covariance(refresh_every=2, rows=0)


def options(metric, direction, **more):
    metric = COVARIANCE if metric == "covariance" else metric
    return {"lr": 0.05, "metric": metric, "direction": direction, **more}


def dense(seed=0):
    """Return a network with odd numbers of rows, packed matrices, and a layer of one row."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(6, 9),  # CHUNKS makes this three matrices of three rows
        nn.Tanh(),
        nn.Linear(9, 7),
        nn.Tanh(),
        nn.Linear(7, 1),
        nn.Linear(1, 3),
    ).double()


def convolutional(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv1d(6, 9, 3, groups=3),
        nn.Tanh(),
        nn.ConvTranspose1d(9, 5, 2),
        nn.Tanh(),
        nn.Conv1d(5, 4, 3, stride=2),
        nn.Flatten(),
        nn.Linear(4 * 3, 3),
    ).double()


NETWORKS = {"dense": dense, "convolutional": convolutional}
CHUNKS = {"dense": {"0.weight": 3}, "convolutional": None}


def batches(network="dense", steps=STEPS, size=12):
    generator = torch.Generator().manual_seed(1)
    shape = (size, 6) if network == "dense" else (size, 6, 9)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(steps)]


def loss_of(model, x):
    return (model(x) - torch.sin(x.flatten(1)[:, :3])).square().mean()


def train(model, optimizer, xs):
    for x in xs:
        optimizer.zero_grad()
        loss_of(model, x).backward()
        optimizer.step()


def part(x, rank):
    return x.chunk(RANKS)[rank]


def parts(xs, rank):
    return [part(x, rank) for x in xs]


def weights(model):
    """Return copies of all parameters, gathering those that are distributed over ranks."""
    return [whole(p.detach()).clone() for p in model.parameters()]


def whole(tensor):
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def covariances(optimizer):
    return {
        optimizer._entries[p].name: state["covariance"].clone()
        for p, state in optimizer.state.items()
        if "covariance" in state
    }


def ddp(model, **more):
    return nn.parallel.DistributedDataParallel(model, **more)


def fsdp(model, mesh_shape=(RANKS,), **more):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    names = ("replicate", "shard")[-len(mesh_shape) :]
    mesh = init_device_mesh("cpu", mesh_shape, mesh_dim_names=names)
    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer, mesh=mesh, **more)
    return fully_shard(model, mesh=mesh, **more)


WRAPPERS = {
    "DDP": ddp,
    "FSDP": fsdp,
    "FSDP on a mesh of replicas": lambda model: fsdp(model, (RANKS, 1)),
    "FSDP on a mesh of shards": lambda model: fsdp(model, (1, RANKS)),
    "FSDP of columns": lambda model: fsdp(model, shard_placement_fn=_columns),
}


def _columns(p):
    from torch.distributed.tensor import Shard

    return Shard(1) if p.ndim > 1 and p.shape[1] % RANKS == 0 else Shard(0)


METRICS = ("covariance", "euclidean", "frobenius")
DIRECTIONS = ("polar", "adam", "sgd")
OPTIONS = {
    **{f"{m} {d}": options(m, d) for m, d in itertools.product(METRICS, DIRECTIONS)},
    "length by sgd": options("covariance", "polar", length=SGD(lr=0.01, momentum=0.5)),
    "fixed length": options("covariance", "adam", length="fixed"),
    "without retraction": options("euclidean", "sgd", retraction="none", angle="off"),
    "batch normalization's own step": options(replace(COVARIANCE, precondition=False), "adam"),
    "rms without polar": options("euclidean", "sgd", angle="rms"),
    "both gains": options("euclidean", "polar", gains=Gains("both", positive=True)),
    "start length": options("covariance", "polar", start_length=1.0),
    "exact polar": options("euclidean", Polar(iteration="exact")),
}
# Runs in which each process has half of the batch, as (wrapper, network, options).
TRAININGS = [
    *itertools.product(["DDP", "FSDP"], ["dense"], OPTIONS),
    *itertools.product(["DDP", "FSDP"], ["convolutional"], [f"{m} polar" for m in METRICS]),
    *itertools.product(
        ["FSDP on a mesh of replicas", "FSDP on a mesh of shards", "FSDP of columns"],
        ["dense"],
        ["covariance polar", "frobenius polar"],
    ),
]


def built(network, chosen, seed=0, wrapper=None, **more):
    """Return a model and its optimizer."""
    model = NETWORKS[network](seed)
    if wrapper is not None:
        model = WRAPPERS[wrapper](model)
    return model, LengthDirection(model, **{**OPTIONS[chosen], **more}, chunks=CHUNKS[network])


def outcome(model, optimizer):
    return {"weights": weights(model), "covariances": covariances(optimizer)}


# --- cases, which are functions of the rank ----------------------------------------------------


def training(wrapper, network, chosen):
    def case(rank):
        model, optimizer = built(network, chosen, wrapper=wrapper)
        train(model, optimizer, parts(batches(network), rank))
        return outcome(model, optimizer)

    return case


def accumulated(wrapper):
    """Accumulate the gradients of two calls per step, the first one without communication."""

    def case(rank):
        model, optimizer = built("dense", "covariance polar", wrapper=wrapper)
        for x in batches():
            optimizer.zero_grad()
            first, second = part(x, rank).chunk(2)
            if wrapper == "DDP":
                with model.no_sync():
                    (loss_of(model, first) / 2).backward()
            else:
                model.set_requires_gradient_sync(False)
                (loss_of(model, first) / 2).backward()
                model.set_requires_gradient_sync(True)
            (loss_of(model, second) / 2).backward()
            optimizer.step()
        return outcome(model, optimizer)

    return case


def unequal(wrapper):
    """Give four inputs to one rank and eight to the other.

    The mean loss weighs ranks equally; the mean covariance weighs inputs equally.
    """

    def case(rank):
        model, optimizer = built("dense", "covariance polar", wrapper=wrapper)
        train(model, optimizer, [x.split([4, 8])[rank] for x in batches()])
        return outcome(model, optimizer)

    return case


class Optional(nn.Module):
    """A network with a layer that a call may omit, and one that is never called."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(6, 6).double()
        self.maybe = nn.Linear(6, 6).double()
        self.never = nn.Linear(6, 6).double()
        self.head = nn.Linear(6, 3).double()

    def forward(self, x, *, left_out):
        x = torch.tanh(self.first(x))
        return self.head(x if left_out else x + torch.tanh(self.maybe(x)))


def step_with_layer_left_out(model, optimizer, calls):
    """Take one step on the mean loss of calls (x, whether the layer is omitted)."""
    optimizer.zero_grad()
    for x, left_out in calls:
        out = model(x, left_out=left_out)
        ((out - torch.sin(x[:, :3])).square().mean() / len(calls)).backward()
    optimizer.step()


def unseen(rank):
    """Train while the second rank omits a layer, and both omit another one."""
    model = ddp(Optional(), find_unused_parameters=True)
    optimizer = LengthDirection(model, **OPTIONS["covariance polar"])
    for x in batches():
        step_with_layer_left_out(model, optimizer, [(part(x, rank), rank == 1)])
    return outcome(model, optimizer)


def alone(rank):
    """Train independently on each rank, with different numbers of steps."""
    model, optimizer = built("dense", "covariance polar", process_group=False)
    train(model, optimizer, parts(batches(), rank)[: STEPS - rank])
    return outcome(model, optimizer)


def groups_of_one(rank):
    groups = [dist.new_group([other]) for other in range(RANKS)]
    model, optimizer = built("dense", "covariance polar", process_group=groups[rank])
    train(model, optimizer, parts(batches(), rank))
    return outcome(model, optimizer)


def through_disk(content):
    file = io.BytesIO()
    torch.save(content, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def identical(model, other):
    pairs = zip(weights(model), weights(other), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def resumed(wrapper, network, chosen):
    """Resume from the checkpoint of the first rank with DDP, of the same rank with FSDP."""

    def case(rank):
        xs = parts(batches(network, steps=7), rank)
        model, optimizer = built(network, chosen, wrapper=wrapper)
        train(model, optimizer, xs[:3])
        saved = [through_disk({"model": model.state_dict(), "optimizer": optimizer.state_dict()})]
        if wrapper == "DDP":
            saved = saved if rank == 0 else [None]
            dist.broadcast_object_list(saved)
        other, loaded = built(network, chosen, seed=1, wrapper=wrapper)
        train(other, loaded, xs[:1])  # loading replaces this state
        other.load_state_dict(saved[0]["model"])
        loaded.load_state_dict(saved[0]["optimizer"])
        for each in ((model, optimizer), (other, loaded)):
            train(*each, xs[3:])
        return {"same": identical(model, other)}

    return case


def from_one_process(chosen):
    """Resume with FSDP from a checkpoint of a single process."""

    def case(rank):
        from torch.distributed.checkpoint.state_dict import (
            StateDictOptions,
            get_state_dict,
            set_state_dict,
        )

        xs = batches(steps=7)
        single, optimizer = built("dense", chosen, process_group=False)
        train(single, optimizer, xs[:3])
        weights_then, optimizer_then = through_disk(get_state_dict(single, optimizer))
        sharded, loaded = built("dense", chosen, seed=1, wrapper="FSDP")
        set_state_dict(
            sharded,
            loaded,
            model_state_dict=weights_then,
            optim_state_dict=optimizer_then,
            options=StateDictOptions(full_state_dict=True),
        )
        train(sharded, loaded, parts(xs[3:], rank))
        train(single, optimizer, xs[3:])
        return {"weights": weights(sharded), "expected": weights(single)}

    return case


def to_one_process(chosen, folder):
    """Resume in one process from a checkpoint of FSDP, of whole tensors and in a folder."""

    def case(rank):
        import torch.distributed.checkpoint as dcp
        from torch.distributed.checkpoint.state_dict import (
            StateDictOptions,
            get_state_dict,
            set_state_dict,
        )

        xs = batches(steps=7)
        sharded, optimizer = built("dense", chosen, wrapper="FSDP")
        train(sharded, optimizer, parts(xs[:3], rank))
        path = Path(folder) / f"{chosen} for one".replace(" ", "_")
        kept = dict(zip(("model", "optimizer"), get_state_dict(sharded, optimizer), strict=True))
        dcp.save(kept, checkpoint_id=path)
        options = StateDictOptions(full_state_dict=True)
        saved = get_state_dict(sharded, optimizer, options=options)
        ends = {}
        for name in ("whole", "folder"):
            single, loaded = built("dense", chosen, seed=1, process_group=False)
            there = get_state_dict(single, loaded)
            if name == "whole":
                there = through_disk(saved)
            else:
                dcp.load(dict(zip(("model", "optimizer"), there, strict=True)), checkpoint_id=path)
            set_state_dict(single, loaded, model_state_dict=there[0], optim_state_dict=there[1])
            train(single, loaded, xs[3:])
            ends[name] = weights(single)
        train(sharded, optimizer, parts(xs[3:], rank))
        return {**ends, "expected": weights(sharded)}

    return case


def checkpointed(chosen, folder):
    """Save to a folder with torch.distributed.checkpoint, and load into another model."""

    def case(rank):
        import torch.distributed.checkpoint as dcp
        from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

        xs = parts(batches(steps=7), rank)
        model, optimizer = built("dense", chosen, wrapper="FSDP")
        train(model, optimizer, xs[:3])
        path = Path(folder) / chosen.replace(" ", "_")
        weights_then, optimizer_then = get_state_dict(model, optimizer)
        dcp.save({"model": weights_then, "optimizer": optimizer_then}, checkpoint_id=path)

        other, loaded = built("dense", chosen, seed=1, wrapper="FSDP")
        weights_now, optimizer_now = get_state_dict(other, loaded)
        content = {"model": weights_now, "optimizer": optimizer_now}
        dcp.load(content, checkpoint_id=path)
        set_state_dict(
            other,
            loaded,
            model_state_dict=content["model"],
            optim_state_dict=content["optimizer"],
        )
        for each in ((model, optimizer), (other, loaded)):
            train(*each, xs[3:])
        return {"same": identical(model, other)}

    return case


def broadcast(chosen):
    """Load whole tensors that the first rank broadcasts to the other rank."""

    def case(rank):
        from torch.distributed.checkpoint.state_dict import (
            StateDictOptions,
            get_state_dict,
            set_model_state_dict,
            set_optimizer_state_dict,
        )

        xs = parts(batches(steps=7), rank)
        model, optimizer = built("dense", chosen, wrapper="FSDP")
        train(model, optimizer, xs[:3])
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        saved = through_disk(get_state_dict(model, optimizer, options=options))
        other, loaded = built("dense", chosen, seed=1, wrapper="FSDP")
        options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
        # The optimizer comes first, because torch initializes its state by a step of rate zero.
        set_optimizer_state_dict(other, loaded, saved[1], options=options)
        set_model_state_dict(other, saved[0], options=options)
        for each in ((model, optimizer), (other, loaded)):
            train(*each, xs[3:])
        return {"same": identical(model, other)}

    return case


def dead_rows(folder):
    """Save and load rows of zeros, one on each rank, before their first gradient."""

    def case(rank):
        import torch.distributed.checkpoint as dcp
        from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

        def built_with_zeros():
            model = dense()
            with torch.no_grad():
                model[0].weight[8] = 0  # a row of the second rank
                model[2].weight[0] = 0  # a row of the first rank
            model = fsdp(model)
            return model, LengthDirection(model, **OPTIONS["euclidean polar"])

        model, optimizer = built_with_zeros()
        for p in model.parameters():
            p.grad = torch.zeros_like(p)
        optimizer.step()
        then = get_state_dict(model, optimizer)
        path = Path(folder) / "dead_rows"
        dcp.save({"model": then[0], "optimizer": then[1]}, checkpoint_id=path)
        other, loaded = built_with_zeros()
        now = get_state_dict(other, loaded)
        dcp.load({"model": now[0], "optimizer": now[1]}, checkpoint_id=path)
        set_state_dict(other, loaded, model_state_dict=now[0], optim_state_dict=now[1])
        for each in ((model, optimizer), (other, loaded)):
            train(*each, parts(batches(), rank))
        rows = weights(other)[0][8], weights(other)[2][0]
        return {"same": identical(model, other), "lengths": [row.norm().item() for row in rows]}

    return case


def watched(wrapper, chosen):
    """Read diagnostics and lengths, and set lengths."""

    def case(rank):
        model, optimizer = built("dense", chosen, wrapper=wrapper)
        return looked_at(model, optimizer, parts(batches(), rank))

    return case


def looked_at(model, optimizer, xs):
    watch = Diagnostics(optimizer)
    train(model, optimizer, xs[:3])
    seen = watch.read()
    lengths = {name: optimizer.lengths(name) for name in seen}
    for name, g in lengths.items():
        optimizer.set_lengths(name, g * torch.linspace(0.5, 2, g.shape[1])[:, None])
    after = weights(model)
    train(model, optimizer, xs[3:])
    return {"seen": seen, "lengths": lengths, "after": after, "weights": weights(model)}


RESUMED = [
    *itertools.product(
        ["DDP", "FSDP"],
        ["dense"],
        ["covariance polar", "covariance adam", "euclidean sgd", "frobenius polar", "both gains"],
    ),
    ("FSDP", "convolutional", "covariance polar"),
]
CHECKPOINTED = ["covariance polar", "euclidean adam", "frobenius polar"]
WATCHED = [*itertools.product(["DDP", "FSDP"], ["covariance polar", "frobenius adam"])]


def cases(folder):
    return {
        **{("training", *key): training(*key) for key in TRAININGS},
        **{("accumulated", w): accumulated(w) for w in ("DDP", "FSDP")},
        **{("unequal", w): unequal(w) for w in ("DDP", "FSDP")},
        ("unseen",): unseen,
        ("alone",): alone,
        ("groups of one",): groups_of_one,
        **{("resumed", *key): resumed(*key) for key in RESUMED},
        **{("watched", *key): watched(*key) for key in WATCHED},
        **{("from one process", c): from_one_process(c) for c in CHECKPOINTED},
        **{("to one process", c): to_one_process(c, folder) for c in CHECKPOINTED},
        **{("broadcast", c): broadcast(c) for c in CHECKPOINTED},
        **{("checkpointed", c): checkpointed(c, folder) for c in CHECKPOINTED},
        ("dead rows",): dead_rows(folder),
    }


def main(rank, folder):
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", f"file://{folder}/store", rank=rank, world_size=RANKS, timeout=PATIENCE
    )
    results = {}
    for name, case in cases(folder).items():
        try:
            results[name] = case(rank)
        except Exception:  # the other rank fails when this process ends
            results[name] = {"error": traceback.format_exc()}
            break
    torch.save(results, f"{folder}/{rank}.pt")
    if "error" not in results[name]:
        dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
