"""What an optional dependency is for, said where it is missing."""

from __future__ import annotations

from importlib import import_module


def require_torch(who: str) -> None:
    """Go on if PyTorch can be imported, or say what to install.

    Raises
    ------
    ModuleNotFoundError
        PyTorch is not installed. What goes wrong inside of an installed one is raised as it is.
    """
    _require("torch", "PyTorch", who)


def require_dask(who: str) -> None:
    """Go on if Dask and its arrays can be imported, or say what to install; as `require_torch`."""
    _require("dask.array", "Dask", who)


def _require(module: str, name: str, who: str) -> None:
    package = module.split(".")[0]
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in (package, module):
            raise
        text = (
            f"{who} needs {name}, which is not installed. Run: pip install 'polarstep[{package}]'"
        )
        raise ModuleNotFoundError(text, name=package) from None
