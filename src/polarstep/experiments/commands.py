"""The commands of the command line, with click."""

from __future__ import annotations

import os
from pathlib import Path

import click

from .. import __version__
from ..extras import require_torch
from .data import downloads
from .experiment import INSTALL_TORCH, PRESETS
from .records import Record
from .registry import EXPERIMENTS
from .running import run_stages
from .workers import Workers


def _seeds_help() -> str:
    """Return the help text of --seeds, with the default of every experiment that has seeds."""
    defaults = []
    for name, experiment in EXPERIMENTS.items():
        seeds = [experiment.sizes[preset].seeds for preset in PRESETS]
        if None not in seeds:
            defaults.append(f"{name} {' or '.join(map(str, dict.fromkeys(seeds)))}")
    return f"Number of random starts. Default, by experiment and preset: {', '.join(defaults)}."


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def polarstep() -> None:
    """Optimise the length and the direction of weight vectors separately."""


@polarstep.command()
@click.argument("experiment", type=click.Choice([*EXPERIMENTS, "all"]), default="all")
@click.option("--preset", type=click.Choice(PRESETS), default="quick", show_default=True)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=lambda: os.environ.get("POLARSTEP_DATA"),
    help="Folder with data sets (libsvm/a9a, cifar10/cifar-10-batches-py). Default: "
    "$POLARSTEP_DATA. Without a9a the experiments use scikit-learn's breast_cancer, and without "
    "CIFAR-10 its digits.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder for the rows and the report.",
)
@click.option("--seeds", type=click.IntRange(min=1), help=_seeds_help())
@click.option("--resume", is_flag=True, help="Keep the existing rows and run what is missing.")
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Number of processes. Default: one per core."
)
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

    Every run is written to disk as soon as it finishes. After an interruption, the same command
    with --resume continues where it stopped. Without --resume, earlier rows are set aside and all
    runs start again.
    """
    from .report.page import write_report

    names, left_out = [experiment], ""
    if experiment == "all":
        names, left_out = _those_that_can_run()
        click.echo(left_out, err=True, nl=bool(left_out))
    try:
        with Workers(jobs) as workers:
            for name in names:
                chosen, record = EXPERIMENTS[name], Record(out, name)
                if not resume and (aside := record.set_aside()):
                    click.echo(f"Earlier rows are set aside in {aside}; --resume would keep them.")
                stages = chosen.stages(chosen.sizes[preset], data, seeds)
                run_stages(stages, chosen.execute, record, preset, data, workers)
        click.echo(f"Report: {write_report(out)}")
        click.echo(left_out, err=True, nl=bool(left_out))
    except KeyboardInterrupt:
        text = f"\nInterrupted. The finished runs are in {out}; continue with --resume."
        click.echo(text, err=True)
        raise SystemExit(130) from None
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None


def _those_that_can_run() -> tuple[list[str], str]:
    """Return the names of the experiments that can run here, and a message about the others."""
    needing = [name for name, experiment in EXPERIMENTS.items() if experiment.requires_torch]
    try:
        require_torch(", ".join(needing))
    except ModuleNotFoundError:
        names = [name for name in EXPERIMENTS if name not in needing]
        return names, f"LEFT OUT: {', '.join(needing)}, which need PyTorch. {INSTALL_TORCH}"
    return list(EXPERIMENTS), ""


@polarstep.command()
@click.argument(
    "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--figures",
    "export_to",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write every figure as SVG and PNG into this folder, and the rows of every "
    "experiment as NAME.csv: one line per run, nested values in columns such as spec.seed, lists "
    "as JSON.",
)
def report(folder: Path, export_to: Path | None) -> None:
    """Redraw DIR/report.html from the rows in DIR."""
    from .report.page import write_report

    try:
        click.echo(f"Report: {write_report(folder, export_to)}")
        if export_to is not None:
            click.echo(f"Figures and rows: {export_to}")
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None


@polarstep.group()
def data() -> None:
    """Download data sets."""


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
    """Download the public data set NAME and verify its checksum."""
    try:
        for path in downloads.fetch(name, folder):
            click.echo(path)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{name} could not be downloaded: {error}") from None
