"""Adding a part touches the part itself and one table."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import polarstep

# --------------------------------------------------------------------------- an experiment

TOY = {
    "__init__.py": '''
"""Squares of a few numbers."""

from dataclasses import dataclass

from ..claims import FINDINGS, Verdict, share
from ..experiment import Experiment


@dataclass(frozen=True)
class Sizes:
    numbers: int
    seeds: int = 1


class Toy(Experiment):
    name = "toy"
    title = "Squares of numbers"
    sizes = {"quick": Sizes(3), "paper": Sizes(30)}

    def stages(self, sizes, data, seeds=None):
        return [("toy: squares", lambda rows: [{"x": x} for x in range(sizes.numbers)])]

    def execute(self, spec, data):
        return {"square": spec["x"] ** 2}

    def analyse(self, rows):
        return {row["spec"]["x"]: row["outcome"]["square"] for row in rows}

    def verdicts(self, analysis):
        good = sum(square >= 0 for square in analysis.values())
        numbers = f"{good} of {len(analysis)} squares."
        claim, verdict = "No square is negative.", share(good, len(analysis))
        return [Verdict(FINDINGS, claim, verdict, numbers, "All.", "toy-squares")]

    def figures(self, analysis):
        from ..drawing import Figure, canvas

        drawn, (axes,) = canvas(1, 1, width=5, height=4)
        axes.plot(list(analysis), list(analysis.values()))
        yield Figure("toy-squares", "Squares", "They rise.", drawn)

    def section(self, analysis):
        return {"largest": max(analysis.values())}


EXPERIMENT = Toy()
''',
    "section.html.j2": "<p>The largest square is {{ largest }}.</p>",
}


def test_an_experiment_is_a_folder_and_a_line(tmp_path):
    copy = tmp_path / "polarstep"
    shutil.copytree(
        Path(polarstep.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    folder = copy / "experiments" / "toy"
    folder.mkdir()
    for name, text in TOY.items():
        (folder / name).write_text(text)
    registry = copy / "experiments" / "registry.py"
    text = registry.read_text().replace("import deep, ", "import toy, deep, ")
    registry.write_text(text.replace("] = {\n", '] = {\n    "toy": toy.EXPERIMENT,\n', 1))

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "polarstep", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            cwd=tmp_path, capture_output=True, text=True, check=True, timeout=100,
        ).stdout  # fmt: skip

    usage = " ".join(run("reproduce", "--help").split())
    assert "[toy|halfspaces|" in usage
    assert "toy 1, halfspaces 10" in usage
    run("reproduce", "toy", "--jobs", 2, "--out", "out")
    assert (tmp_path / "out" / "toy.jsonl").read_text().count("\n") == 3
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "No square is negative." in page
    assert "3 of 3 squares." in page
    assert '<h2 id="experiment-toy">Squares of numbers</h2>' in page
    assert '<figure id="toy-squares">' in page
    assert "The largest square is 4." in page
    run("report", "out", "--figures", "figures")
    exported = {path.name for path in (tmp_path / "figures").iterdir()}
    assert exported == {"toy-squares.svg", "toy-squares.png", "toy.csv"}
