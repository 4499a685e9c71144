"""The documents name functions and tests that exist."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
METHOD = (ROOT / "docs" / "method.md").read_text()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(polarstep\.[\w.]+)`", METHOD))))
def test_functions_of_the_method_page_exist(name):
    module, rest = next(
        (importlib.import_module(name[:end]), name[end + 1 :])
        for end in (m.start() for m in re.finditer(r"\.|$", name))
        if end and (ROOT / "src" / (name[:end].replace(".", "/") + ".py")).exists()
    )
    found = module
    for part in rest.split("."):
        found = getattr(found, part)
    assert callable(found) or found is not None


@pytest.mark.parametrize("test", sorted(set(re.findall(r"`(tests/[\w./]+::\w+)`", METHOD))))
def test_tests_of_the_method_page_exist(test):
    file, name = test.split("::")
    assert f"def {name}(" in (ROOT / file).read_text()


def test_the_architecture_shows_the_tree_as_it_is():
    """Every folder of the tree lists its own modules, all of them and no others."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    tree = text.split("src/polarstep/\n", 1)[1].split("docs/", 1)[0]
    listed, folders = {}, ["."]
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        if folder := re.match(r" +(\w+)/", line):
            folders = [*folders[:depth], folder.group(1)]
        here = "/".join(folders) if folder or depth > 2 else "."
        listed.setdefault(here, set()).update(re.findall(r"\w+\.py", line))
    package = ROOT / "src" / "polarstep"
    found = {}
    for path in package.rglob("*.py"):
        here = "/".join([".", *path.parent.relative_to(package).parts])
        found.setdefault(here, set()).add(path.name)
    for here, names in found.items():
        assert listed[here] - {"__init__.py"} == names - {"__init__.py"}, here
    assert len(text.splitlines()) < 100


PAGES = sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/**/*.md"))
BUILT = ("docs/_build/", "docs/gallery/", "docs/api/generated/")
PAGES = ["README.md", *(page for page in PAGES if not page.startswith(BUILT))]


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_resolve(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def documented():
    """The names that the pages of the API list, each with its module."""
    names = set()
    for page in (ROOT / "docs" / "api").glob("*.rst"):
        module, listed = "", False
        for line in page.read_text().splitlines():
            if line.startswith(".. currentmodule:: "):
                module = line.split(":: ")[1]
            if not line.startswith(" "):
                listed = line.startswith(".. autosummary::") or (listed and not line)
            elif listed and not line.strip().startswith(":"):
                names.add(f"{module}.{line.strip()}")
    return names


def public(module):
    """The public names of a module: those of __all__, or else what it defines itself."""
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    return [name for name in names if not inspect.ismodule(getattr(module, name))]


def value(path):
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize(
    "name",
    [
        "polarstep",
        "polarstep.curvature",
        "polarstep.linear_model.inference",
        "polarstep.linear_model.onnx",
        "polarstep.losses",
        "polarstep.methods",
        "polarstep.methods.theory",
        "polarstep.nn",
        "polarstep.optim",
    ],
)
def test_every_public_name_is_in_the_api(name):
    """A name counts as documented if the API has the same object, whatever module it is from."""
    pytest.importorskip("torch")
    module = importlib.import_module(name)
    shown = [value(path) for path in documented()]
    missing = {n for n in public(module) if not any(getattr(module, n) is v for v in shown)}
    assert missing - {"__version__"} == set()


def test_the_api_lists_each_name_once():
    pytest.importorskip("torch")
    paths = sorted(documented())
    values = [value(path) for path in paths]
    twice = [a for k, a in enumerate(paths) if any(values[k] is v for v in values[:k])]
    assert twice == []
