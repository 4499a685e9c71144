"""Figures and rows as files: what the report shows, and nothing lost on the way."""

import csv
import json
import xml.etree.ElementTree as ET

import pytest

from made_rows import cell, linear, population, reference, rows, training
from polarstep.experiments.drawing import Figure, canvas
from polarstep.experiments.report.export import export, flatten
from polarstep.experiments.report.figures import figures

MADE = [reference(0.5), *cell({"gd": linear(0.1, 5)})[1:], population(), training()]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("some") / "below"
    found = rows(*MADE)
    drawn = figures(found)
    return folder, found, drawn, export(found, drawn, folder)


def test_every_figure_is_an_svg_and_a_png(exported):
    folder, _, drawn, written = exported
    ids = {figure.id for some in drawn.values() for figure in some}
    assert {path.stem for path in folder.glob("*.svg")} == ids
    assert {path.stem for path in folder.glob("*.png")} == ids
    assert sorted(written) == sorted(folder.iterdir())
    for path in folder.glob("*.svg"):
        assert ET.parse(path).getroot().tag.endswith("svg")
    for path in folder.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_every_experiment_with_rows_is_a_table_that_reads_back(exported):
    folder, found, _, _ = exported
    assert {path.stem for path in folder.glob("*.csv")} == {"halfspaces", "network"}
    for name in ("halfspaces", "network"):
        with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        assert len(lines) == len(found.of(name))
        for line, row in zip(lines, found.of(name), strict=True):
            assert line["key"] == row["key"]
            assert line["spec.stage"] == row["spec"]["stage"]
            for column, value in flatten(row).items():
                assert line[column] == ("" if value is None else str(value))


def test_curves_are_json_and_what_is_missing_is_empty(exported):
    folder = exported[0]
    with (folder / "halfspaces.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    (run,) = [line for line in lines if line["spec.run"] == "gd"]
    assert json.loads(run["outcome.fun"]) == list(linear(0.1, 5))
    assert run["spec.problem.data"] == "gaussian"
    assert run["spec.kappa"] == ""


def test_the_names_of_files_hold_no_signs_that_a_folder_cannot(tmp_path):
    figure = Figure("runs <a/b> c", "Title", "A caption.", canvas(1, 1, 3, 2)[0])
    export(rows(), {"some": [figure]}, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"runs-a-b-c.svg", "runs-a-b-c.png"}
