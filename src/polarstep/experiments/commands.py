"""The commands themselves, with click."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import __version__
from ..extras import require_torch
from .data import downloads
from .deep import plan as deep
from .halfspaces import plan as halfspaces
from .metric import plan as metric
from .presets import PRESETS
from .records import Record
from .report.page import write_report
from .running import run_stages
from .tanh_network import plan as network

EXPERIMENTS = {"halfspaces": halfspaces, "network": network, "deep": deep, "metric": metric}


def _default_data() -> Any:
    import os

    return os.environ.get("POLARSTEP_DATA")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def polarstep() -> None:
    """Optimise the length and the direction of weight vectors separately."""


@polarstep.command()
@click.argument("experiment", type=click.Choice([*EXPERIMENTS, "all"]), default="all")
@click.option("--preset", type=click.Choice(list(PRESETS)), default="quick", show_default=True)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=_default_data,
    help="Folder with data sets (libsvm/a9a, cifar10/cifar-10-batches-py). Default: "
    "$POLARSTEP_DATA; without a9a the experiments use scikit-learn's breast_cancer, without "
    "CIFAR-10 its digits.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder for the rows and the report.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    help="Random starts. Default: 10; 2 or 3 of deep, metric.",
)
@click.option("--resume", is_flag=True, help="Keep the rows that are there and run the rest.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes. Default: one per core.")
def reproduce(
    experiment: str,
    preset: str,
    data: Path | None,
    out: Path,
    seeds: int | None,
    resume: bool,
    jobs: int | None,
) -> None:
    """Run the paper's experiments and write OUT/report.html.

    Every finished run is on disk at once. After an interruption, the same command with --resume
    goes on where it stopped; without it earlier rows are set aside and all runs start anew.
    """
    names, left_out = [experiment], ""
    if experiment == "all":
        names, left_out = _those_that_can_run()
        click.echo(left_out, err=True, nl=bool(left_out))
    try:
        for name in names:
            module, record = EXPERIMENTS[name], Record(out, name)
            if not resume and (aside := record.set_aside()):
                click.echo(f"Earlier rows are set aside in {aside}; --resume would keep them.")
            stages = module.stages(PRESETS[preset], data, seeds)
            run_stages(stages, module.execute, record, preset, data, jobs)
        click.echo(f"Report: {write_report(out)}")
        click.echo(left_out, err=True, nl=bool(left_out))
    except KeyboardInterrupt:
        click.echo(f"\nInterrupted. What was finished is in {out}; go on with --resume.", err=True)
        raise SystemExit(130) from None
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None


def _those_that_can_run() -> tuple[list[str], str]:
    """The names of the experiments for which everything is installed; what to say of the rest."""
    names = list(EXPERIMENTS)
    try:
        require_torch("The experiment on deep networks")
    except ModuleNotFoundError:
        names = [name for name in names if name not in ("deep", "metric")]
        return names, (
            f"DEEP NETWORKS ARE LEFT OUT (deep, metric): they need PyTorch. {deep.INSTALL}"
        )
    return names, ""


@polarstep.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def report(folder: Path) -> None:
    """Redraw FOLDER/report.html from the rows that are there."""
    try:
        click.echo(f"Report: {write_report(folder)}")
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None


@polarstep.group()
def data() -> None:
    """Data sets."""


@data.command()
@click.argument("name", type=click.Choice(list(downloads.DOWNLOADS)))
@click.option(
    "--data",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data"),
    show_default=True,
    help="Folder for data sets.",
)
def fetch(name: str, folder: Path) -> None:
    """Download the public data set NAME, checksum checked."""
    try:
        for path in downloads.fetch(name, folder):
            click.echo(path)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{name} could not be downloaded: {error}") from None
