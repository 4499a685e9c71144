"""Adding a part touches the part itself and one table."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import polarstep


@pytest.fixture
def package(tmp_path):
    """A copy of the package, to which a test may add."""
    copy = tmp_path / "polarstep"
    shutil.copytree(
        Path(polarstep.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    return copy


def insert(path, before, text):
    """Insert text in a file, before the only line that begins like this."""
    old = path.read_text()
    assert old.count(f"\n{before}") == 1
    path.write_text(old.replace(f"\n{before}", f"\n{text}{before}"))


def python(package, *arguments):
    """Run Python with the copied package and return what it prints."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{package.parent}{os.pathsep}{Path(__file__).parent}"},
        cwd=package.parent, capture_output=True, text=True, check=True, timeout=100,
    ).stdout  # fmt: skip


# --------------------------------------------------------------------------- a loss

ARCTAN = """
def _d_arctan(a: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.square(a))


def _d2_arctan(a: np.ndarray) -> np.ndarray:
    return -2.0 * a / np.square(1.0 + np.square(a))


"""
ASK_FOR_THE_LOSS = """
import numpy as np
import polarstep as ps
from polarstep.experiments.halfspaces import execution, plan
from polarstep.experiments.halfspaces.analysis import Analysis
from polarstep.experiments.halfspaces.figures import population_gap
from small_runs import TINY

rng = np.random.default_rng(0)
X, y = rng.standard_normal((200, 3)), np.repeat([-1, 1], 100)
X += y[:, None] * [1.0, 0.5, 0.0]
f = ps.Halfspace(X, y, "arctan", length_penalty=0.1)
assert ps.minimize(f, "gdnp", max_iter=1000).success
assert ps.minimize(f, "whitened").success
assert ps.HalfspaceClassifier("arctan").fit(X, y).score(X, y) > 0.8
assert ps.theory.gradient_bound(f.moments, 0.1, 3, "arctan").shape == (4,)
said = ps.theory.check_assumptions(f.moments).guarantees["Bounded losses"]
assert "arctan" in said and "softplus" not in said, said
try:
    ps.Halfspace(X, y, "arctangent")
except ValueError as error:
    assert "'arctan'" in str(error), error
(_, specs), *_ = plan.stages(TINY["halfspaces"], None)
rows = [{"spec": spec, "outcome": execution.execute(spec, None)}
        for spec in specs([]) if spec["loss"] == "arctan"]
labels = population_gap(Analysis(tuple(rows))).drawn.axes[0].get_legend_handles_labels()[1]
assert "arctan" in labels, labels
print("The loss is everywhere.")
"""


def test_a_loss_is_an_entry_in_losses(package):
    losses = package / "losses.py"
    insert(losses, "# The coefficient of the sigmoid", ARCTAN.lstrip())
    row = '        MarginLoss(np.arctan, _d_arctan, _d2_arctan, "arctan"),\n'
    insert(losses, "        smooth_hinge(),", row)
    assert python(package, "-c", ASK_FOR_THE_LOSS) == "The loss is everywhere.\n"


# --------------------------------------------------------------------------- a method

RULE = '''
def long_step(
    objective: Objective, parameterization: Parameterization, *, factor: float = 1.9
) -> DirectionRule:
    """Return the theorem's step, made longer by a factor."""
    return theorem_step(objective, parameterization, step_size=factor / objective.moments.L)


'''
ASK_FOR_THE_METHOD = """
import numpy as np
import polarstep as ps

rng = np.random.default_rng(0)
X, y = rng.standard_normal((200, 3)), np.repeat([-1, 1], 100)
X += y[:, None] * [1.0, 0.5, 0.0]
f = ps.Halfspace(X, y, length_penalty=0.1)
mine = ps.minimize(f, "long", max_iter=1000)
same = ps.minimize(f, "gdnp", max_iter=1000, step_size=1.9 / f.moments.L)
assert mine.success and mine.method == "long"
np.testing.assert_array_equal(mine.x, same.x)
assert ps.HalfspaceClassifier(method="long", max_iter=2000).fit(X, y).result_.method == "long"
for options, known in (({"method": "lang"}, "'long'"), ({"method": "long", "a": 1}, "'factor'")):
    try:
        ps.minimize(f, **options)
    except (TypeError, ValueError) as error:
        assert known in str(error), error
    else:
        raise AssertionError(options)
print("The method is everywhere.")
"""


def test_a_method_is_a_rule_and_a_row(package):
    insert(package / "methods" / "steps.py", "def whitened_direction(", RULE.lstrip())
    row = '        Method("long", batch_norm, steps.long_step, lengths.length_search),\n'
    insert(package / "methods" / "table.py", '        Method("whitened",', row)
    assert python(package, "-c", ASK_FOR_THE_METHOD) == "The method is everywhere.\n"


# --------------------------------------------------------------------------- an experiment

TOY = {
    "__init__.py": '''
"""Squares of a few numbers."""

from dataclasses import dataclass

from ..claims import FINDINGS, Verdict, verdict_for
from ..experiment import Experiment


@dataclass(frozen=True)
class Sizes:
    numbers: int
    seeds: int = 1


def stages(sizes, data, seeds=None):
    return [("toy: squares", lambda rows: [{"x": x} for x in range(sizes.numbers)])]


def analyse(rows):
    return {row["spec"]["x"]: row["outcome"]["square"] for row in rows}


def verdicts(analysis):
    good = sum(square >= 0 for square in analysis.values())
    numbers = f"{good} of {len(analysis)} squares."
    claim, verdict = "No square is negative.", verdict_for(good, len(analysis))
    return [Verdict(FINDINGS, claim, verdict, numbers, "All.", "toy-squares")]


EXPERIMENT = Experiment(
    package=__name__,
    name="toy",
    title="Squares of numbers",
    sizes={"quick": Sizes(3), "paper": Sizes(30)},
    stages=stages,
    run_module="squares",
    analyse=analyse,
    verdicts=verdicts,
)
''',
    "squares.py": '''
"""The run of a spec."""


def execute(spec, data):
    return {"square": spec["x"] ** 2}
''',
    "figures.py": '''
"""The figure."""

from ..drawing import Figure, canvas


def figures(analysis):
    drawn, (axes,) = canvas(1, 1, width=5, height=4)
    axes.plot(list(analysis), list(analysis.values()))
    yield Figure("toy-squares", "Squares", "They rise.", drawn)
''',
    "section.py": '''
"""The variables of the template."""


def section(analysis):
    return {"largest": max(analysis.values())}
''',
    "section.html.j2": "<p>The largest square is {{ largest }}.</p>",
}


def test_an_experiment_is_a_folder_and_a_line(package, tmp_path):
    folder = package / "experiments" / "toy"
    folder.mkdir()
    for name, text in TOY.items():
        (folder / name).write_text(text)
    registry = package / "experiments" / "registry.py"
    text = registry.read_text().replace("import deep, ", "import toy, deep, ")
    registry.write_text(text.replace("] = {\n", '] = {\n    "toy": toy.EXPERIMENT,\n', 1))

    def run(*arguments):
        return python(package, "-m", "polarstep", *arguments)

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
