"""The documents name functions and tests that exist."""

import importlib
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


@pytest.mark.parametrize(
    "page", ["README.md", *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))]
)
def test_links_between_pages_resolve(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target
