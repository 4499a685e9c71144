"""Run what an experiment asks for, and record every run as soon as it finishes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from .records import Record, Row, key
from .workers import Workers

Spec = dict[str, Any]
Stage = tuple[str, Callable[[list[Row]], list[Spec]]]
"""A caption for the progress bar, and a function from the rows so far to the specs to run."""

Execute = Callable[[Spec, Path | None], dict[str, Any]]


def run_stages(
    stages: Iterable[Stage],
    execute: Execute,
    record: Record,
    preset: str,
    data: Path | None,
    workers: Workers,
) -> list[Row]:
    """Run all stages and return their rows, without repeating runs that are in the record.

    The row of a run is on disk as soon as the run finishes: an interruption loses at most the runs
    in progress.

    Parameters
    ----------
    stages
        The stages in order; each one is given the rows of those before it.
    execute
        The function that executes one spec. It must be picklable.
    record
        Where rows are looked up and appended.
    preset
        The name of the preset, which becomes a part of every spec.
    data
        The folder with data sets, or None. It is not a part of the specs.
    workers
        The processes that share the runs.

    Returns
    -------
    list of dict
        The rows in the order of the specs, including those that were in the record.
    """
    from tqdm import tqdm

    wanted: list[Row] = []
    for caption, make_specs in stages:
        specs = [{"preset": preset, **spec} for spec in make_specs(wanted)]
        known = {row["key"]: row for row in record.rows()}
        missing = [spec for spec in specs if key(spec) not in known]
        with tqdm(total=len(specs), initial=len(specs) - len(missing), desc=caption) as bar:
            run = partial(_run_on_one_thread, execute, data)
            for spec, outcome in workers.map_unordered(run, missing):
                known[key(spec)] = record.append(spec, outcome)
                bar.update()
        wanted += [known[key(spec)] for spec in specs]
    return wanted


def _run_on_one_thread(execute: Execute, data: Path | None, spec: Spec) -> dict[str, Any]:
    """Execute one spec on one thread, because several threads would round sums differently."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return execute(spec, data)
