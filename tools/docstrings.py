"""Validate the docstrings of the public API by numpydoc; `make lint` runs this.

The public API consists of the names in `__all__` of the modules below. A module without `__all__`
makes public what it defines under a name without a leading underscore. Public methods and
properties of public classes count as well. `[tool.numpydoc_validation]` in pyproject.toml chooses
the checks.
"""

import dataclasses
import enum
import importlib
import inspect
import pkgutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from numpydoc.docscrape import get_doc_object
from numpydoc.validate import ERROR_MSGS, validate

ROOT = Path(__file__).parent.parent
PUBLIC = [
    "polarstep",
    "polarstep.curvature",
    "polarstep.design",
    "polarstep.linear_model",
    "polarstep.linear_model.inference",
    "polarstep.linear_model.onnx",
    "polarstep.losses",
    "polarstep.methods",
    "polarstep.nn",
    "polarstep.optim",
]


def modules() -> Iterator[ModuleType]:
    """Yield the public modules, with the modules of polarstep.methods in its place."""
    for name in PUBLIC:
        module = importlib.import_module(name)
        if name == "polarstep.methods":
            for info in pkgutil.iter_modules(module.__path__, f"{name}."):
                yield importlib.import_module(info.name)
        else:
            yield module


def objects(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield the public classes and functions of a module, and their public members."""
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    for name in names:
        value = getattr(module, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        yield f"{module.__name__}.{name}", value
        if inspect.isclass(value):
            for member, attribute in vars(value).items():
                described = inspect.isfunction(attribute) or isinstance(
                    attribute, (property, classmethod, staticmethod)
                )
                if described and not member.startswith("_") and not inherits(value, member):
                    yield f"{module.__name__}.{name}.{member}", attribute


def inherits(owner: type, member: str) -> bool:
    """Tell whether a member inherits its docstring from a base class."""
    own = vars(owner)[member]
    return not own.__doc__ and bool(inspect.getdoc(own) or inspect.getdoc(getattr(owner, member)))


def complaints(name: str, value: Any, checks: set[str]) -> Iterator[str]:
    """Yield the errors that numpydoc finds in one docstring."""
    for code, message in validate(name)["errors"]:
        if code not in checks:
            continue
        if inspect.isclass(value) and code in {"PR01", "PR02", "PR03"}:
            # Fields of a record may be listed as attributes, because users only read them.
            entries = get_doc_object(value)["Attributes"]
            listed = {name for entry in entries for name in entry.name.split(", ")}
            if issubclass(value, enum.Enum) or (
                dataclasses.is_dataclass(value)
                and {field.name for field in dataclasses.fields(value) if field.init} <= listed
            ):
                continue
        yield f"{name}: {code} {message}"


def main() -> int:
    """Print all complaints; return 1 if there is one."""
    chosen = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["numpydoc_validation"]
    checks = set(ERROR_MSGS) - set(chosen["checks"])  # the setting is "all" and the exceptions
    found: dict[Any, tuple[str, Any]] = {}
    for module in modules():
        for name, value in objects(module):
            found.setdefault(value, (name, value))
    wrong = [line for name, value in found.values() for line in complaints(name, value, checks)]
    print(*wrong, f"{len(found)} public docstrings, {len(wrong)} complaints", sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
