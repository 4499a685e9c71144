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


def test_architecture_lists_every_module():
    text = (ROOT / "docs" / "architecture.md").read_text()
    modules = {path.name for path in (ROOT / "src" / "polarstep").rglob("*.py")} - {"__init__.py"}
    assert modules <= set(re.findall(r"\w+\.py", text))


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
