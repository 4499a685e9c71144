"""The rules of the house that no linter checks: sizes, mirrored tests, names, private imports."""

import ast
import statistics
from collections import defaultdict
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "polarstep"
MODULES = {path.relative_to(SOURCE).as_posix(): path for path in sorted(SOURCE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
LENGTHS = {
    name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()
}

# Numba does not notice changes of functions in other files, so that the kernels stay in one.
MAY_BE_LONG = {"linear_model/solver/kernels.py"}
# Modules without a test file of their own, and where they are tested instead.
TESTED_ELSEWHERE = {
    "*__init__.py": "test_package.py imports every public name",
    "__main__.py": "test_cli.py runs `python -m polarstep`",
    "experiments/*/sizes.py": "experiments/test_registry.py checks the sizes of all presets",
}


def matches(name, patterns):
    return any(fnmatch(name, pattern) for pattern in patterns)


def test_no_file_is_long():
    long = {name: lines for name, lines in LENGTHS.items() if lines > 350}
    assert long.keys() <= MAY_BE_LONG, long


def test_most_files_are_short():
    assert statistics.median(LENGTHS.values()) <= 160


def test_every_module_has_its_tests():
    missing = []
    for name in MODULES:
        folder, _, file = name.rpartition("/")
        tested = (ROOT / "tests" / folder / f"test_{file}").exists()
        if not tested and not matches(name, TESTED_ELSEWHERE):
            missing.append(name)
    assert not missing, missing


def test_no_class_name_is_defined_in_two_rooms():
    rooms = defaultdict(set)
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                rooms[node.name].add(name.split("/")[0])
    shared = {name: places for name, places in rooms.items() if len(places) > 1}
    assert not shared, shared


def test_no_private_name_of_scikit_learn_is_imported():
    found = []
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
                if parts[0] == "sklearn" and any(part.startswith("_") for part in parts):
                    found.append(f"{name}: {ast.unparse(node)}")
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name.startswith("sklearn.") and "._" in alias.name:
                        found.append(f"{name}: {ast.unparse(node)}")
    assert not found, found
