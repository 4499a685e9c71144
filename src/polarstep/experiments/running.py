"""Run what an experiment asks for, on all cores, and record every run as it finishes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .records import Record, Row, key

Spec = dict[str, Any]
Stage = tuple[str, Callable[[list[Row]], list[Spec]]]
"""A caption for the progress bar, and the runs that follow from the rows so far."""

Execute = Callable[[Spec, Path | None], dict[str, Any]]


def run_stages(
    stages: Iterable[Stage],
    execute: Execute,
    record: Record,
    preset: str,
    data: Path | None,
    n_jobs: int | None = None,
) -> list[Row]:
    """Run all stages, skipping the runs whose rows are in the record; return the rows asked for.

    Finished runs are on disk at once: an interruption loses at most the runs in progress.
    """
    import joblib
    from tqdm import tqdm

    n_jobs = n_jobs or os.cpu_count() or 1
    wanted: list[Row] = []
    for caption, make_specs in stages:
        specs = [{"preset": preset, **spec} for spec in make_specs(wanted)]
        known = {row["key"]: row for row in record.rows()}
        missing = [spec for spec in specs if key(spec) not in known]
        with tqdm(total=len(specs), initial=len(specs) - len(missing), desc=caption) as bar:
            pool = joblib.Parallel(
                n_jobs=n_jobs,
                return_as="generator_unordered",
                batch_size=1,
                initializer=_keep_workers,
            )
            for spec, outcome in pool(joblib.delayed(_one)(execute, s, data) for s in missing):
                known[key(spec)] = record.append(spec, outcome)
                bar.update()
        wanted += [known[key(spec)] for spec in specs]
    return wanted


def _keep_workers() -> None:
    """Keep a worker process whose memory grows, which importing PyTorch is enough for.

    Where psutil is installed, loky (of joblib 1.6) ends such a worker, and may then wait for it
    for ever.
    """
    from joblib.externals.loky import process_executor

    process_executor._USE_PSUTIL = False


def _one(execute: Execute, spec: Spec, data: Path | None) -> tuple[Spec, dict[str, Any]]:
    from threadpoolctl import threadpool_limits

    # Sums are rounded differently on different numbers of threads.
    with threadpool_limits(1):
        return spec, execute(spec, data)
